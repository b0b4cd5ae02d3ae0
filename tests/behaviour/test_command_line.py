"""Values, lists, groups and moderators on the command line, which never replaces its input."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _kinds import AGE, SITES, case_of, fitted, labelled
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
    assert "the effect of b does not depend on age in this model" in " ".join(shown.out.split())
    assert "0 → 1" in shown.out
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


COLUMNS = ["--outcome", "y", "--actions", "red", "--covariates", "age", "--prior", "linear"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """Rows, their fit, a population, and other names of the first two."""
    inputs = tmp_path_factory.mktemp("inputs")
    world = World({"red": numbers(lambda a: a)}, {"age": AGE}, weight=0.0)
    case = case_of(world, rows=60, options={"covariates": ["age"]})
    case.frame.to_csv(inputs / "rows.csv", index=False)
    case.frame[["age"]].to_csv(inputs / "people.csv", index=False)
    fitted(case.data, bi.models.additive("linear"), draws=50).save(inputs / "fit.nc")
    (inputs / "fit.png").write_bytes((inputs / "fit.nc").read_bytes())
    (inputs / "link.csv").symlink_to(inputs / "rows.csv")
    os.link(inputs / "fit.nc", inputs / "same.html")
    return inputs


@pytest.mark.parametrize(
    ("command", "source"),
    [
        (["fit", "rows.csv", *COLUMNS, "-o", "rows.csv"], "rows.csv"),
        (["fit", "rows.csv", *COLUMNS, "-o", "link.csv"], "rows.csv"),
        (["fit", "link.csv", *COLUMNS, "-o", "./rows.csv"], "rows.csv"),
        (["report", "fit.nc", "-o", "fit.nc"], "fit.nc"),
        (["report", "fit.nc", "-o", "same.html"], "fit.nc"),
        (["report", "fit.nc", "--data", "rows.csv", "-o", "rows.csv"], "rows.csv"),
        (["report", "fit.nc", "--population", "people.csv", "-o", "people.csv"], "people.csv"),
        (["plot", "fit.png", "-o", "fit"], "fit.png"),
        # Before sampling, whose sums would be written to the checkpoint.
        (["fit", "rows.csv", *COLUMNS, "-o", "new", "--checkpoint", "./new"], "rows.csv"),
    ],
)
def test_an_output_that_is_an_input_is_refused(inputs, monkeypatch, run, command, source) -> None:
    monkeypatch.chdir(inputs)
    before = (inputs / source).read_bytes()
    assert "an input; name another file" in run(*command, code=1).err
    assert (inputs / source).read_bytes() == before
    assert len(list(inputs.iterdir())) == 6
