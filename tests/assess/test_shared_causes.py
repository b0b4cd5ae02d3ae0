import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.assess.bootstrap import BootstrapResult, Untested
from bayes_intgen.assess.shared_causes import action_tests

LEVEL = 0.0126
KINDS = ("smooth", "binary", "levels", "atom")


def values_of(kind: str, index: np.ndarray) -> np.ndarray:
    return {
        "smooth": index,
        "binary": 1.0 * (index > 0.3),
        "levels": 1.0 * np.digitize(index, (-0.5, 0.7)),
        "atom": np.maximum(index, 0),
    }[kind]


def rows_of(
    seed: int,
    kind: str = "smooth",
    shared: float = 0.0,
    edges: tuple[tuple[int, int, float], ...] = ((0, 1, 1.0), (0, 2, 0.7), (1, 2, -0.7)),
    rows: int = 600,
    names: tuple[str, ...] = ("a1", "a2", "a3"),
    shift: float = 0.0,
) -> bi.RegimeData:
    """Rows of a world in which the hidden causes of the last two actions have a correlation.

    The experiment on the first action adds ``shift`` to the last one.
    """
    rng, count = np.random.default_rng(seed), len(names)
    masks = np.vstack([np.zeros(count), np.eye(count)]).astype(bool)
    pieces = []
    for mask in masks:
        causes = rng.normal(size=(rows, count))
        causes[:, -1] = shared * causes[:, -2] + np.sqrt(1 - shared**2) * causes[:, -1]
        actions = np.zeros((rows, count))
        for k in range(count):
            index = causes[:, k] + 0.7 * rng.normal(size=rows)
            index = index + shift * (mask[0] and k == count - 1)
            for parent, child, weight in edges:
                if child == k:
                    index = index + weight * actions[:, parent]
            setting = rng.normal(0.2, 1.3, size=rows)
            actions[:, k] = values_of(kind, setting if mask[k] else index)
        pieces.append(actions)
    return bi.RegimeData.from_arrays(
        np.concatenate(pieces), rng.normal(size=rows * (count + 1)), np.repeat(masks, rows, axis=0),
        names,
    )  # fmt: skip


def results_of(
    data: bi.RegimeData, kind: str = "shared cause"
) -> dict[tuple[int, int], BootstrapResult | Untested]:
    every = action_tests(data, bi.models.additive(), LEVEL, seed=0)
    some = [own for own in every if own.of.kind == kind]
    return dict(sorted((tuple(map(data.names.index, own.of.actions)), own) for own in some))


@pytest.mark.parametrize("kind", KINDS)
def test_an_experiment_that_changes_how_another_action_is_set_is_named(kind) -> None:
    for seed, edges in enumerate([((0, 1, 1.0), (0, 2, 0.7), (1, 2, -0.7)), ((2, 0, 0.8),), ()]):
        results = results_of(rows_of(seed, kind, edges=edges, rows=1000, shift=0.5), "shift")
        first = min(results, key=lambda pair: results[pair].p)
        assert first == (0, 2)
        assert results[first].p_familywise <= LEVEL
        assert 0.05 < results[first].size < 0.5


def test_actions_that_other_actions_move_are_not_shifted() -> None:
    worlds = [((0, 1, 1.0), (0, 2, 0.7), (1, 2, -0.7)), ((2, 0, 1.0), (2, 1, 1.0)), ()]
    p = [
        result.p
        for seed, edges in enumerate(worlds)
        for kind in KINDS
        for result in results_of(rows_of(300 + seed, kind, edges=edges), "shift").values()
    ]
    # Binomial: more than 5 of 72 at 1% has probability 0.0001, more than 50 at 50% 0.001.
    assert len(p) == 72
    assert sum(x <= 0.01 for x in p) <= 5
    assert sum(x <= 0.5 for x in p) <= 50


@pytest.mark.parametrize("kind", KINDS)
def test_a_shared_cause_is_detected_and_named(kind) -> None:
    named = 0
    for seed in range(3):
        results = results_of(rows_of(seed, kind, shared=0.8, rows=1000))
        first = min(results, key=lambda pair: (results[pair].p_familywise, results[pair].p))
        assert results[first].p_familywise <= LEVEL
        named += first == (1, 2)
        assert 0.05 < results[1, 2].size < 0.9
    assert named == 3


def test_dependence_that_experiments_explain_is_no_shared_cause() -> None:
    # Chains, forks, and weak edges, with strong dependence in rows where nothing is set.
    worlds = (
        ((0, 1, 1.0), (0, 2, 0.7), (1, 2, -0.7)),
        ((0, 1, 1.0), (0, 2, 1.0)),
        ((0, 1, 0.08), (1, 2, 0.08)),
        (),
    )
    smallest = np.array([
        min(r.p_familywise for r in results_of(rows_of(seed, kind, edges=edges)).values())
        for i, edges in enumerate(worlds)
        for j, kind in enumerate(KINDS)
        for seed in (100 + 10 * i + j, 200 + 10 * i + j)
    ])  # fmt: skip
    # Binomial: more than 3 of 32 at 1.26% has probability 0.0007, more than 24 at 50% 0.001.
    assert (smallest <= LEVEL).sum() <= 3
    assert (smallest <= 0.5).sum() <= 24
    # Negative control: the dependence itself is far from chance.
    data = rows_of(100)
    observed = data.actions[~data.intervened.any(axis=1)]
    assert abs(np.corrcoef(observed.T)[0, 1]) > 0.5


def test_detectable_correlation_is_detected_nine_times_in_ten() -> None:
    names, hits, trials = ("a1", "a2"), 0, 30
    (sound,) = results_of(rows_of(0, edges=(), names=names)).values()
    assert 0.05 < sound.detectable < 0.4
    # An action is its cause plus noise, with a share of 1 / 1.49 of its variance.
    shared = sound.detectable * 1.49
    for seed in range(trials):
        (result,) = results_of(rows_of(seed + 1, shared=shared, edges=(), names=names)).values()
        hits += result.p_familywise <= LEVEL
    # Below 22 has probability 0.003 at 90%; so has 30 at 82%.
    assert hits >= 22
    assert hits < 30 or sound.detectable > 0.1


def test_pairs_without_experiments_are_not_tested() -> None:
    data = rows_of(0)
    (none,) = results_of(rows_of(0, edges=(), names=("a1", "a2")).only([])).values()
    words = "a test of two actions needs rows with neither set and rows with one of them set"
    assert none.obstacle == words
    # One experiment suffices where it shows an effect or none.
    some = results_of(data.only([], ["a1"]))
    assert [isinstance(result, Untested) for result in some.values()] == [False, False, True]


def test_an_experiment_at_one_value_tests_nothing_beyond_it() -> None:
    rng = np.random.default_rng(0)
    masks = np.repeat([[False, False], [True, False], [False, True]], 300, axis=0)
    actions = rng.normal(size=(900, 2))

    def result_of(value: float) -> BootstrapResult | Untested:
        set_to = np.where(masks, value, np.round(actions))
        data = bi.RegimeData.from_arrays(set_to, rng.normal(size=900), masks)
        return results_of(data)[0, 1]

    # One of the values that are observed too, and another.
    assert 0.001 < result_of(1.0).p <= 1
    assert "too few rows, or too few values" in result_of(7.0).obstacle
