"""Single outcomes: zeros and ones, counts, and numbers with heavy tails."""

import numpy as np
import pytest
from scipy.stats import kstest

import bayes_intgen as bi
from bayes_intgen.posterior.draws import prediction_of
from bayes_intgen.posterior.effects import effect_table
from bayes_intgen.text.formats import format_effects

NAMES = ("red", "green")


def rows_of(mask: tuple[bool, bool], rows: int, rng: np.random.Generator):
    """Actions and a score in [-1, 1] with gamma or two-valued causes."""
    causes = np.where(rng.random((rows, 2)) < 0.5, 1.0, -1.0)
    actions = rng.normal(size=(rows, 2)) + ~np.array(mask) * causes
    score = 0.5 * (0.6 * np.tanh(actions[:, 0]) - 0.4 * np.tanh(actions[:, 1]))
    return actions, score + 0.25 * causes.sum(axis=1)


def heavy_rows(mask: tuple[bool, bool], rows: int, rng: np.random.Generator):
    """Actions and an outcome with heavy tails where red is set, and normal elsewhere.

    The cause of red has heavy tails, and red shows it unless it was set.
    """
    causes = np.stack([rng.standard_t(2.5, size=rows), 0.3 * rng.normal(size=rows)], axis=1)
    actions = rng.normal(size=(rows, 2)) * [2.0, 1.0]
    actions[:, 0] = actions[:, 0] if mask[0] else causes[:, 0] + 0.02 * actions[:, 0]
    actions[:, 1] += 0 if mask[1] else causes[:, 1]
    noise = 0.5 * rng.normal(size=rows)
    return actions, actions @ [1.0, 0.5] + causes.sum(axis=1) + noise


def dataset(draw, outcome_of, rows: int, seed: int) -> bi.RegimeData:
    rng = np.random.default_rng(seed)
    masks = [(False, False), (True, False), (False, True)]
    parts = [draw(mask, rows, rng) for mask in masks]
    score = np.concatenate([s for _, s in parts])
    return bi.RegimeData.from_arrays(
        np.concatenate([a for a, _ in parts]),
        outcome_of(score, rng),
        np.repeat(masks, rows, axis=0),
        NAMES,
    )


def fit(data: bi.RegimeData, prior: str = "spline", **settings) -> bi.Posterior:
    model = bi.models.additive(prior, interactions=None, **settings)
    return bi.fit(data, model, chains=2, draws=200, progress=False)


@pytest.mark.filterwarnings("ignore::bayes_intgen.BayesIntgenWarning")
def test_outcomes_have_the_tails_of_the_residuals() -> None:
    data = dataset(heavy_rows, lambda score, rng: score, 400, 2)
    posterior = fit(data, spread="constant")
    points, names = np.zeros((40, 2)), ["red"]
    draws = posterior.outcome(points, names) - posterior.effect(points, names)
    # Heavy tails: kurtosis three is the normal law's.
    assert float((draws**4).mean() / (draws**2).mean() ** 2) > 4


@pytest.fixture(scope="module")
def binary() -> bi.Posterior:
    return fit(dataset(rows_of, lambda s, rng: 1.0 * (rng.random(len(s)) < 0.5 + 0.5 * s), 400, 3))


@pytest.fixture(scope="module")
def counts() -> bi.Posterior:
    return fit(dataset(rows_of, lambda score, rng: 1.0 * rng.poisson(2 + 1.8 * score), 400, 4))


IN_RANGE = np.array([[0.5, -0.5], [-0.5, 0.5], [0.0, 0.0]])


@pytest.mark.filterwarnings("ignore::bayes_intgen.BayesIntgenWarning")
def test_binary_outcomes_are_zeros_and_ones_with_the_effect_as_probability(binary) -> None:
    assert binary.outcome_kind == "binary"
    draws = binary.outcome(IN_RANGE)
    assert set(np.unique(draws)) == {0.0, 1.0}
    effect = binary.joint_effect(IN_RANGE)
    # 400 draws: a standard error of 0.025.
    gap = draws.mean(("chain", "draw")) - effect.mean(("chain", "draw"))
    assert np.abs(gap).max() < 0.1
    assert effect.attrs["outside_0_1"] == 0
    table = effect_table(binary, IN_RANGE)
    np.testing.assert_allclose(table["probability"], effect.mean(("chain", "draw")), atol=1e-9)
    assert "outcome_low" not in table
    text = format_effects(table, "table")
    assert "P(1)" in text
    assert "outside [0, 1]" not in text


@pytest.mark.filterwarnings("ignore::bayes_intgen.BayesIntgenWarning")
def test_effects_on_binary_outcomes_outside_their_range_say_so(binary) -> None:
    # Far from the rows, the mean of a sum is not bounded.
    shifted = bi.Posterior(binary.tree.copy(deep=True))
    shifted.tree["coefficients"]["coefficients"].values[..., 0] += 0.3
    effect = shifted.joint_effect([[2.0, -2.0]])
    assert effect.attrs["outside_0_1"] > 0.5
    assert float(effect.mean()) > 1
    assert float(shifted.outcome([[2.0, -2.0]]).max()) == 1
    table = effect_table(shifted, [[2.0, -2.0]])
    assert table["probability"].item() <= 1 < table["mean"].item()
    assert "lie outside [0, 1]" in format_effects(table, "table")
    assert "outside [0, 1]" in str(shifted)
    # Negative control: a continuous outcome has no such bounds.
    plain = with_kind(shifted, "continuous")
    assert "outside_0_1" not in plain.joint_effect([[2.0, -2.0]]).attrs
    assert "outside [0, 1]" not in str(plain)


def with_kind(posterior: bi.Posterior, kind: str) -> bi.Posterior:
    tree = posterior.tree.copy()
    tree.attrs["outcome_kind"] = kind
    return bi.Posterior(tree)


@pytest.mark.filterwarnings("ignore::bayes_intgen.BayesIntgenWarning")
def test_pictures_of_binary_outcomes_show_probabilities(binary) -> None:
    import matplotlib.pyplot as plt

    ax = binary.plot_joint_effect("red", predictive=0.9)
    assert ax.get_ylabel() == "P(outcome = 1 | do(red, green))"
    assert not any("outcomes" in text.get_text() for text in ax.get_legend().get_texts())
    # Negative control.
    other = with_kind(binary, "continuous").plot_joint_effect("red", predictive=0.9)
    assert other.get_ylabel() == "E[outcome | do(red, green)]"
    plt.close("all")


@pytest.mark.filterwarnings("ignore::bayes_intgen.BayesIntgenWarning")
def test_counts_are_whole_and_have_the_identified_variance(counts) -> None:
    assert counts.outcome_kind == "count"
    draws = np.concatenate([counts.outcome(IN_RANGE, seed=i) for i in range(10)])
    assert (draws >= 0).all()
    assert (draws == np.floor(draws)).all()
    mean = counts.joint_effect(IN_RANGE).to_numpy()
    np.testing.assert_allclose(draws.mean(axis=(0, 1)), mean.mean(axis=(0, 1)), rtol=0.1)
    numbers = with_kind(counts, "continuous").outcome(IN_RANGE)
    assert (numbers < 0).any()
    assert (numbers != np.floor(numbers)).any()
    prediction = prediction_of(counts)
    all_set = np.ones(IN_RANGE.shape, dtype=bool)
    variance = (prediction.noise_sd(IN_RANGE, all_set) ** 2).mean(axis=(0, 1))
    np.testing.assert_allclose(draws.var(axis=(0, 1)), variance + mean.var(axis=(0, 1)), rtol=0.15)
    table = effect_table(counts, IN_RANGE, level=0.8)
    for name, p in (("outcome_low", 0.1), ("outcome_high", 0.9)):
        assert (draws <= table[name].to_numpy()).mean(axis=(0, 1)).min() > p - 0.02
        assert (draws < table[name].to_numpy()).mean(axis=(0, 1)).max() < p + 0.02
    assert "A count" in str(counts)


@pytest.mark.filterwarnings("ignore::bayes_intgen.BayesIntgenWarning")
def test_kind_is_saved(binary, counts, tmp_path) -> None:
    for posterior in (binary, counts):
        posterior.save(tmp_path / "fit.nc")
        loaded = bi.load(tmp_path / "fit.nc")
        assert loaded.outcome_kind == posterior.outcome_kind
        np.testing.assert_array_equal(loaded.outcome(IN_RANGE), posterior.outcome(IN_RANGE))
    with pytest.raises(bi.SavedFitError, match="kinds of outcomes that are unknown"):
        with_kind(binary, "colour").save(tmp_path / "fit.nc")


def loo_pit(noise, seed: int) -> np.ndarray:
    """Leave-one-out ranks of rows of a linear world with some noise."""
    import arviz as az

    rng = np.random.default_rng(seed)
    masks = np.repeat([[False, False], [True, False], [False, True]], 300, axis=0)
    actions = rng.normal(size=masks.shape)
    outcome = actions @ [1.0, 0.5] + noise(len(masks), rng)
    data = bi.RegimeData.from_arrays(actions, outcome, masks, NAMES)
    tree = fit(data, "linear").with_log_likelihood(data, rows=None)
    return np.asarray(az.loo_pit(tree)["outcome"])


@pytest.mark.filterwarnings("ignore::bayes_intgen.BayesIntgenWarning")
@pytest.mark.filterwarnings("ignore:.*Pareto")
def test_leave_one_out_ranks_of_a_regime_can_contradict_the_law_of_the_noise() -> None:
    skewed = loo_pit(lambda n, rng: rng.gamma(10.0, size=n), 0)
    assert kstest(skewed[:300], "uniform").pvalue > 0.01

    def two_peaks_if_observed(n: int, rng: np.random.Generator) -> np.ndarray:
        peaks = rng.choice([-1.0, 1.0], n) + 0.15 * rng.normal(size=n)
        return np.where(np.arange(n) < 300, peaks, rng.normal(size=n))

    # Negative control: noise of another shape in one regime.
    assert kstest(loo_pit(two_peaks_if_observed, 1)[:300], "uniform").pvalue < 1e-4
