from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from _rows import one_at_a_time

import bayes_intgen as bi

from _posteriors import joined
from conftest import confounded_rows, joint_truth

# Under the default, actions may interact, so that an interaction violates nothing.
ADDITIVE = bi.models.additive(interactions=None)


def checked(data: bi.RegimeData, model: bi.models.Model | None = None) -> bi.Check:
    return bi.check(data, model, held_out=0, progress=False)


def test_sound_world_passes_with_the_reach_of_the_tests(data) -> None:
    result = bi.check(data, ADDITIVE, progress=False)
    assert not result.violated
    assert result.p == float(result.table["p_familywise"].min())
    text = str(result)
    assert text.startswith("No sign of violation (p = ")
    assert "would be detected with probability 0.9" in text
    assert "No row has several actions set" in text
    assert "225 held-out rows" in text
    assert set(result.held_out.data_vars) == {"difference", "error", "rows"}
    same = bi.check(data, ADDITIVE, progress=False)
    xr.testing.assert_identical(result.table, same.table)


def test_interaction_is_located() -> None:
    base = bi.simulators.DoseResponse.random(3, seed=1)
    world = bi.simulators.Interacting(base, strength=0.4, pair=("drug1", "drug3"))
    rows: dict[tuple[str, ...], int] = {(): 400, **{(n,): 400 for n in base.names}}
    data = world.dataset({**rows, base.names: 200}, seed=2)
    result = checked(data, ADDITIVE)
    assert result.violated
    assert result.likeliest == "interaction of drug1 and drug3"
    assert str(result).startswith("Violated, most likely between drug1 and drug3 (p ")
    assert "200 rows have several actions set" in str(result)
    row = result.table.sel(test=result.likeliest)
    assert row["between"].to_numpy().tolist() == [True, False, True]
    assert float(row["weight"]) > 0.9
    # No share of 999 bootstrap samples is that small.
    assert float(row["p"]) < 1e-6
    added = world.interaction(data.actions) - base.interaction(data.actions)
    assert float(row["size"]) == pytest.approx(added.std(), rel=0.3)
    # A model in which the actions may interact contradicts nothing.
    allowed = checked(data, bi.models.additive(interactions=[("drug3", "drug1")]))
    assert "interaction of drug1 and drug3" not in allowed.table["test"].to_numpy()
    assert not allowed.violated
    assert not checked(data).violated


def test_wrong_graph_is_rejected_and_the_right_one_is_not() -> None:
    data = confounded_rows(600, seed=3)
    wrong = checked(data, bi.models.additive(graph={}))
    assert wrong.violated
    assert wrong.likeliest == "bias of green depends on red"
    assert "which the graph does not allow" in str(wrong)
    assert not checked(data, bi.models.additive(graph={"green": ["red"]})).violated


def test_shifted_joint_rows_are_detected() -> None:
    data, rng = confounded_rows(300, seed=4), np.random.default_rng(5)
    actions = rng.normal(size=(100, 2))
    outcome = joint_truth(actions) + rng.normal(scale=0.5 * np.sqrt(2), size=100)
    both = replace(data.take(slice(100)), actions=actions, intervened=np.ones((100, 2), bool))
    for shift in (0.0, 0.5):
        result = checked(joined(data, replace(both, outcome=outcome + shift)))
        assert result.violated == (shift > 0)
    assert "do(red, green) differs from what other regimes predict" in str(result)
    size = float(result.table["size"].sel(test=result.likeliest))
    assert size == pytest.approx(0.5, rel=0.5)


def test_untestable_interaction_is_named(data) -> None:
    # Green was never set, so its bias may equal any interaction with red.
    result = checked(data.only([], ["red"]), ADDITIVE)
    assert not result.violated
    shared, interaction = "hidden cause shared by red and green", "interaction of red and green"
    of_actions = [shared, "green set otherwise in the experiment on red"]
    assert result.table["test"].to_numpy().tolist() == of_actions
    hidden = [interaction, f"{interaction} with hidden causes"]
    assert result.table["hidden"].to_numpy().tolist() == hidden
    assert "These rows cannot reveal: interaction of red and green." in str(result)
    # Without experiments, red may move green by any amount.
    blind = checked(data.only([]))
    assert blind.likeliest is None
    assert blind.p == 1
    assert str(blind).startswith("Nothing could be tested: a test of two actions needs rows with")
    assert shared in str(blind)
    # In a graph without edges its bias cannot depend on red.
    with_graph = checked(data.only([], ["red"]), bi.models.additive(graph={}, interactions=None))
    biases = ["bias of red depends on green", "bias of green depends on red"]
    assert with_graph.table["test"].to_numpy().tolist() == [interaction, *biases, *of_actions]


def test_invalid_arguments_are_rejected(data, posterior) -> None:
    with pytest.raises(bi.DataError, match="must be a RegimeData, not dict"):
        bi.check({})
    with pytest.raises(bi.ModelError, match="not RegressionModel"):
        bi.check(data, bi.models.pooled())
    with pytest.raises(bi.ModelError, match="checks must be a list of functions, not function"):
        bi.check(data, checks=lambda *_: [])
    for setting in ({"level": 0}, {"held_out": 1}):
        with pytest.raises(bi.ModelError, match="lie between 0 and 1"):
            bi.check(data, **setting)
    for share in (0.999, 1e-6):
        with pytest.raises(bi.ModelError, match=f"held_out={share:g} leaves"):
            bi.check(data, held_out=share, progress=False)
    one = bi.RegimeData.from_arrays(data.actions[:, :1], data.outcome, data.intervened[:, :1])
    alone = checked(one, bi.models.additive("linear"))
    assert (alone.violated, alone.likeliest) == (None, None)
    assert str(alone).startswith("Nothing could be tested: one action alone")
    with pytest.raises(bi.DataError, match="not of the data that were fitted"):
        posterior.with_check(alone)


def test_alternatives_in_the_span_of_the_model_are_not_tested() -> None:
    # Two values of each action, seen together in three of four combinations only: an interaction
    # then equals a sum of functions of single actions.
    rng = np.random.default_rng(0)
    intervened = np.repeat([[False, False], [True, False], [False, True]], 200, axis=0)
    actions = rng.integers(0, 2, size=(600, 2)).astype(float)
    outcome = actions @ [1.0, 0.5] + rng.normal(size=600)
    for keep, is_tested in ((np.ones(600, dtype=bool), True), (actions.sum(axis=1) < 2, False)):
        data = bi.RegimeData.from_arrays(actions[keep], outcome[keep], intervened[keep])
        result = checked(data, ADDITIVE)
        assert ("interaction of a1 and a2" in result.table["test"]) == is_tested
        assert ("cannot reveal: interaction of a1 and a2" in str(result)) != is_tested


def three_actions(interaction: float, triple: float) -> bi.RegimeData:
    """Rows of 500 single interventions each and 300 on the first two actions together.

    ``interaction`` scales a product of the first two actions in the outcome, ``triple`` one in the
    third action, whose bias is then a function of all three.
    """
    rng = np.random.default_rng(0)
    masks = np.repeat(np.vstack([np.zeros(3), np.eye(3), [1, 1, 0]]) > 0, [500] * 4 + [300], axis=0)
    causes = rng.normal(size=masks.shape)
    actions = np.where(masks, rng.normal(size=masks.shape), causes + rng.normal(size=masks.shape))
    product = actions[:, 0] * actions[:, 1]
    actions[~masks[:, 2], 2] += triple * product[~masks[:, 2]]
    outcome = np.tanh(actions).sum(axis=1) + causes.sum(axis=1) + interaction * product
    outcome = outcome + 0.3 * rng.normal(size=len(outcome))
    return bi.RegimeData.from_arrays(actions, outcome, masks, ("a1", "a2", "a3"))


@pytest.mark.parametrize(("interaction", "triple"), [(0.4, 0.0), (0.0, 1.0)])
def test_an_interaction_does_not_pass_for_a_bias_of_three_actions(interaction, triple) -> None:
    data = three_actions(interaction, triple)
    model = bi.models.additive("polynomial", interactions=None)
    assert checked(data, model).violated == (interaction > 0)


def joint_rows(interaction: float, together: int, seed: int, noise="normal") -> bi.RegimeData:
    """Two actions; ``interaction`` is that of their hidden causes."""
    rng = np.random.default_rng(seed)
    regimes = [[False, False], [True, False], [False, True], [True, True]]
    masks = np.repeat(regimes, [400, 300, 300, together], axis=0)
    draw = {"normal": rng.normal, "skewed": lambda size: rng.exponential(size=size) - 1}[noise]
    causes = draw(size=masks.shape)
    actions = np.where(masks, rng.uniform(-2, 2, size=masks.shape), causes)
    outcome = np.sin(actions[:, 0]) + 0.7 * actions[:, 1] + causes @ [0.5, -0.4]
    outcome += interaction * np.prod(actions - causes, axis=1)
    outcome += 0.3 * draw(size=len(masks))
    return bi.RegimeData.from_arrays(actions, outcome, masks)


def of_variance(result: bi.Check):
    return result.table.isel(test=result.table["kind"].to_numpy() == "variance")


def test_twenty_joint_rows_show_interacting_causes() -> None:
    checks = [checked(joint_rows(1.0, 20, seed)) for seed in range(4)]
    assert all(result.violated for result in checks)
    tests = [of_variance(result) for result in checks]
    assert all(test["p"].item() < 0.005 for test in tests)
    # Var[(a1 - c1)(a2 - c2)] is a1^2 + a2^2 + 1, on average 11 / 3.
    sizes = [test["size"].item() for test in tests]
    assert np.median(sizes) == pytest.approx(np.sqrt(11 / 3), rel=0.35)
    assert tests[0]["between"].to_numpy().tolist() == [[True, True]]
    assert "Violated" in str(checks[0])
    assert "hidden causes take part" in str(checks[0])


@pytest.mark.parametrize("noise", ["normal", "skewed"])
def test_additive_causes_pass(noise: str) -> None:
    p = [of_variance(checked(joint_rows(0.0, 60, seed, noise)))["p"].item() for seed in range(5)]
    assert np.median(p) > 0.2
    assert min(p) > 0.005


def test_groups_that_are_integrated_out_do_not_look_like_lack_of_fit() -> None:
    rng, masks, unit = np.random.default_rng(0), one_at_a_time(2, 200), np.arange(600) % 100
    actions, levels = rng.normal(size=masks.shape), 5 * rng.normal(size=100)
    outcome = actions.sum(axis=1) + levels[unit] + rng.normal(size=600)
    data = bi.RegimeData.from_arrays(actions, outcome, masks, groups={"unit": unit.astype(str)})
    held_out = bi.check(data, progress=False).held_out
    assert abs(float(held_out.difference)) + float(held_out.error) < 5


def test_the_detectable_size_is_detected() -> None:
    tests = [of_variance(checked(joint_rows(0.0, 60, seed))) for seed in range(2)]
    # The noise has a standard deviation of 0.7, and a mean of 60 squares a standard error of 18%.
    for test in tests:
        assert 0.3 < test["detectable"].item() < 1.0
    strict = bi.check(joint_rows(0.0, 60, 0), level=1e-3, held_out=0, progress=False)
    assert of_variance(strict)["detectable"].item() > 1.1 * tests[0]["detectable"].item()
    interacting = of_variance(checked(joint_rows(0.8, 60, 9)))
    assert interacting["size"].item() > interacting["detectable"].item()
    assert interacting["p"].item() < 0.01


def test_too_few_rows_and_constant_variance_are_not_tested() -> None:
    few = checked(joint_rows(0.0, 4, 1))
    assert of_variance(few).sizes["test"] == 0
    assert "variance: do(a1, a2) differs from what other regimes predict" in few.table["hidden"]
    constant = checked(joint_rows(0.0, 20, 1), bi.models.additive(spread="constant"))
    assert of_variance(constant).sizes["test"] == 0
