"""Covariates, groups, weights and missing cells on the command line."""

import json
import shlex

import numpy as np
import pandas as pd
import pytest

from bayes_intgen.cli import console


@pytest.fixture
def file(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, 4)), columns=["tv", "radio", "age", "sales"])
    frame["the season"] = rng.choice(["summer", "winter"], 300)
    frame = frame.assign(region=[f"r{i % 20}" for i in range(300)], n=rng.integers(1, 9, 300))
    frame = frame.assign(sd=rng.uniform(1, 2, 300), regime=rng.choice(["", "tv", "radio"], 300))
    frame.loc[4, "age"] = np.nan
    frame.to_csv(tmp_path / "data.csv", index=False)
    return tmp_path / "data.csv"


def test_a_column_without_a_name_has_no_role(file, run) -> None:
    table = file.with_suffix(".parquet")
    pd.read_csv(file, keep_default_na=False).rename(columns={"n": ""}).to_parquet(table)
    command = ["describe", table, "-y", "sales", "-a", "tv,radio", "--format", "json"]
    roles = {own["name"]: own["role"] for own in json.loads(run(*command).out)["columns"]}
    assert roles["tv"] == "action"
    assert not {"weights", "sd of the outcome"} & {*roles.values()}


@pytest.mark.parametrize("command", ["fit", "check"])
def test_no_column_is_taken_as_action_silently(file, tmp_path, run, command) -> None:
    more = ["-o", str(tmp_path / "fit.nc")] if command == "fit" else []
    error = run(command, file, "-y", "sales", *more, code=console.UNUSABLE).err
    assert "error: --actions must be named; `bayes-intgen describe /" in error
    assert "--outcome sales --actions tv,radio --covariates 'age,the season' --groups reg" in error


def test_options_reach_the_data(file, run, tmp_path) -> None:
    options = ["-y", "sales", "-a", "tv,radio", "--covariates", "age,the season",
               "--groups", "region", "--weights", "n", "--outcome-sd", "sd"]  # fmt: skip
    for command in ("describe", "fit"):
        more = ["-o", str(tmp_path / "fit.nc")] if command == "fit" else []
        error = run(command, file, *options, *more, code=console.UNUSABLE).err
        assert "column 'age' has 1 missing cell" in error
        assert "with missing cells: --missing drop" in error
    complete = [*options, "--missing", "drop"]
    output = run("describe", file, *complete)
    assert "1 row with missing cells left out" in output.out
    assert "warning: 1 of 300 rows have missing cells" in output.err
    assert "region: 20 groups, " in output.out


def test_missing_cells_are_treated_by_column(file, run) -> None:
    frame = pd.read_csv(file, keep_default_na=False).rename(columns={"the season": "sky, sun"})
    frame.loc[[7, 9], "sky, sun"] = ""
    frame.to_csv(file, index=False)
    command = ["describe", file, "-y", "sales", "-a", "tv,radio", "--covariates", "age"]
    command += ["--covariates", "sky, sun"]
    error = run(*command, code=console.UNUSABLE).err
    assert "leave out the 3 rows with missing cells: --missing drop, or" in error
    remedy = "--missing 'drop,sky, sun=level'"
    assert error.endswith(f"make those of text a level with {remedy}\n")
    output = run(*command, *shlex.split(remedy))
    assert "1 row with missing cells left out" in output.out
    assert remedy in output.out.splitlines()[-1]
    error = run(*command, "--missing", "drop,age=mean", code=console.UNUSABLE).err
    assert "'drop,age=mean' is not error, drop or level" in error


def test_means_of_many_groups_are_covariates(file, run, tmp_path) -> None:
    frame = pd.read_csv(file).drop(columns="age")
    frame.assign(patient=[f"p{i // 3}" for i in range(len(frame))]).to_csv(file, index=False)
    options = ["-y", "sales", "-a", "tv,radio", "--groups", "patient", "--group-means"]
    columns = json.loads(run("describe", file, *options, "--format", "json").out)["columns"]
    assert {c["name"] for c in columns if c["role"] == "group"} == {"patient"}
    run("fit", file, *options, "-o", tmp_path / "fit.nc", "--method", "laplace")
    run("report", tmp_path / "fit.nc", "--data", file, "-o", tmp_path / "fit.html")
    few = ["-y", "sales", "-a", "tv,radio", "--groups", "region", "--group-means"]
    refused = run("describe", file, *few, code=console.UNUSABLE).err
    assert "no grouping has more than 64 groups" in refused
