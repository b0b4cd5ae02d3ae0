"""Evidence in a check for covariates on which effects depend."""

import json

import numpy as np
import pandas as pd
import pytest
from _kinds import labelled
from _worlds import Cause, World, numbers

import bayes_intgen as bi


def rows(slope: float, of_bias: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """The effect of b has a slope in age, and so have the parts of the hidden causes."""
    age = Cause(lambda rng, n: rng.normal(size=n), lambda cells: cells, moves=0.5, adds=1.0)
    world = World(
        dict.fromkeys(("a", "b"), numbers(lambda a: a)),
        {"age": age, "sex": labelled({"f": 0.0, "m": 1.0}, adds=1.0)},
        weight=1.0, pull=1.0, noise=1.0, scaled=("age", of_bias), moderated=("b", "age", slope),
    )  # fmt: skip
    return world.table(200, ["", "a", "b"], seed)


def checked(table: pd.DataFrame, **moderators: list[str]) -> bi.Check:
    data = bi.RegimeData.from_frame(table, ["a", "b"], "y", "regime", covariates=["age", "sex"])
    model = bi.models.additive("linear", moderators=moderators)
    return bi.check(data, model, held_out=0, progress=False)


def test_moderator_that_the_model_lacks_is_named_with_the_remedy() -> None:
    result = checked(rows(slope=0.7))
    assert result.moderators == {"b": ["age"]}
    assert 'models.additive(moderators={"b": ["age"]})' in str(result)
    assert json.loads(result.to_json())["moderators"] == {"b": ["age"]}


def test_it_contradicts_no_assumption() -> None:
    with_slope, without = checked(rows(slope=0.7)), checked(rows(slope=0.7), b=["age"])
    assert not with_slope.violated
    assert with_slope.table["test"].equals(without.table["test"])
    assert "age" not in without.moderators.get("b", [])
    assert not checked(rows(slope=0.7), b=["age", "sex"], a=["age", "sex"]).moderators


@pytest.mark.parametrize("of_bias", [0.0, 1.5])
def test_without_a_moderator_nothing_is_said(of_bias: float) -> None:
    """Also where the bias depends on age, which the effect of an experiment does not."""
    found = [checked(rows(0.0, of_bias, seed)).moderators for seed in range(20, 26)]
    # At 5%, three of six are as unlikely as 0.002.
    assert sum(map(bool, found)) < 3
    assert not any("age" in own.get("b", []) for own in found)


def test_multiplicative_models_too() -> None:
    table = rows(slope=0.7)
    table["y"] = np.exp((table["y"] - 5) / 5)
    data = bi.RegimeData.from_frame(table, ["a", "b"], "y", "regime", covariates=["age"])
    result = bi.check(data, bi.models.multiplicative("linear"), held_out=0, progress=False)
    assert result.moderators == {"b": ["age"]}
