"""Points that are called supported: with interactions, more rows, and values of many rows."""

import numpy as np
import pandas as pd
import pytest
from _rows import fitted, one_at_a_time

import bayes_intgen as bi


def fit_of(actions: np.ndarray, masks: np.ndarray, interacts: bool) -> bi.Posterior:
    """Fit of two actions without edges, which may interact."""
    noise = 0.3 * np.random.default_rng(0).normal(size=len(actions))
    data = bi.RegimeData.from_arrays(actions, actions.sum(axis=1) + noise, masks, ["a1", "a2"])
    pairs = [("a2", "a1")] if interacts else None
    return fitted(data, bi.models.additive(graph={}, interactions=pairs), draws=50)


def test_a_sum_that_contains_other_values_of_an_interaction_is_not_supported() -> None:
    cells = [[(0, 1), (1, 0)], [(0, 0)], [(1, 1)]]
    actions = np.concatenate([np.resize(own, (200, 2)) for own in cells]).astype(float)
    masks = one_at_a_time(2, 200)
    # do(a1) at (0, 0) + do(a2) at (1, 1) - observational at (1, 0) is the effect at (0, 1) if the
    # actions do not interact. Otherwise it has the interaction at three other points.
    assert fit_of(actions, masks, False).support([[0.0, 1.0]]).supported
    posterior = fit_of(actions, masks, True)
    assert not posterior.support([[0.0, 1.0]]).supported
    with pytest.warns(bi.SupportWarning, match="do not reach these values together"):
        posterior.joint_effect([[0.0, 1.0]])


def test_a_corner_that_no_regime_reaches_is_supported_without_the_interaction_only() -> None:
    masks = one_at_a_time(2, 400)
    square = np.random.default_rng(1).uniform(-1, 1, (len(masks), 2))
    in_corner = (square > 0.2).all(axis=1)
    without = square - np.outer(in_corner, [0.0, 1.2])
    points = [[0.8, 0.8], [-0.8, 0.5], [0.5, -0.8]]
    for actions, interacts in ((square, True), (square, False), (without, False)):
        assert fit_of(actions, masks, interacts).support(points).supported.all()
    posterior = fit_of(without, masks, True)
    assert posterior.support(points).supported.to_numpy().tolist() == [False, True, True]
    with pytest.warns(bi.SupportWarning, match="actions that interact together"):
        posterior.joint_effect(points)


def test_warnings_name_values_without_support_and_no_range_with_support() -> None:
    masks = one_at_a_time(2, 200)
    square = np.random.default_rng(2).uniform(-1, 1, (len(masks), 2))
    # The experiment on the first action leaves out both ends of its range.
    actions = np.where(masks, 0.5 * square, square)
    values = [-0.95, -0.9, -0.85, 0.0, 0.2, 0.85, 0.9, 0.95]
    with pytest.warns(bi.SupportWarning, match="'a1' = .0.95 to .0.85 or 0.85 to 0.95."):
        fit_of(actions, masks, False).joint_effect([[value, 0.0] for value in values])


def test_more_rows_at_the_same_levels_never_take_support_away() -> None:
    def draw(rng: np.random.Generator, shares: np.ndarray, n: int) -> pd.DataFrame:
        frame = pd.DataFrame({"regime": np.repeat(["", "a1", "a2"], n)})
        for k, name in enumerate(("a1", "a2")):
            parts = [rng.choice(["x", "y", "z"], n, p=p) for p in shares[:, k]]
            frame[name] = np.concatenate(parts)
        return frame.assign(outcome=rng.normal(size=3 * n))

    n_supported = gained = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        shares = rng.dirichlet(np.full(3, 0.6), size=(3, 2))
        few, more = draw(rng, shares, 60), draw(rng, shares, 200)
        points = few.loc[~few[["a1", "a2"]].duplicated(), ["a1", "a2"]]
        before, after = (
            bi.read(frame, ["a1", "a2"], "outcome").support(points).supported.to_numpy()
            for frame in (few, pd.concat([few, more]))
        )
        assert not (before & ~after).any(), seed
        n_supported, gained = n_supported + before.sum(), gained + (after & ~before).sum()
    assert n_supported > 20
    assert gained > 5


@pytest.mark.parametrize(("n_actions", "n", "times"), [(2, 100, 10), (2, 600, 20), (3, 200, 20)])
def test_more_rows_never_take_the_support_of_numbers_away(n_actions, n, times) -> None:
    masks, names = one_at_a_time(n_actions, n), [f"a{k + 1}" for k in range(n_actions)]
    kept = gained = lost = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        # The added rows have the same values of each action, in other combinations: equal scales.
        own = rng.standard_t(3, size=(len(masks), n_actions))
        values = np.concatenate([rng.permuted(own, axis=0) for _ in range(times)])
        outcome = rng.normal(size=len(values))
        points = np.concatenate([rng.permuted(values[:n], axis=0), 2 * values[:n]])
        every = np.resize(masks, values.shape)
        data = bi.RegimeData.from_arrays(values, outcome, every, names)
        for actions in (names, names[:1]):
            before, after = (
                own.support(points, actions).supported.to_numpy()
                for own in (data.take(slice(len(masks))), data)
            )
            lost += int((before & ~after).sum())
            kept, gained = kept + int(before.sum()), gained + int((after & ~before).sum())
            # Negative control: points away from all rows.
            assert not after[len(points) // 2 :].all()
    assert lost == 0
    assert kept > 100
    assert gained > 0


def test_an_update_keeps_what_is_supported() -> None:
    rng, masks = np.random.default_rng(0), np.resize(one_at_a_time(2, 1), (660, 2))
    actions = rng.normal(size=masks.shape)
    outcome = actions.sum(axis=1) + rng.normal(size=len(masks))
    data = bi.RegimeData.from_arrays(actions, outcome, masks, ["a1", "a2"])
    earlier = np.arange(len(masks)) < 600
    posterior = fitted(data.take(earlier), draws=50)
    updated = posterior.update(data.take(~earlier), progress=False)
    points = rng.uniform(-4, 4, (2000, 2))
    for names in (["a1", "a2"], ["a1"], []):
        before, after = (fit.support(points, names) for fit in (posterior, updated))
        # Scales are those of the first fit: distances from rows only shrink.
        assert (after.joint_distance <= before.joint_distance + 1e-12).all()
        assert not (before.supported & ~after.supported).any()
        assert before.supported.sum() < after.supported.sum() < len(points)


def rows_at_zero(visited: bool) -> bi.RegimeData:
    """A history with a third of spend at zero; experiments set zero, or only amounts above it."""
    rng, frames = np.random.default_rng(0), []
    for regime in ("", "tv", "radio"):
        spend = np.maximum(0, 0.5 + rng.normal(size=(400, 2)))
        if regime:
            own = rng.uniform(0, 3, 400) * ((rng.random(400) > 0.2) | (not visited))
            spend[:, ["tv", "radio"].index(regime)] = own
        frame = pd.DataFrame(spend, columns=["tv", "radio"])
        frames.append(frame.assign(y=spend.sum(axis=1) + rng.normal(size=400), regime=regime))
    return bi.RegimeData.from_frame(pd.concat(frames), ["tv", "radio"], "y", "regime")


@pytest.mark.parametrize("visited", [True, False])
def test_an_atom_is_supported_where_experiments_visit_it(visited: bool) -> None:
    posterior = fitted(rows_at_zero(visited), bi.models.additive("linear", graph={}), draws=40)
    points = {"tv": [0.0, 0.05, 1.0], "radio": [1.0, 1.0, 1.0]}
    supported = posterior.support(points)["supported"].to_numpy()
    assert supported.tolist() == [visited, True, True]
    ones = {"tv": 1.0, "radio": 1.0}
    plan = posterior.best(bi.Decision(ones, value=0.1, baseline=ones), "mean")
    assert (plan.point["tv"] == 0.0) == visited
    assert plan.supported
