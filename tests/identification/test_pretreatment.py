import numpy as np
import pytest

from bayes_intgen.identification.pretreatment import changed_covariates

NO_GROUPS = np.empty((400, 0))
MASKS = np.repeat([[False, False], [True, False], [False, True], [False, False]], 100, axis=0)


def changed(covariates, levels, masks=MASKS, groups=NO_GROUPS) -> set[tuple[int, int]]:
    found = changed_covariates(covariates, levels, masks, groups)
    return {(change.covariate, change.action) for change in found}


def test_changed_numbers_and_levels_are_named_with_their_action() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=400)
    level = rng.integers(0, 3, size=400).astype(float)
    same = np.stack([numbers, level], axis=1)
    assert changed(same, [False, True]) == set()
    moved = np.stack([numbers + MASKS[:, 0], np.where(MASKS[:, 1], 2.0, level)], axis=1)
    assert changed(moved, [False, True]) == {(0, 0), (1, 1)}
    # A monotone transformation does not matter.
    assert changed(np.exp(5 * moved), [False, True]) == {(0, 0), (1, 1)}


def test_rows_that_differ_in_another_action_too_are_not_compared() -> None:
    rng = np.random.default_rng(0)
    # Rows of the second experiment are elsewhere; those of the first are like the observational.
    moved = rng.normal(size=(400, 1)) + 3 * MASKS[:, 1:]
    assert changed(moved, [False]) == {(0, 1)}
    # Without a common mask to compare with, every row is used.
    both = np.repeat([[True, False], [False, True]], 200, axis=0)
    assert changed(rng.normal(size=(400, 1)) + both[:, 1:], [False], both) == {(0, 0), (0, 1)}


def regions(rng, regions: int = 24, rows: int = 40, history: bool = False):
    """Codes, masks and the income of regions, each with at most one experiment."""
    code = np.repeat(np.arange(regions), rows)
    experiment = rng.permutation(np.arange(regions) % 3)[code]
    set_now = np.tile(np.arange(rows) >= rows // 2, regions) if history else True
    masks = np.stack([(experiment == k) & set_now for k in (0, 1)], axis=1)
    return code[:, None].astype(float), masks, rng.normal(size=regions)[code]


def false_alarms(history: bool, with_groups: bool, worlds: int = 100) -> int:
    count = 0
    for seed in range(worlds):
        code, masks, income = regions(np.random.default_rng(seed), history=history)
        groups = code if with_groups else code[:, :0]
        count += bool(changed(income[:, None], [False], masks, groups))
    return count


def test_regional_experiments_give_no_alarm_but_rows_alone_would() -> None:
    # 100 worlds at 1%: more than four alarms have a probability of 0.3%.
    assert false_alarms(history=False, with_groups=True) <= 4
    assert false_alarms(history=True, with_groups=True) <= 4
    # Negative control: rows are not independent.
    assert false_alarms(history=False, with_groups=False) > 50


@pytest.mark.parametrize("kind", ["normal", "rare", "skewed"])
def test_false_alarms_are_rare_with_few_rows(kind) -> None:
    masks = np.repeat([[False, False], [True, False], [False, True]], [200, 6, 6], axis=0)
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        column = {
            "normal": rng.normal(size=212),
            "rare": (rng.random(212) < 0.03).astype(float),
            "skewed": rng.exponential(size=212) ** 4,
        }[kind]
        alarms += bool(changed(column[:, None], [kind == "rare"], masks, np.empty((212, 0))))
    # 200 worlds at 1%: more than seven have a probability of 0.1%.
    assert alarms <= 7


def test_changes_within_groups_are_detected_among_different_groups() -> None:
    rng = np.random.default_rng(0)
    code, masks, income = regions(rng, history=True)
    demand = 5 * income + rng.normal(size=len(income))
    columns = np.stack([demand, demand + 2 * masks[:, 0]], axis=1)
    assert changed(columns, [False, False], masks, code) == {(1, 0)}
    # A change must show for each grouping: two groups, one per regime, cannot show any.
    two = np.concatenate([code, masks[:, :1]], axis=1)
    assert changed(columns, [False, False], masks, two) == set()
