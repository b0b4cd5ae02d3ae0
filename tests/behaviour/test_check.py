"""Checks of the assumptions: what was tested, what could not be, and why; moderators."""

import json

import numpy as np
import pandas as pd
import pytest
from _kinds import fitted, labelled
from _rows import one_at_a_time
from _worlds import Cause, World, numbers

import bayes_intgen as bi

from _posteriors import joined

PATIENTS, VISITS = 70, 4


def trials(
    seed: int, shared: float = 0.0, edge: float = 0.5, dose_of: str = "visit", pull: float = 1.5
) -> bi.RegimeData:
    """Three trials with repeated visits of patients, who differ in their usual doses and outcomes.

    Patients are an observed cause of both doses, with ``pull``, and the drug moves the dose by
    ``edge``; ``shared`` correlates the hidden causes. Doses differ by visit or by patient.
    """
    rng = np.random.default_rng(seed)
    shape = (3, PATIENTS, VISITS if dose_of == "visit" else 1)
    usual, cause = pull * rng.normal(size=(*shape[:2], 1)), rng.normal(size=(2, *shape))
    cause[1] = shared * cause[0] + np.sqrt(1 - shared**2) * cause[1]
    first = usual + cause[0] + 0.5 * rng.normal(size=shape)
    first[1] = rng.normal(size=shape[1:])
    second = usual + cause[1] + edge * first + 0.5 * rng.normal(size=shape)
    second[2] = rng.normal(size=shape[1:])
    outcome = first + second + cause.sum(axis=0) + usual
    every = (3, PATIENTS, VISITS)
    *actions, outcome = (np.broadcast_to(x, every).ravel() for x in (first, second, outcome))
    patients = np.broadcast_to(np.arange(3 * PATIENTS).reshape(3, PATIENTS, 1), every).ravel()
    masks = one_at_a_time(2, PATIENTS * VISITS)
    outcome = outcome + 0.5 * rng.normal(size=len(masks))
    names, groups = ("drug", "dose"), {"patient": patients}
    return bi.RegimeData.from_arrays(
        np.stack(actions, axis=1), outcome, masks, names, groups=groups
    )


def checked(data: bi.RegimeData, model: bi.models.Model | None = None) -> bi.Check:
    return bi.check(data, model, held_out=0, progress=False)


def test_a_hidden_cause_is_found_within_patients_and_patients_are_not_taken_for_one() -> None:
    sound = [checked(trials(seed)) for seed in range(4)]
    assert [check.state for check in sound] == ["no sign of a violation"] * 4
    assert all(check.violated is False and check.obstacle is None for check in sound)
    found = checked(trials(0, shared=0.9))
    assert found.state == "violated"
    assert found.likeliest == "hidden cause shared by drug and dose"
    # Without patients the same sound rows seem to share a cause: the usual dose.
    both = [trials(seed, edge=0.0) for seed in range(2)]
    assert not any(checked(data).violated for data in both)
    assert checked(joined(*both)).violated


def test_a_covariate_that_moves_both_actions_is_no_hidden_cause() -> None:
    for seed in range(3):
        rng, masks = np.random.default_rng(seed), one_at_a_time(2, 800)
        season, cause = rng.normal(size=2400), rng.normal(size=(2400, 2))
        tv = np.where(masks[:, 0], rng.normal(size=2400), season + cause[:, 0])
        radio = np.where(masks[:, 1], rng.normal(size=2400), season + 0.7 * tv + cause[:, 1])
        actions, outcome = np.stack([tv, radio], axis=1), tv + radio + season + cause.sum(axis=1)
        covariates = {"season": season}
        data = bi.RegimeData.from_arrays(actions, outcome, masks, covariates=covariates)
        assert checked(data).state == "no sign of a violation"


def test_patients_who_keep_their_doses_are_compared_with_each_other() -> None:
    sound = [trials(seed, dose_of="patient", pull=0.0) for seed in range(4)]
    assert [checked(data).state for data in sound] == ["no sign of a violation"] * 4
    # Only patients tell that they are a cause of both doses, and their means are the doses.
    data = trials(0, dose_of="patient")
    assert checked(data).likeliest == "hidden cause shared by drug and dose"
    with pytest.raises(bi.DataError, match="vary in a group of 'patient'"):
        data.with_group_means()


@pytest.mark.filterwarnings("ignore:groups of 'patient' differ:bayes_intgen.DataWarning")
def test_nothing_to_test_is_no_good_sign_nor_does_the_report_reassure(tmp_path) -> None:
    data = trials(0)
    # The drug, unlike the dose, does not differ by visit.
    usual = np.repeat(data.actions[::VISITS, :1], VISITS, axis=0)
    data = bi.RegimeData.from_arrays(
        np.hstack([usual, data.actions[:, 1:]]), data.outcome, data.intervened, data.names,
        groups={"patient": np.repeat(np.arange(3 * PATIENTS), VISITS)},
    )  # fmt: skip
    check = checked(data)
    reason = "actions are compared within each patient, where they hardly vary"
    assert (check.state, check.violated) == ("could not be tested", None)
    assert check.obstacle == reason
    assert str(check).startswith(f"Nothing could be tested: {reason}.")
    document = json.loads(check.to_json())
    assert (document["state"], document["violated"]) == ("could not be tested", None)
    assert document["obstacle"] == reason
    posterior = fitted(data, bi.models.additive("linear"), draws=50)
    posterior.with_check(check).save(tmp_path / "fit.nc")
    again = bi.load(tmp_path / "fit.nc")
    assert again.check.state == "could not be tested"
    again.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert '<li class="open"><b>Assumptions.</b> Could not be tested' in page
    assert "No sign of a violation" not in page


def rows(slope: float, of_bias: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """The effect of b has a slope in age, and so have the parts of the hidden causes."""
    age = Cause(lambda rng, n: rng.normal(size=n), lambda cells: cells, moves=0.5, adds=1.0)
    world = World(
        dict.fromkeys(("a", "b"), numbers(lambda a: a)),
        {"age": age, "sex": labelled({"f": 0.0, "m": 1.0}, adds=1.0)},
        weight=1.0, pull=1.0, noise=1.0, scaled=("age", of_bias), moderated=("b", "age", slope),
    )  # fmt: skip
    return world.table(200, ["", "a", "b"], seed)


def check_of(table: pd.DataFrame, **moderators: list[str]) -> bi.Check:
    data = bi.RegimeData.from_frame(table, ["a", "b"], "y", "regime", covariates=["age", "sex"])
    return checked(data, bi.models.additive("linear", moderators=moderators))


def test_moderator_that_the_model_lacks_is_named_with_the_remedy() -> None:
    result = check_of(rows(slope=0.7))
    assert 'pass moderators={"b": ["age"]} to the model' in str(result)
    assert json.loads(result.to_json())["moderators"] == {"b": ["age"]}


def test_it_contradicts_no_assumption() -> None:
    with_slope, without = check_of(rows(slope=0.7)), check_of(rows(slope=0.7), b=["age"])
    assert not with_slope.violated
    assert with_slope.table["test"].equals(without.table["test"])
    assert "age" not in without.moderators.get("b", [])
    assert not check_of(rows(slope=0.7), b=["age", "sex"], a=["age", "sex"]).moderators


@pytest.mark.parametrize("of_bias", [0.0, 1.5])
def test_without_a_moderator_nothing_is_said(of_bias: float) -> None:
    """Also where the bias depends on age, which the effect of an experiment does not."""
    found = [check_of(rows(0.0, of_bias, seed)).moderators for seed in range(20, 26)]
    # At 5%, three of six are as unlikely as 0.002.
    assert sum(map(bool, found)) < 3
    assert not any("age" in own.get("b", []) for own in found)


def test_multiplicative_models_too() -> None:
    table = rows(slope=0.7)
    table["y"] = np.exp((table["y"] - 5) / 5)
    data = bi.RegimeData.from_frame(table, ["a", "b"], "y", "regime", covariates=["age"])
    result = checked(data, bi.models.multiplicative("linear"))
    assert result.moderators == {"b": ["age"]}
