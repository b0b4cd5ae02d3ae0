"""Values, lists and new groups on the command line, and moderators."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _kinds import AGE, SITES, labelled
from _worlds import World, numbers

import bayes_intgen as bi
from bayes_intgen import cli

ROLES = ["--outcome", "y", "--actions", "a,b", "--covariates", "age", "--groups", "region"]
FIT = [*ROLES, "--prior", "linear", "--method", "laplace", "--draws", "50"]
EFFECT = ["--set", "b=1", "--from", "b=0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out, lines = tmp_path_factory.mktemp("rows"), dict.fromkeys("ab", numbers(lambda a: a))
    causes = {"age": AGE, "region": labelled(SITES, adds=1.0)}
    world = World(lines, causes, weight=0.0, moderated=("b", "age", 0.5))
    world.table(100, ["", "a", "b"]).to_csv(out / "rows.csv", index=False)
    for name, more in (("plain", []), ("moderated", ["--moderators", "b:age"])):
        assert cli.main(["fit", f"{out}/rows.csv", *FIT, *more, "-o", f"{out}/{name}.nc"]) == 0
    return out


@pytest.fixture
def answer(folder: Path, run):
    """Ask the fit without moderators for values of covariates and groups."""

    def answer(*given: str) -> dict[str, Any]:
        command = ["effect", folder / "plain.nc", *EFFECT, "--format", "json"]
        return dict(json.loads(run(*command, *given).out))

    return answer


def test_moderators_are_those_of_the_model(folder: Path, run) -> None:
    assert bi.load(folder / "moderated.nc").model.moderators == {"b": ("age",)}
    command = ["fit", folder / "rows.csv", *FIT, "--moderators", "b-age", "-o", folder / "x.nc"]
    assert "'b-age' is not action:covariate" in run(*command, code=1).err


def test_effect_of_an_action_without_moderators_says_so_with_the_remedy(folder: Path, run) -> None:
    given = [*EFFECT, "--given", "age=60"]
    shown = run("effect", folder / "plain.nc", *given)
    assert "the effect of b does not depend on age in this model" in shown.out
    assert "--moderators b:age" in shown.err
    assert "depend" not in "".join(run("effect", folder / "moderated.nc", *given))


def test_repeated_values_are_averaged(answer) -> None:
    both = answer("--given", "region=north,age=30", "--given", "region=south")
    assert both["population"].startswith("at region = average of north and south, age = 30;")
    each = [answer("--given", f"region={name},age=30") for name in ("north", "south")]
    means = [one["points"][0]["mean"] for one in each]
    assert both["points"][0]["mean"] == pytest.approx(np.mean(means))


def test_new_and_unknown_groups(folder: Path, answer, run) -> None:
    new = answer("--given", "region=new group")
    assert new["population"].startswith("at region = new group;")
    given = ["--given", "region=norht"]
    error = run("effect", folder / "plain.nc", *EFFECT, *given, code=1).err
    assert "did you mean 'north'?" in error
    assert "'new group'" in error
