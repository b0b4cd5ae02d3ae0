"""Values, lists and new groups on the command line, and moderators."""

import contextlib
import io
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi


def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and messages of a command."""
    out, messages = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(messages),
    ):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["bayes-intgen", *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module("bayes_intgen.cli", run_name="__main__")
    return int(ended.value.code or 0), out.getvalue(), messages.getvalue()


ROLES = ["--outcome", "y", "--actions", "a,b", "--covariates", "age", "--groups", "region"]
FIT = ["fit", "rows.csv", *ROLES, "--prior", "linear", "--method", "laplace", "--draws", "50"]
EFFECT = ["--set", "b=1", "--from", "b=0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out, rng, tables = tmp_path_factory.mktemp("rows"), np.random.default_rng(1), []
    for regime in ("", "a", "b"):
        age, region = rng.uniform(20, 70, 100), rng.choice(["north", "south", "west"], 100)
        a, b = rng.normal(size=(2, 100))
        y = a + b * (age > 45) + (region == "west") + rng.normal(scale=0.3, size=100)
        columns = {"a": a, "b": b, "y": y, "age": age, "region": region, "regime": regime}
        tables.append(pd.DataFrame(columns))
    pd.concat(tables).to_csv(out / "rows.csv", index=False)
    for name, more in (("plain", []), ("moderated", ["--moderators", "b:age"])):
        code, _, error = run(out, *FIT, *more, "-o", f"{name}.nc")
        assert code == 0, error
    return out


def answer(folder: Path, *given: str) -> dict[str, Any]:
    code, text, error = run(folder, "effect", "plain.nc", *EFFECT, "--format", "json", *given)
    assert code == 0, error
    return dict(json.loads(text))


def test_moderators_are_those_of_the_model(folder: Path) -> None:
    assert bi.load(folder / "moderated.nc").model.moderators == {"b": ("age",)}
    code, _, error = run(folder, *FIT, "--moderators", "b-age", "-o", "x.nc")
    assert (code, "'b-age' is not action:covariate" in error) == (1, True)


def test_effect_of_an_action_without_moderators_says_so_with_the_remedy(folder: Path) -> None:
    given = [*EFFECT, "--given", "age=60"]
    _, text, error = run(folder, "effect", "plain.nc", *given)
    assert "the effect of b does not depend on age in this model" in text
    assert "--moderators b:age" in error
    _, text, error = run(folder, "effect", "moderated.nc", *given)
    assert "depend" not in text + error


def test_repeated_values_are_averaged(folder: Path) -> None:
    both = answer(folder, "--given", "region=north,age=30", "--given", "region=south")
    assert both["population"].startswith("at region = average of north and south, age = 30;")
    each = [answer(folder, "--given", f"region={name},age=30") for name in ("north", "south")]
    means = [one["points"][0]["mean"] for one in each]
    assert both["points"][0]["mean"] == pytest.approx(np.mean(means))


def test_new_and_unknown_groups(folder: Path) -> None:
    new = answer(folder, "--given", "region=new group")
    assert new["population"].startswith("at region = new group;")
    code, _, error = run(folder, "effect", "plain.nc", *EFFECT, "--given", "region=norht")
    assert code == 1
    assert "did you mean 'north'?" in error
    assert "'new group'" in error
