import numpy as np
import pytest

from bayes_intgen.identification.pretreatment import changed_covariates

NO_GROUPS = np.empty((400, 0))
MASKS = np.repeat([[False, False], [True, False], [False, True], [False, False]], 100, axis=0)


def changed(
    covariates, levels, masks=MASKS, groups=NO_GROUPS, actions=None, action_levels=(), dates=None
) -> set[tuple[int, int]]:
    rows = len(covariates)
    if actions is None:
        actions, action_levels = np.zeros(masks.shape), [False] * masks.shape[1]
    dates = np.empty((rows, 0)) if dates is None else dates
    groups = groups if groups.size else np.empty((rows, 0))
    found = changed_covariates(covariates, actions, [*levels, *action_levels], masks, groups, dates)
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
        alarms += bool(changed(column[:, None], [kind == "rare"], masks))
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


def settings(rng, kind: str, regions: int = 12, weeks: int = 60):
    """Codes, weeks and masks of a panel, settings, and columns that no action changes."""
    region, week = (own.ravel() for own in np.indices((regions, weeks)))
    masks = np.stack([(region % 3 == k) & (week // 20 == k) for k in (0, 1)], axis=1)
    settings = {
        "rows": rng.normal(size=(len(week), 2)),
        "levels": rng.integers(0, 3, size=(len(week), 2)).astype(float),
        "weeks": rng.normal(size=(weeks, 2))[week],
        "months": rng.normal(size=(weeks, 2))[week // 4],
        "regions": rng.normal(size=(regions, 2))[region],
    }[kind]
    noise = rng.normal(size=len(week))
    walk, income = np.cumsum(rng.normal(size=weeks))[week], rng.normal(size=regions)[region]
    season = np.sin(week / 8 + rng.uniform(0, 6))
    columns = np.stack([season + 0.2 * noise, walk + 0.2 * noise, income + 0.2 * noise], axis=1)
    return region[:, None].astype(float), week[:, None].astype(float), masks, settings, columns


@pytest.mark.parametrize("kind", ["rows", "levels", "weeks", "months", "regions"])
def test_columns_that_no_setting_changes_give_no_alarm(kind) -> None:
    alarms = controls = 0
    for seed in range(40):
        region, week, masks, values, columns = settings(np.random.default_rng(seed), kind)
        levels = [kind == "levels"] * 2
        alarms += bool(changed(columns, [False] * 3, masks, region, values, levels, week))
        controls += bool(changed(columns, [False] * 3, masks, NO_GROUPS[:0], values, levels))
    # 40 worlds at 1%: more than three alarms have a probability of 0.1%.
    assert alarms <= 3
    # Negative control: rows are not independent.
    assert controls > 20


@pytest.mark.parametrize("kind", ["rows", "levels", "weeks"])
def test_consequences_of_the_value_of_an_action_are_found(kind) -> None:
    rng = np.random.default_rng(0)
    region, week, masks, values, columns = settings(rng, kind)
    visits = 3 * values[:, 0] + rng.normal(size=len(values))
    columns = np.column_stack([columns, visits])
    found = changed(columns, [False] * 4, masks, region, values, [kind == "levels"] * 2, week)
    assert found == {(3, 0)}


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_every_coding_of_an_action_shows_its_consequences(share) -> None:
    rng = np.random.default_rng(0)
    on = (rng.random(400) < share).astype(float)
    doses = rng.integers(0, 5, size=400).astype(float)
    responds = (rng.random(400) < np.where(MASKS[:, 0], 0.1 + 0.8 * on, 0.5)).astype(float)
    highest = (rng.random(400) < np.where(MASKS[:, 1] & (doses == 2), 0.9, 0.3)).astype(float)
    columns, actions = np.stack([responds, highest], axis=1), np.stack([on, doses], axis=1)
    for levels in ([False, True], [True, True]):
        found = changed(columns, [True, True], actions=actions, action_levels=levels)
        assert found >= {(0, 0), (1, 1)}


def test_days_of_the_week_do_not_differ_between_branches() -> None:
    branch, day = (own.ravel() for own in np.indices((6, 250)))
    masks = np.stack([(day // 40) % 6 == k for k in (1, 3, 5)], axis=1)
    found = changed((day % 6 * 1.0)[:, None], [True], masks, branch[:, None], dates=day[:, None])
    assert found == set()


def test_settings_that_drift_are_no_experiment() -> None:
    masks, day = np.ones((400, 1), dtype=bool), np.arange(400.0)[:, None]
    alarms = controls = 0
    for seed in range(30):
        walks = np.cumsum(np.random.default_rng(seed).normal(size=(400, 2)), axis=0)
        world = walks[:, :1], [False], masks, NO_GROUPS, walks[:, 1:], [False]
        alarms += bool(changed(*world, dates=day))
        controls += bool(changed(*world))
    assert alarms <= 2
    assert controls > 20
