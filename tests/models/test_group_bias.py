"""Levels of confounding biases in groups."""

import jax
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.pilot.pilot import pilot_fit
from bayes_intgen.models.terms import Decomposition

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


def test_each_bias_has_a_level_in_every_group_where_it_acts() -> None:
    data = rows(0.5)
    terms = bi.models.additive("linear").decompose(data)
    names = [
        f"delta({name} | {of})"
        for name in data.names
        for of in ("region", f"usual {name} of region")
    ]
    assert set(names) <= {term.name for term in terms.terms}
    matrix = terms.matrix(data.inputs, data.intervened)
    for i, name in enumerate(names):
        columns = matrix[:, terms.columns[name]]
        assert (columns[data.intervened[:, i // 2]] == 0).all()
        # Their averages over the observational rows belong to the level of the bias.
        observational = ~data.intervened.any(axis=1)
        np.testing.assert_allclose(columns[observational].mean(axis=0), 0, atol=1e-12)


def test_groups_under_one_mask_tell_levels_of_biases_and_of_groups_not_apart() -> None:
    terms = bi.models.additive("linear").decompose(rows(0.5, own_groups=True))
    assert not [term.name for term in terms.terms if "| region" in term.name]


def test_the_usual_action_of_a_group_is_its_mean_where_it_was_not_set() -> None:
    rng = np.random.default_rng(0)
    data = rows(0.0)
    group = data.covariates[:, 0].astype(int)
    shift = rng.normal(size=GROUPS)
    moved = np.where(data.intervened, data.actions, data.actions + shift[group][:, None])
    shifted = bi.RegimeData.from_arrays(
        moved, data.outcome, data.intervened, groups={"region": group}
    )
    terms = bi.models.additive("linear").decompose(shifted)
    observational = ~shifted.intervened.any(axis=1)
    inputs = shifted.inputs[observational]
    matrix = terms.matrix(inputs, shifted.intervened[observational])
    for name in shifted.names:
        usual = matrix[:, terms.columns[f"delta({name} | usual {name} of region)"]][:, 0]
        assert np.corrcoef(usual, shift[group[observational]])[0, 1] > 0.95


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


def selected(data: bi.RegimeData) -> Decomposition:
    """Terms of the pilot fit, with levels of biases in groups as candidates."""
    model = bi.models.additive("linear")
    with jax.enable_x64(True):
        terms, candidates = model.decompose(data).without_group_biases()
        pilot = pilot_fit(data, model, terms, candidates, progress=False)
    return pilot.posterior.terms


def levels_of_biases(terms: Decomposition) -> dict[str, int]:
    return {t.name: t.component.basis.size for t in terms.terms if t.is_group_bias}


def test_biases_that_differ_have_a_level_in_every_group_also_in_those_that_rows_barely_inform() -> (
    None
):
    levels = {"delta(a1 | region)": GROUPS, "delta(a2 | region)": GROUPS}
    assert levels_of_biases(selected(rows(0.5))) == levels


@pytest.mark.parametrize("slope", [0.0, -1.0])
def test_levels_of_biases_are_judged_given_the_usual_action(slope: float) -> None:
    data = usual_actions_matter(slope)
    assert not levels_of_biases(selected(data))
    # The control: without the slope the levels have to explain what it did.
    model = bi.models.additive("linear")
    terms, candidates = model.decompose(data).without_group_biases()
    without_slope = terms.without([t.name for t in terms.terms if "| usual" in t.name])
    with jax.enable_x64(True):
        pilot = pilot_fit(data, model, without_slope, candidates, progress=False)
    assert bool(levels_of_biases(pilot.posterior.terms)) == bool(slope)
