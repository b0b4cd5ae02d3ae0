"""Commands about decisions against the methods of the posterior."""

import io
import json

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi
from bayes_intgen.text.formats import MINUS

from _posteriors import thinned
from _words import PYTHON

DECISION = bi.Decision({"red": 1.0, "green": 0.5}, 0.8, {"red": (-1, 1.5)}, {"green": 0.1})
OPTIONS = ["--cost", "red=1,green=0.5", "--budget", "0.8", "--bounds", "red=-1..1.5"]


@pytest.fixture(scope="module")
def posterior(posterior) -> bi.Posterior:
    return thinned(posterior)


@pytest.fixture(scope="module")
def fit(posterior, tmp_path_factory):
    path = tmp_path_factory.mktemp("best") / "fit.nc"
    posterior.save(path)
    return str(path)


def test_the_command_finds_the_plan_of_the_method_by_any_risk(posterior, fit, run) -> None:
    plan = posterior.best(DECISION)
    arguments = ["best", fit, *OPTIONS, "--baseline", "green=0.1"]
    assert run(*arguments).out.rstrip() == str(plan)
    document = json.loads(run(*arguments, "--format", "json").out)
    assert document["plan"] == pytest.approx(plan.point)
    assert document["gain"]["mean"] == pytest.approx(float(plan.gain.mean()))
    assert document["shadow_price"] == pytest.approx(plan.shadow_price)
    document = json.loads(run("best", fit, *OPTIONS, "--risk", "cvar=0.2", "--format", "json").out)
    draws = bi.Decision(DECISION.cost, DECISION.budget, DECISION.bounds)
    assert document["value"] == pytest.approx(posterior.best(draws, bi.CVaR(0.2)).value)


def test_profit_is_an_option(posterior, fit, run) -> None:
    costs = ["--cost", "red=1,green=0.5", "--value", "2"]
    plan = posterior.best(bi.Decision({"red": 1.0, "green": 0.5}, value=2.0))
    assert run("best", fit, *costs).out.rstrip() == str(plan)
    equal = run("best", fit, "--cost", "red=1,green=1", "--value", "2").out
    assert run("best", fit, "--cost", "1", "--value", "2").out == equal
    document = json.loads(run("best", fit, *costs, "--format", "json").out)
    assert document["profit"]["mean"] == pytest.approx(float(plan.profit.mean()))
    assert document["gain"]["mean"] == pytest.approx(float(plan.gain.mean()))


def test_a_frontier_has_the_best_plan_of_each_budget(posterior, fit, run) -> None:
    table = posterior.frontier(bi.Decision({"red": 1.0}, bounds={"red": (-1, 1.5)}), [0.5, 1000.0])
    arguments = ["frontier", fit, "--cost", "red=1", "--bounds", "red=-1..1.5"]
    arguments += ["--budget", "0.5", "--budget", "1,000"]
    records = json.loads(run(*arguments, "--format", "json").out)["budgets"]
    frame = pd.read_csv(io.StringIO(run(*arguments, "--format", "csv").out))
    for i, record in enumerate(records):
        own = table.isel(budget=i)
        assert record["plan"] == pytest.approx(own["plan"].to_series().to_dict())
        for name in ("cost", "effect", "gain_low"):
            assert record[name] == frame[name][i] == pytest.approx(float(own[name]))
        assert frame["red"][i] == record["plan"]["red"]
    rows = [line.split() for line in run(*arguments).out.splitlines()]
    assert [row[0] for row in rows if len(row) > 8] == ["budget", "0.5", "1,000"]
    # Means keep the figures that their own unit supports beside gains in another one.
    arguments += ["--value", "100000"]
    records = json.loads(run(*arguments, "--format", "json").out)["budgets"]
    means = [record["effect"] for record in records]
    rows = [line.split() for line in run(*arguments).out.splitlines()]
    shown = [row[4].replace(MINUS, "-") for row in rows if row[:1] in (["0.5"], ["1,000"])]
    assert [*map(float, shown)] == pytest.approx(means, abs=0.05)


def test_actions_may_be_called_like_numbers_of_answers(tmp_path, run) -> None:
    names, draws = ["mean", "effect"], np.random.default_rng(0).normal(size=(60, 3))
    frame = pd.DataFrame(draws, columns=[*names, "y"]).assign(regime=["", *names] * 20)
    rows, model = bi.read(frame, names, "y"), bi.models.additive("linear")
    fit = bi.fit(rows, model, method="laplace", progress=False)
    assert fit.joint_effect([[0.5, 0.2]])["effect (action)"] == 0.2
    assert fit.contributions(bi.Decision())["contribution"].notnull().all()
    fit.save(tmp_path / "fit.nc")
    for column, *words in (
        ("mean", "effect", "--set", "mean=0.5,effect=0.2"),
        ("mean", "best", "--cost", "mean=1", "--budget", "0.5"),
        ("effect", "frontier", "--cost", "mean=1", "--budget", "0.5"),
    ):
        shown = run(words[0], tmp_path / "fit.nc", *words[1:], "--format", "csv").out
        assert {column, f"{column} (action)"} < {*shown.splitlines()[0].split(",")}


def test_remarks_are_in_every_format(posterior, fit, run) -> None:
    costs = ["--cost", "red=1", "--bounds", "red=-1..1.5", "--baseline", "red=1"]
    start = bi.Decision({"red": 1.0}, bounds={"red": (-1, 1.5)}, baseline={"red": 1.0})
    table = posterior.frontier(start, [0.5, 2.0])
    remark = "the baseline costs 1, more than the budget of 0.5"
    assert [text.splitlines()[:1] for text in table["remarks"].values.tolist()] == [[remark], []]
    several = ["frontier", fit, *costs, "--budget", "0.5", "--budget", "2"]
    lines = run(*several).out.splitlines()
    assert [line for line in lines if "the baseline costs" in line] == [f"0.5: {remark}"]
    poor, rich = json.loads(run(*several, "--format", "json").out)["budgets"]
    one = json.loads(run("best", fit, *costs, "--budget", "0.5", "--format", "json").out)
    assert poor["remarks"] == one["remarks"] == table["remarks"].values[0].splitlines()
    assert rich["remarks"] == []
    # A budget that the search finds itself is no limit.
    arguments = ["cheapest", fit, *costs, "--target", "0.1", "--format", "json"]
    assert json.loads(run(*arguments).out)["remarks"] == []


def test_the_cheapest_plan_reaches_its_target(posterior, fit, run) -> None:
    plan = posterior.cheapest(bi.Decision({"red": 1.0, "green": 1.0}), 0.5)
    costs = ["--cost", "red=1,green=1", "--target"]
    assert run("cheapest", fit, *costs, "0.5").out.rstrip() == str(plan)
    assert "no plan reaches 13,500" in run("cheapest", fit, *costs, "13,500", code=1).err


def test_contributions_are_those_of_the_method(posterior, fit, run) -> None:
    assert "intervals: 97.5%" in run("contributions", fit, "--level", "0.975").out
    table = posterior.contributions(bi.Decision({"red": 2.0}, baseline={"red": 0.5}, value=3.0))
    arguments = ["contributions", fit, "--cost", "red=2", "--baseline", "red=0.5", "--value", "3"]
    records = json.loads(run(*arguments, "--format", "json").out)["actions"]
    for record in records:
        own = table.sel(action=record["action"])
        for name in ("contribution_low", "next_unit"):
            assert record[name] == pytest.approx(float(own[name]))
    assert records[0]["next_cost"] == pytest.approx(1.5 * records[0]["next_unit"])
    assert records[1]["next_cost"] is None
    assert "the next unit pays above 1" in run(*arguments).out


def test_next_ranks_the_experiments_of_the_method(posterior, fit, run) -> None:
    planned = [
        bi.Experiment("red", 200, at=["0", "1"], cost=0.01),
        bi.Experiment(("red", "green"), 50),
        bi.Experiment(None, 50),
    ]
    table = posterior.experiments(DECISION, planned, horizon=2.0)
    arguments = ["next", fit, *OPTIONS, "--baseline", "green=0.1", "--horizon", "2"]
    arguments += ["-e", "red=0|1:200:0.01", "-e", "all", "-e", "history", "--rows", "50"]
    document = json.loads(run(*arguments, "--format", "json").out)
    records = {record["experiment"]: record for record in document["experiments"]}
    assert list(records) == table.experiment.to_numpy().tolist()
    for label, record in records.items():
        for name in ("evsi", "net_benefit", "width_after", "rows"):
            assert record[name] == pytest.approx(table[name].sel(experiment=label).item())
    assert document["evpi"] == pytest.approx(float(table.evpi))
    text = run(*arguments).out
    assert "the most useful first" in text
    assert "net benefit" in text
    assert "do(red=0|1): 'green' by response" in text


def test_split_shares_the_rows_of_the_method(posterior, fit, run) -> None:
    points = {"red": [0.0, 1.0], "green": [0.0, 1.0]}
    table = posterior.split(
        1000, points, regimes=["red", "green", None], costs={"do(red)": 2.0, "observational": 0.5}
    )
    arguments = ["split", fit, "--set", "red=0,green=0", "--set", "red=1,green=1"]
    arguments += ["--regime", "red", "--regime", "green", "--regime", "history"]
    arguments += ["--row-cost", "red=2,history=0.5"]
    document = json.loads(run(*arguments, "--rows", 1000, "--format", "json").out)
    shares = {record["regime"]: record["share"] for record in document["regimes"]}
    assert shares == pytest.approx(dict(zip(table.regime.values, table.share.values, strict=True)))
    assert document["width"] == pytest.approx(float(table.width))
    assert document["width_of_total"]["1000"] == pytest.approx(float(table.width))
    assert "Best split of" in run(*arguments, "--width", float(table.width)).out


def test_split_takes_points_of_both_options(fit, tmp_path, run) -> None:
    pd.DataFrame({"red": [1.0], "green": [1.0]}).to_csv(tmp_path / "points.csv", index=False)
    first, second = ["--set", "red=0,green=0"], ["--set", "red=1,green=1"]
    command = ["split", fit, "--rows", 100, *first]
    both = run(*command, "--points", tmp_path / "points.csv").out
    assert both == run(*command, *second).out
    assert both != run(*command).out
    for text, is_so in (("red,green\n", "holds no points"), ("red\n1\n", "has no column 'green'")):
        (tmp_path / "points.csv").write_text(text)
        error = run("split", fit, "--rows", 100, "--points", tmp_path / "points.csv", code=1).err
        assert f"points.csv {is_so}" in error
    assert "gains over the baseline" in run("split", fit, *OPTIONS, "--rows", 100).out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["best", "--cost", "red=much"], "cost of 'red' is 'much', which is not a number"),
        (["best", "--bounds", "red=3..3"], "to hold it there"),
        (["best", "--bounds", "red=a..b"], "which is not a number"),
        (["best", "--bounds", "red=much"], "'red' must be a number alone"),
        (["best", "--risk", "median"], "unknown risk 'median'"),
        (["next", "-e", "red"], "has no rows; write red:500"),
        (["next", "-e", "red:many"], "which is not a number"),
        (["next", "-e", "red:2.5"], "is '2.5', which is not a whole number"),
        (["next", "-e", "red:1:2:3"], "too many parts"),
        (["cheapest", "--target", "1"], "needs costs; write --cost ACTION=1"),
        (["split"], "give either --rows"),
        (["split", "--rows", "5", "--width", "1"], "give either --rows"),
        (
            ["split", "--rows", "5", "--set", "red=1", "--value", "2"],
            "give either --set or --points",
        ),
        (["split", "--rows", "5", "--row-cost", "rod=1"], "unknown regime 'rod'"),
    ],
)
def test_bad_options_are_named(fit, arguments, message: str, run) -> None:
    command, *rest = arguments
    said = run(command, fit, *rest, code=1).err
    assert message in said
    assert not PYTHON.search(said)
