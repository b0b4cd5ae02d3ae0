"""Single outcomes: the shape of their distribution, zeros and ones, and counts."""

import numpy as np
import pytest

import bayes_intgen as bi

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


@pytest.fixture(scope="module")
def heavy() -> bi.Posterior:
    return fit(dataset(heavy_rows, lambda score, rng: score, 1500, 0))


def with_pooled_shape(posterior: bi.Posterior) -> bi.Posterior:
    """The same fit as saved by versions that pooled the residuals of all rows."""
    tree = posterior.tree.copy()
    names = ["shape", "shape_deviation", "quantity", "feature"]
    tree["noise"] = tree["noise"].to_dataset().drop_vars(names)
    del tree.attrs["outcome_kind"]
    return bi.Posterior(tree)


def coverage(posterior: bi.Posterior, mask: tuple[bool, bool], level: float) -> float:
    """Share of outcomes under a mask within predictive intervals."""
    actions, outcome = heavy_rows(mask, 3000, np.random.default_rng(1))
    keep = np.abs(actions).max(axis=1) < 1.5
    names = [name for name, was_set in zip(NAMES, mask, strict=True) if was_set]
    draws = posterior.outcome(actions[keep], names)
    low, high = draws.quantile([0.5 - level / 2, 0.5 + level / 2], ("chain", "draw")).to_numpy()
    return float(np.mean((low < outcome[keep]) & (outcome[keep] < high)))


@pytest.mark.filterwarnings("ignore::bayes_intgen.BayesIntgenWarning")
def test_outcomes_have_the_shape_of_their_mask(heavy) -> None:
    gaps = {}
    for name, posterior in (("mask", heavy), ("pooled", with_pooled_shape(heavy))):
        gaps[name] = [
            coverage(posterior, mask, level) - level
            for mask in ((True, False), (True, True))
            for level in (0.5, 0.9)
        ]
    assert np.abs(gaps["mask"]).max() < 0.05
    # Negative control: residuals of all regimes pooled.
    assert np.abs(gaps["pooled"]).max() > 0.08


@pytest.mark.filterwarnings("ignore::bayes_intgen.BayesIntgenWarning")
def test_shape_is_saved_and_fits_without_it_load(heavy, tmp_path) -> None:
    points = [[0.1, 0.2], [0.0, -0.3]]
    for i, posterior in enumerate((heavy, with_pooled_shape(heavy))):
        posterior.save(tmp_path / f"{i}.nc")
        loaded = bi.load(tmp_path / f"{i}.nc")
        np.testing.assert_array_equal(loaded.outcome(points), posterior.outcome(points))
        np.testing.assert_array_equal(loaded.joint_effect(points), heavy.joint_effect(points))
    broken = bi.Posterior(heavy.tree.copy(deep=True))
    broken.tree["noise"] = broken.tree["noise"].to_dataset().isel(feature=slice(3))
    with pytest.raises(bi.SavedFitError, match="noise's shape"):
        broken.save(tmp_path / "broken.nc")


@pytest.mark.filterwarnings("ignore::bayes_intgen.BayesIntgenWarning")
def test_constant_variance_has_one_shape() -> None:
    data = dataset(heavy_rows, lambda score, rng: score, 400, 2)
    posterior = fit(data, spread="constant")
    assert posterior.tree["noise"].sizes["feature"] == 1
    points, names = np.zeros((40, 2)), ["red"]
    draws = posterior.outcome(points, names) - posterior.effect(points, names)
    # Heavy tails: kurtosis three is the normal law's.
    assert float((draws**4).mean() / (draws**2).mean() ** 2) > 4
