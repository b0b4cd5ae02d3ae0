"""Single outcomes: zeros and ones, counts, and tables of effects."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

import bayes_intgen as bi
from bayes_intgen.cli.tables import effects_in_text
from bayes_intgen.data.rows import Observations
from bayes_intgen.posterior.draws import prediction_of
from bayes_intgen.posterior.effects import effect_table

from _posteriors import made_up, with_log_link

NAMES = ("red", "green")
IGNORED = ("ignore::bayes_intgen.BayesIntgenWarning", "ignore:.*Pareto")
pytestmark = pytest.mark.filterwarnings(*IGNORED)


def rows_of(mask: tuple[bool, bool], rows: int, rng: np.random.Generator):
    """Actions and a score in [-1, 1] with gamma or two-valued causes."""
    causes = np.where(rng.random((rows, 2)) < 0.5, 1.0, -1.0)
    actions = rng.normal(size=(rows, 2)) + ~np.array(mask) * causes
    score = 0.5 * (0.6 * np.tanh(actions[:, 0]) - 0.4 * np.tanh(actions[:, 1]))
    return actions, score + 0.25 * causes.sum(axis=1)


def dataset(outcome_of, seed: int, rows: int = 400) -> bi.RegimeData:
    rng, masks = np.random.default_rng(seed), [(False, False), (True, False), (False, True)]
    parts = zip(*(rows_of(mask, rows, rng) for mask in masks), strict=True)
    actions, score = map(np.concatenate, parts)
    arrays = actions, outcome_of(score, rng), np.repeat(masks, rows, axis=0)
    return bi.RegimeData.from_arrays(*arrays, NAMES)


def fit(data: bi.RegimeData, prior: str = "spline", **settings) -> bi.Posterior:
    model = bi.models.additive(prior, interactions=None, **settings)
    return bi.fit(data, model, method="laplace", draws=200, progress=False)


@pytest.fixture(scope="module")
def binary() -> bi.Posterior:
    return fit(dataset(lambda s, rng: 1.0 * (rng.random(len(s)) < 0.5 + 0.5 * s), 3))


@pytest.fixture(scope="module")
def counts() -> bi.Posterior:
    return fit(dataset(lambda score, rng: 1.0 * rng.poisson(2 + 1.8 * score), 4))


IN_RANGE = np.array([[0.5, -0.5], [-0.5, 0.5], [0.0, 0.0]])


def test_tables_of_binary_outcomes_show_probabilities(binary) -> None:
    effect = binary.joint_effect(IN_RANGE)
    assert effect.attrs["outside_0_1"] == 0
    table = effect_table(binary, IN_RANGE)
    np.testing.assert_allclose(table["probability"], effect.mean(("chain", "draw")), atol=1e-9)
    assert "outcome_low" not in table
    text = effects_in_text(table)
    assert "P(1)" in text
    assert "outside [0, 1]" not in text


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
    assert "lie outside [0, 1]" in effects_in_text(table)
    assert "outside [0, 1]" in str(shifted)
    # Negative control: a continuous outcome has no such bounds.
    plain = with_kind(shifted, "continuous")
    assert "outside_0_1" not in plain.joint_effect([[2.0, -2.0]]).attrs
    assert "outside [0, 1]" not in str(plain)


def with_kind(posterior: bi.Posterior, kind: str) -> bi.Posterior:
    tree = posterior.tree.copy()
    tree["fit"].attrs["outcome_kind"] = kind
    return bi.Posterior(tree)


def test_pictures_of_binary_outcomes_show_probabilities(binary) -> None:
    import matplotlib.pyplot as plt

    ax = binary.plot_joint_effect("red", predictive=0.9)
    assert ax.get_ylabel() == "P(outcome = 1), all actions set"
    texts = ax.figure.legends[0].get_texts()
    assert not any("outcomes" in text.get_text() for text in texts)
    # Negative control.
    other = with_kind(binary, "continuous").plot_joint_effect("red", predictive=0.9)
    assert other.get_ylabel() == "mean of outcome, all actions set"
    plt.close("all")


def test_counts_have_the_identified_variance(counts) -> None:
    draws = np.concatenate([counts.outcome(IN_RANGE, seed=i) for i in range(10)])
    mean = counts.joint_effect(IN_RANGE).to_numpy()
    prediction, all_set = prediction_of(counts), np.ones(IN_RANGE.shape, dtype=bool)
    variance = (prediction.noise_sd(IN_RANGE, all_set) ** 2).mean(axis=(0, 1))
    np.testing.assert_allclose(draws.var(axis=(0, 1)), variance + mean.var(axis=(0, 1)), rtol=0.15)
    table = effect_table(counts, IN_RANGE, level=0.8)
    for name, p in (("outcome_low", 0.1), ("outcome_high", 0.9)):
        assert (draws <= table[name].to_numpy()).mean(axis=(0, 1)).min() > p - 0.02
        assert (draws < table[name].to_numpy()).mean(axis=(0, 1)).max() < p + 0.02
    # Negative control: the same draws as those of a number.
    numbers = with_kind(counts, "continuous").outcome(IN_RANGE)
    assert (numbers != np.floor(numbers)).any()
    assert "A count" in str(counts)


def loo_pit(noise, seed: int) -> np.ndarray:
    """Leave-one-out ranks of rows of a linear world with some noise."""
    import arviz as az

    rng = np.random.default_rng(seed)
    masks = np.repeat([[False, False], [True, False], [False, True]], 300, axis=0)
    actions = rng.normal(size=masks.shape)
    outcome = actions @ [1.0, 0.5] + noise(len(masks), rng)
    data = bi.RegimeData.from_arrays(actions, outcome, masks, NAMES)
    tree = fit(data, "linear").to_arviz(data, rows=None)
    return np.asarray(az.loo_pit(tree)["outcome"])


def test_leave_one_out_ranks_of_a_regime_can_contradict_the_law_of_the_noise() -> None:
    skewed = loo_pit(lambda n, rng: rng.gamma(10.0, size=n), 0)
    assert kstest(skewed[:300], "uniform").pvalue > 0.01

    def two_peaks_if_observed(n: int, rng: np.random.Generator) -> np.ndarray:
        peaks = rng.choice([-1.0, 1.0], n) + 0.15 * rng.normal(size=n)
        return np.where(np.arange(n) < 300, peaks, rng.normal(size=n))

    # Negative control: noise of another shape in one regime.
    assert kstest(loo_pit(two_peaks_if_observed, 1)[:300], "uniform").pvalue < 1e-4


POINTS = np.array([[0.2, 0.1], [0.5, -0.5]])


def test_table_summarises_the_draws(posterior) -> None:
    table = effect_table(posterior, POINTS, baseline=[[0.0, 0.0]], level=0.8)
    draws = posterior.joint_effect(POINTS).to_numpy().reshape(-1, 2)
    start = posterior.joint_effect([[0.0, 0.0]]).to_numpy().reshape(-1, 1)
    np.testing.assert_allclose(table["mean"], draws.mean(axis=0))
    for change, prefix in ((draws, ""), (draws - start, "change_")):
        ends = np.quantile(change, [0.1, 0.9], axis=0)
        np.testing.assert_allclose([table[prefix + "low"], table[prefix + "high"]], ends)
    np.testing.assert_allclose(table["change"], (draws - start).mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(table["above_zero"], (draws > start).mean(axis=0))
    assert (table["outcome_low"] < table["low"]).all()
    assert (table["outcome_high"] > table["high"]).all()
    with pytest.raises(bi.PointsError, match="3 baselines for 2"):
        effect_table(posterior, POINTS, baseline=np.zeros((3, 2)))


def test_log_densities_are_of_the_outcome_itself() -> None:
    """Densities integrate to one over the outcome."""
    prediction = prediction_of(with_log_link(made_up(["a", "b"], draws=4)))
    terms = replace(prediction.terms, centre=0.3)
    prediction = replace(prediction, terms=terms, coefficients=0 * prediction.coefficients)
    grid, shape = np.exp(np.linspace(-9, 9, 4001)), (4001, 2)
    rows = Observations(("a", "b"), "sales", np.full(shape, 3.0), grid, np.zeros(shape, bool))
    density = np.exp(prediction.log_density(rows))
    np.testing.assert_allclose(np.trapezoid(density, grid), 1, rtol=1e-3)
    # Negative control: the density of the logarithm.
    assert np.trapezoid(density * grid, grid).max() > 1.1
