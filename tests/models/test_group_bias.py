"""Levels of confounding biases in groups."""

import numpy as np
import pytest

import bayes_intgen as bi

GROUPS, ROWS = 12, 600


def rows(bias_sd: float, own_groups: bool = False) -> bi.RegimeData:
    """Rows of two actions; each experiment is in four of twelve groups, history in all."""
    rng = np.random.default_rng(3)
    biases = bias_sd * rng.normal(size=(GROUPS, 2))
    masks = np.repeat([[False, False], [True, False], [False, True]], ROWS, axis=0)
    where = [range(8, 12) if own_groups else range(12), range(4), range(4, 8)]
    group = np.concatenate([rng.choice(list(own), ROWS) for own in where])
    actions = rng.normal(size=(3 * ROWS, 2))
    noise = 0.3 * rng.normal(size=3 * ROWS)
    outcome = actions.sum(axis=1) + np.sum(~masks * biases[group], axis=1) + noise
    return bi.RegimeData.from_arrays(actions, outcome, masks, groups={"region": group})


def test_groups_under_one_mask_tell_levels_of_biases_and_of_groups_not_apart() -> None:
    terms = bi.models.additive("linear").decompose(rows(0.5, own_groups=True))
    assert not [term.name for term in terms.terms if "| region" in term.name]


@pytest.mark.slow
def test_biases_that_differ_between_groups_widen_intervals() -> None:
    """An experiment in four groups says little about the bias in eight others."""

    def level_sd(bias_sd: float) -> float:
        posterior = bi.fit(
            rows(bias_sd), bi.models.additive("linear"), draws=200, warmup=200, progress=False
        )
        return float(posterior.joint_effect([[0.0, 0.0]]).std())

    differ, equal = level_sd(0.5), level_sd(0.0)
    # Two averages over four of twelve groups.
    assert differ == pytest.approx(0.5 * np.sqrt(2 * (1 / 4 - 1 / 12)), rel=0.5)
    assert equal < 0.3 * differ


def usual_actions_matter(slope: float) -> bi.RegimeData:
    """Rows of groups whose usual actions differ, and whose biases do by a multiple of them."""
    rng = np.random.default_rng(5)
    shift = 0.5 * rng.normal(size=(GROUPS, 2))
    masks = np.repeat([[False, False], [True, False], [False, True]], ROWS, axis=0)
    where = [range(GROUPS), range(4), range(4, 8)]
    group = np.concatenate([rng.choice(list(own), ROWS) for own in where])
    actions = rng.normal(size=(3 * ROWS, 2)) + ~masks * shift[group]
    usual = np.zeros((GROUPS, 2))
    for k, g in np.ndindex(2, GROUPS):
        usual[g, k] = actions[~masks[:, k] & (group == g), k].mean()
    noise = 0.3 * rng.normal(size=3 * ROWS)
    outcome = actions.sum(axis=1) + np.sum(~masks * slope * usual[group], axis=1) + noise
    return bi.RegimeData.from_arrays(actions, outcome, masks, groups={"region": group})


def levels_of_biases(data: bi.RegimeData) -> dict[str, int]:
    """Terms of a fit that are levels of biases in groups, with their numbers of groups."""
    fit = bi.fit(data, bi.models.additive("linear"), method="laplace", progress=False)
    return {t.name: t.component.basis.size for t in fit.terms.terms if t.is_group_bias}


def test_biases_that_differ_have_a_level_in_every_group_also_where_rows_barely_inform() -> None:
    levels = {"delta(a1 | region)": GROUPS, "delta(a2 | region)": GROUPS}
    assert levels_of_biases(rows(0.5)) == levels


@pytest.mark.parametrize("slope", [0.0, -1.0])
def test_the_usual_action_explains_biases_that_differ_with_it(slope: float) -> None:
    assert not levels_of_biases(usual_actions_matter(slope))
