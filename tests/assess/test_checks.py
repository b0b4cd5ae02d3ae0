import numpy as np
import pytest
import xarray as xr

import bayes_intgen as bi
from bayes_intgen.assess.alternatives import alternatives

from conftest import confounded_rows, joint_truth


def checked(data: bi.RegimeData, model: bi.models.Model | None = None) -> bi.Check:
    return bi.check(data, model, held_out=0, progress=False)


def with_outcome(data: bi.RegimeData, more: np.ndarray) -> bi.RegimeData:
    return bi.RegimeData.from_arrays(
        data.actions, data.outcome + more, data.intervened, data.names,
        outcome_name=data.outcome_name,
    )  # fmt: skip


def world_of(seed: int) -> bi.RegimeData:
    """Every other one with lognormal actions, causes and noise; variances differ by regime."""
    kind = (bi.simulators.Linear, bi.simulators.DoseResponse)[seed % 2]
    return kind.random(2, seed).dataset(250, seed=seed + 100)


def test_no_false_alarms_under_heavy_tails_and_what_is_detectable_is_detected() -> None:
    alarms, found = [], []
    for seed in range(12):
        data = world_of(seed)
        before = checked(data)
        alarms.append(before.violated)
        (alternative,) = alternatives(data, bi.models.additive())
        smoothest = alternative.matrix(data.actions, data.intervened)[:, 0]
        size = float(before.table["detectable"][0])
        after = checked(with_outcome(data, size * smoothest / np.sqrt(np.mean(smoothest**2))))
        found.append(after.violated)
    # At 2.5%, three of twelve are as unlikely as 0.003; at 90%, seven or fewer as 0.004.
    assert sum(alarms) < 3
    assert sum(found) > 7


def test_a_sound_world_passes_and_says_how_far_that_goes(data) -> None:
    found = bi.check(data, progress=False)
    assert not found.violated
    assert found.p == float(found.table["p_familywise"].min())
    text = str(found)
    assert text.startswith("No sign of violation (p = ")
    assert "nine times in ten" in text
    assert "No row has several actions set" in text
    assert "225 held-out rows" in text
    assert set(found.held_out.data_vars) == {"difference", "error", "rows"}
    same = bi.check(data, progress=False)
    xr.testing.assert_identical(found.table, same.table)


def test_an_interaction_is_found_where_it_is() -> None:
    base = bi.simulators.DoseResponse.random(3, seed=1)
    world = bi.simulators.Interacting(base, strength=0.4, pair=("drug1", "drug3"))
    rows: dict[tuple[str, ...], int] = {(): 400, **{(n,): 400 for n in base.names}}
    data = world.dataset({**rows, base.names: 200}, seed=2)
    found = checked(data)
    assert found.violated
    assert found.likeliest == "interaction of drug1 and drug3"
    assert str(found).startswith("Violated, most likely between drug1 and drug3 (p ")
    assert "200 rows have several actions set" in str(found)
    row = found.table.sel(test=found.likeliest)
    assert row["between"].to_numpy().tolist() == [True, False, True]
    assert float(row["weight"]) > 0.9
    added = world.interaction(data.actions) - base.interaction(data.actions)
    assert float(row["size"]) == pytest.approx(added.std(), rel=0.3)


def test_a_wrong_graph_is_found_and_the_right_one_is_not() -> None:
    data = confounded_rows(600, seed=3)
    wrong = checked(data, bi.models.additive(graph={}))
    assert wrong.violated
    assert wrong.likeliest == "bias of green depends on red"
    assert "which the graph does not allow" in str(wrong)
    assert not checked(data, bi.models.additive(graph={"green": ["red"]})).violated


def test_joint_rows_that_are_not_what_the_others_predict() -> None:
    data, rng = confounded_rows(300, seed=4), np.random.default_rng(5)
    actions = rng.normal(size=(100, 2))
    outcome = joint_truth(actions) + rng.normal(scale=0.5 * np.sqrt(2), size=100)
    for shift in (0.0, 0.5):
        both = bi.RegimeData.from_arrays(
            np.concatenate([data.actions, actions]),
            np.concatenate([data.outcome, outcome + shift]),
            np.concatenate([data.intervened, np.ones((100, 2), dtype=bool)]),
            data.names,
        )
        found = checked(both)
        assert found.violated == (shift > 0)
    assert "do(red, green) differs from what other regimes predict" in str(found)
    size = float(found.table["size"].sel(test=found.likeliest))
    assert size == pytest.approx(0.5, rel=0.5)


def test_regimes_that_could_not_show_an_interaction_say_so(data) -> None:
    # Green was never set: whatever it does with red may be its own bias.
    found = checked(data.only([], ["red"]))
    assert not found.violated
    assert found.p == 1
    assert found.likeliest is None
    assert found.table["hidden"].to_numpy().tolist() == ["interaction of red and green"]
    assert str(found).startswith("Nothing could be tested: these regimes leave the model no")
    assert "No row of these regimes could show: interaction of red and green." in str(found)
    # A graph in which neither moves the other leaves its bias no room for red.
    known = checked(data.only([], ["red"]), bi.models.additive(graph={}))
    assert known.table["test"].to_numpy().tolist() == [
        "interaction of red and green", "bias of red depends on green",
        "bias of green depends on red",
    ]  # fmt: skip


def test_one_action_leaves_nothing_to_test() -> None:
    rng = np.random.default_rng(0)
    one = bi.RegimeData.from_arrays(
        rng.normal(size=(60, 1)), rng.normal(size=60), np.arange(60)[:, None] < 30
    )
    found = checked(one, bi.models.additive("linear"))
    assert not found.violated
    assert found.likeliest is None
    assert str(found).startswith("Nothing could be tested")


def test_senseless_checks_are_refused(data) -> None:
    with pytest.raises(bi.DataError, match="must be a RegimeData, not dict"):
        bi.check({})
    with pytest.raises(bi.ModelError, match="not PooledModel"):
        bi.check(data, bi.models.pooled())
    for setting in ({"level": 0}, {"held_out": 1}):
        with pytest.raises(bi.ModelError, match="level must lie between"):
            bi.check(data, **setting)


def test_a_posterior_keeps_the_answer(data, posterior, tmp_path) -> None:
    found = checked(data)
    kept = posterior.with_check(found)
    assert posterior.check is None
    assert str(kept.check) == str(found)
    assert str(found).splitlines()[0] in str(kept)
    kept.save(tmp_path / "fit.nc")
    again = bi.load(tmp_path / "fit.nc")
    assert str(again) == str(kept)
    xr.testing.assert_allclose(again.check.table, kept.check.table)
    np.testing.assert_array_equal(again.joint_effect([[0, 0]]), posterior.joint_effect([[0, 0]]))
    other = bi.simulators.Linear.random(2, seed=0).dataset(50, seed=1)
    with pytest.raises(bi.DataError, match="not of the data that were fitted"):
        posterior.with_check(checked(other, bi.models.additive("linear")))
