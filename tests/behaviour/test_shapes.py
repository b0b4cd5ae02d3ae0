"""Shapes of effects: draws obey them, errors say where they make no sense, `check` tests them."""

from dataclasses import replace

import numpy as np
import pytest
from _rows import fitted, frame_of, one_at_a_time

import bayes_intgen as bi

ROWS, NAMES = 150, ["tv", "radio"]
# Curves are asked for beyond the range of the rows, where effects stay as at its ends.
pytestmark = pytest.mark.filterwarnings(
    "ignore::bayes_intgen.SupportWarning", "ignore::bayes_intgen.errors.DataWarning"
)


def table(curve=np.log1p, *, rows: int = ROWS, seed: int = 0, levels: int = 0) -> bi.RegimeData:
    """Rows of two actions between 0 and 4, whose effects are a curve, with hidden causes."""
    rng, pieces = np.random.default_rng(seed), []
    for k in (-1, 0, 1):
        causes = rng.normal(size=(rows, 2))
        actions = np.clip(2 + 0.7 * causes + 0.5 * rng.normal(size=(rows, 2)), 0, 4)
        if k >= 0:
            actions[:, k] = rng.uniform(0, 4, rows)
        if levels:
            actions = np.round(actions * (levels - 1) / 4)
        noise = rng.normal(size=rows)
        outcome = curve(actions[:, 0]) + 0.5 * np.log1p(actions[:, 1]) + causes.sum(axis=1) + noise
        pieces.append((actions, outcome))
    actions, outcome = (np.concatenate(own) for own in zip(*pieces, strict=True))
    return bi.RegimeData.from_arrays(actions, outcome, one_at_a_time(2, rows), NAMES)


def curves(posterior: bi.Posterior, data: bi.RegimeData, other: float) -> np.ndarray:
    """Draws of the joint effect along tv, over its range, shape (draw, value)."""
    low, high = data.actions[:, 0].min(), data.actions[:, 0].max()
    values = np.linspace(low - 1, high + 1, 240)
    effect = posterior.joint_effect(np.column_stack([values, np.full(240, other)]))
    return effect.transpose("chain", "draw", ...).to_numpy().reshape(-1, 240)


def largest_fall(draws: np.ndarray) -> float:
    """Largest fall of a draw, relative to its range."""
    falls = (np.maximum.accumulate(draws, axis=1) - draws).max(axis=1)
    return float((falls / np.ptp(draws, axis=1)).max())


def largest_gap(draws: np.ndarray) -> float:
    """Largest distance of a draw below a chord within the range, relative to its range."""
    inside = draws[:, 45:195:5]
    chords = (inside[:, :-2] + inside[:, 2:]) / 2
    return float(((chords - inside[:, 1:-1]).max(axis=1) / np.ptp(inside, axis=1)).max())


@pytest.mark.parametrize("family", [bi.GP, bi.Spline])
@pytest.mark.parametrize("interactions", [None, [("tv", "radio")]])
def test_every_draw_has_its_shape(family, interactions) -> None:
    data, at = table(), (0.0, 2.0, 4.0) if interactions else (2.0,)
    free = fitted(data, bi.models.additive(family(), interactions=interactions))
    assert min(largest_fall(curves(free, data, other)) for other in at) > 0.05
    prior = family(shape="increasing concave")
    model = bi.models.additive(unconfounded={"tv": prior}, interactions=interactions)
    posterior = fitted(data, model)
    for other in at:
        assert largest_fall(curves(posterior, data, other)) < 0.01
        assert largest_gap(curves(posterior, data, other)) < 0.01


def test_shapes_of_the_default_prior_concern_every_action() -> None:
    data = table(lambda a: -np.log1p(a))
    turned = data.actions[:, ::-1], -data.outcome, data.intervened[:, ::-1]
    swapped = bi.RegimeData.from_arrays(*turned, NAMES)
    model = bi.models.additive(bi.GP(shape="decreasing"))
    for rows in (data, swapped):
        assert largest_fall(-curves(fitted(rows, model), rows, 2.0)) < 0.01


def test_means_increase_in_a_multiplicative_model_of_constant_spread() -> None:
    data = table()
    positive = replace(data, outcome=np.exp(data.outcome / 3))
    falls = []
    for shape in ("free", "increasing"):
        model = bi.models.multiplicative(bi.GP(shape=shape), spread="constant")
        falls.append(largest_fall(curves(fitted(positive, model), positive, 2.0)))
    assert falls[0] > 0.05
    assert falls[1] < 0.01


def test_levels_with_an_order_have_a_shape() -> None:
    data = table(levels=4)
    model = bi.models.additive(unconfounded={"tv": bi.Levels(shape="increasing")})
    assert largest_fall(curves(fitted(data, bi.models.additive()), data, 2.0)) > 0.01
    assert largest_fall(curves(fitted(data, model), data, 2.0)) < 1e-6


def test_draws_that_have_the_shape_stay_to_the_last_bit() -> None:
    data = table(lambda a: 20 * a)
    free, shaped = (
        curves(fitted(data, bi.models.additive(unconfounded={"tv": bi.GP(shape=shape)})), data, 2.0)
        for shape in ("free", "increasing")
    )
    increases = (np.diff(free, axis=1) >= 0).all(axis=1)
    stay = (free == shaped).all(axis=1)
    assert 0.1 < increases.mean() < 0.9
    # Those that fall by next to nothing between these values move.
    assert stay[increases].mean() > 0.8
    assert stay[~increases].mean() < 0.2


def test_saved_and_updated_fits_keep_the_shape(tmp_path) -> None:
    data, model = table(), bi.models.additive(bi.GP(shape="increasing"))
    posterior = fitted(data, model)
    posterior.save(tmp_path / "fit.nc")
    loaded = bi.load(tmp_path / "fit.nc")
    assert loaded.model.prior.shape == "increasing"
    np.testing.assert_array_equal(curves(loaded, data, 2.0), curves(posterior, data, 2.0))
    more = posterior.update(table(rows=10, seed=1), progress=False)
    assert largest_fall(curves(more, data, 2.0)) < 0.01


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: bi.GP(shape="rising"), "unknown shape 'rising'; choose 'free' or 'increasing'"),
        (lambda: bi.Levels(ordered=False, shape="increasing"), "without an order"),
        (lambda: bi.models.additive(bias={"tv": bi.GP(shape="concave")}), r"bias\['tv'\] cannot"),
        (lambda: bi.models.additive(covariates={"x": bi.GP(shape="concave")}), "a covariate"),
        (lambda: bi.models.pooled(bi.GP(shape="concave")), "a regression cannot be concave"),
        (lambda: bi.models.multiplicative(bi.GP(shape="concave")), "only the logarithm"),
    ],
)
def test_shapes_without_meaning_are_refused(build, message) -> None:
    with pytest.raises(bi.errors.ModelError, match=message):
        build()


def test_levels_of_text_without_an_order_have_no_shape() -> None:
    frame = frame_of(table(levels=3))
    data = bi.read(frame.assign(tv=frame["tv"].map(dict(enumerate("abc")))), NAMES, "outcome")
    model = bi.models.additive(unconfounded={"tv": bi.Levels(shape="increasing")})
    with pytest.raises(bi.errors.ModelError, match="'tv' cannot be increasing: its levels"):
        fitted(data, model)


def test_check_says_where_rows_contradict_a_shape() -> None:
    model = bi.models.additive(unconfounded={"tv": bi.GP(shape="increasing")})
    right = bi.check(table(rows=300), model, held_out=0, progress=False)
    assert not right.violated
    assert "shape" in right.table["kind"]
    wrong = bi.check(table(lambda a: (a - 2) ** 2, rows=300), model, progress=False)
    assert wrong.violated
    assert "by tv" in str(wrong)
    assert "the effect of tv is not increasing: it falls between tv = 0." in str(wrong)
    assert 1 < float(wrong.table["size"].sel(test=wrong.likeliest)) < 4
    free = bi.check(table(lambda a: (a - 2) ** 2), held_out=0, progress=False)
    assert "shape" not in free.table["kind"]
