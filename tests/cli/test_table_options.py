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


def test_describe_proposes_actions_and_a_command_that_runs(file, run) -> None:
    text = run("describe", file, "-y", "sales").out
    assert "No column is an action unless you name it" in text
    assert "tv          action?" in text
    document = json.loads(run("describe", file, "-y", "sales", "--format", "json").out)
    assert document["command"] in text
    roles = {column["name"]: column["role"] for column in document["columns"]}
    assert roles["region"] == "group?"
    assert roles["sales"] == "outcome"
    program, *command = shlex.split(document["command"])
    assert program == "bayes-intgen"
    assert "age,the season,n,sd" in command
    columns = json.loads(run(*command, "--missing", "drop", "--format", "json").out)["columns"]
    assert {c["name"]: c["role"] for c in columns} == {n: r.rstrip("?") for n, r in roles.items()}


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
    assert "no actions are named" in error
    assert "--outcome sales --actions tv,radio --covariates 'age,the season,n,sd'" in error


def test_options_reach_the_data(file, run, monkeypatch, tmp_path) -> None:
    options = ["-y", "sales", "-a", "tv,radio", "--covariates", "age,the season",
               "--groups", "region", "--weights", "n", "--outcome-sd", "sd"]  # fmt: skip
    for command in ("describe", "fit"):
        more = ["-o", str(tmp_path / "fit.nc")] if command == "fit" else []
        error = run(command, file, *options, *more, code=console.UNUSABLE).err
        assert "column 'age' has 1 missing cells" in error
        assert "pass missing='drop'" in error
    fitted = []

    def record(rows, *arguments, **settings):
        fitted.append(rows)
        raise ValueError("enough")

    monkeypatch.setattr("bayes_intgen.fit", record, raising=False)
    complete = [*options, "--missing", "drop"]
    run("fit", file, *complete, "-o", tmp_path / "fit.nc", code=console.DEFECT)
    (rows,) = fitted
    assert rows.columns.every == ("age", "the season", "region")
    assert rows.weights is not None
    assert rows.within is not None
    assert sum(rows.dropped.values()) == 1
    output = run("describe", file, *complete)
    assert "1 rows with missing cells left out" in output.out
    assert "warning: 1 of 300 rows have missing cells" in output.err
    assert "region: 20 groups, " in output.out


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
