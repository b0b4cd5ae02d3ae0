"""Actions that are alike: what they share, how far they deviate, and answers about each."""

from dataclasses import replace

import numpy as np
import pytest
from _rows import fitted, frame_of, moments, one_at_a_time

import bayes_intgen as bi
from bayes_intgen.basis.combined import RateError
from bayes_intgen.decide.problem import JointSurface
from bayes_intgen.posterior.draws import prediction_of

NAMES = ("tv", "radio", "search", "print")
ALIKE, UNLIKE = (bi.models.additive(graph={}, alike=own) for own in ([NAMES], ()))
# Changes of one action, and reallocations between two.
START = np.full((5, 4), 1.5)
STEPS = [[-1.2, 0, 0, 0], [0, 1.5, 0, 0], [0, 0, 2, 0], [-1, 1, 0, 0], [0, 0, 1.2, -1.2]]
ENDS = START + np.array(STEPS)


def rows(weights=(1.0, 1.0, 1.0, 1.0), seed: int = 0) -> bi.RegimeData:
    """Spend with concave returns and hidden causes, and an experiment on each action."""
    rng, masks = np.random.default_rng(seed), one_at_a_time(4, [500, 120, 120, 120, 120])
    causes = rng.normal(size=masks.shape)
    usual = np.exp(0.5 * causes + 0.4 * rng.normal(size=masks.shape))
    actions = np.where(masks, rng.uniform(0, 4, size=masks.shape), usual)
    noise = 0.7 * rng.normal(size=len(masks))
    outcome = np.log1p(actions) @ weights + causes @ [0.5, -0.4, 0.3, 0.5] + noise
    return bi.RegimeData.from_arrays(actions, outcome, masks, NAMES)


def changes(data: bi.Rows, model=UNLIKE) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the changes of the joint effect."""
    return moments(fitted(data, model).contrast(ENDS, START))


def test_actions_with_the_same_curve_tell_of_each_other() -> None:
    truth = np.log1p(ENDS).sum(axis=1) - np.log1p(START).sum(axis=1)
    own = [changes(rows(seed=seed)) for seed in range(2)]
    shared = [changes(rows(seed=seed), ALIKE) for seed in range(2)]
    sds = [np.array([sd for _, sd in fits]) for fits in (shared, own)]
    assert (sds[0] / sds[1]).mean() < 0.9
    errors = [np.concatenate([mean - truth for mean, _ in fits]) for fits in (shared, own)]
    assert np.square(errors[0]).mean() < 0.8 * np.square(errors[1]).mean()
    assert max(np.abs((mean - truth) / sd).max() for mean, sd in shared) < 3.5


def test_actions_with_unlike_curves_keep_their_own() -> None:
    """Negative control of sharing: one action does the opposite of the others."""
    weights = np.array([1.5, -1.5, 1.0, 0.0])
    truth = (np.log1p(ENDS) - np.log1p(START)) @ weights
    mean, sd = changes(rows(weights), ALIKE)
    assert np.abs((mean - truth) / sd).max() < 3.5
    own_mean, own_sd = changes(rows(weights))
    assert (np.abs(mean - own_mean) < 1.5 * own_sd).all()
    assert (sd > 0.7 * own_sd).all()


def test_a_shared_function_belongs_to_the_contributions_and_is_no_interaction() -> None:
    fit = fitted(rows(), ALIKE)
    own = [fit.mechanisms(points)["unconfounded"].sum("action") for points in (ENDS, START)]
    np.testing.assert_allclose(own[0] - own[1], fit.contrast(ENDS, START), atol=1e-9)
    surface = JointSurface.of(prediction_of(fit), lambda effects, _: effects)
    assert surface.components == ((0,), (1,), (2,), (3,))
    assert not fit.terms.interactions


def test_a_lift_test_of_one_action_tells_of_those_like_it() -> None:
    data, of_tv, moved = rows(), np.array([[3.0, 1.5, 1.5, 1.5]]), list[float]()
    tested = [data.add_lift_test("radio", 1.5, 3.0, effect=own, se=0.03) for own in (0.2, 1.2)]
    for model in (ALIKE, UNLIKE):
        low, high = (fitted(own, model).contrast(of_tv, START[:1]).mean() for own in tested)
        moved.append(float(high - low))
    assert moved[0] > 0.03 > 0.02 > abs(moved[1])


def test_an_error_of_a_rate_changes_what_actions_share() -> None:
    frame = frame_of(rows()).assign(week=np.arange(980))
    weeks = bi.RegimeData.from_frame(frame, NAMES, "outcome", "regime", time="week")
    model = replace(ALIKE, carryover={"tv": bi.Adstock()})
    fit, of_tv = fitted(weeks, model), np.array([0.8, 2.0])
    (basis,) = (t.component.basis for t in fit.terms.terms if t.name == "phi(tv) rate error")
    assert isinstance(basis, RateError)
    slopes = basis.of_rows(of_tv[:, None], np.ones((2, 1)), np.empty((2, 0)))[:, 0]
    for value, slope in zip(of_tv, slopes, strict=True):
        ends = np.tile(START[0], (2, 1))
        ends[:, 0] = value + np.array([-0.1, 0.1])
        own = fit.mechanisms(ends)["unconfounded"].sel(action="tv").mean(("chain", "draw"))
        assert slope == pytest.approx(float(own.diff("point")[0]) / 0.2, rel=0.3)


def test_actions_with_the_same_levels_share_a_table() -> None:
    rng, masks = np.random.default_rng(0), one_at_a_time(2, 80)
    doses = rng.integers(0, 3, masks.shape).astype(float)
    outcome = np.array([0.0, 1.0, 0.5])[doses.astype(int)].sum(axis=1) + rng.normal(size=len(masks))
    own, sds = {name: bi.Levels() for name in ("drug", "rival")}, list[float]()
    data = bi.RegimeData.from_arrays(doses, outcome, masks, tuple(own))
    for alike in ((), [own]):
        model = bi.models.additive(graph={}, unconfounded=own, bias=own, alike=alike)
        change = fitted(data, model).contrast([[1.0, 0.0]], [[0.0, 0.0]])
        assert abs(float(change.mean()) - 1.0) < 3 * float(change.std())
        sds.append(float(change.std()))
    assert sds[1] < sds[0]


def test_actions_with_different_levels_cannot_share_a_function() -> None:
    words = np.array([["a", "x"], ["b", "y"], ["c", "z"]] * 40, dtype=object)
    data = bi.RegimeData.from_arrays(words, np.arange(120.0), np.zeros((120, 2)), ("one", "other"))
    with pytest.raises(bi.ModelError, match="'one' and 'other' have different levels"):
        bi.models.additive(alike=[["one", "other"]]).decompose(data)
