"""The command ``best`` against the method of the posterior."""

import json

import pytest

import bayes_intgen as bi
from bayes_intgen import cli

DECISION = bi.Decision({"red": 1.0, "green": 0.5}, 0.8, {"red": (-1, 1.5)}, {"green": 0.1})
OPTIONS = ["--cost", "red=1,green=0.5", "--budget", "0.8", "--bounds", "red=-1..1.5"]


@pytest.fixture(scope="module")
def fit(posterior, tmp_path_factory):
    path = tmp_path_factory.mktemp("best") / "fit.nc"
    posterior.save(path)
    return str(path)


def test_the_command_finds_the_plan_of_the_method(posterior, fit, capsys) -> None:
    plan = posterior.best(DECISION)
    arguments = ["best", fit, *OPTIONS, "--baseline", "green=0.1"]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out.rstrip() == str(plan)
    assert cli.main([*arguments, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["plan"] == pytest.approx(plan.point)
    assert document["gain"]["mean"] == pytest.approx(float(plan.gain.mean()))
    assert document["shadow_price"] == pytest.approx(plan.shadow_price)


def test_risk_is_an_option(posterior, fit, capsys) -> None:
    assert cli.main(["best", fit, *OPTIONS, "--risk", "cvar=0.2", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    draws = bi.Decision(DECISION.cost, DECISION.budget, DECISION.bounds)
    assert document["value"] == pytest.approx(posterior.best(draws, bi.CVaR(0.2)).value)


def test_a_value_holds_an_action(fit, capsys) -> None:
    arguments = ["--bounds", "red=0.25", "--format", "json"]
    assert cli.main(["best", fit, *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["plan"]["red"] == 0.25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cost", "red=much"], "cost of 'red' is 'much', which is not a number"),
        (["--cost", "rod=1"], "did you mean 'red'"),
        (["--budget", "3"], "a budget needs costs"),
        (["--bounds", "red=3..3"], "to hold it there"),
        (["--bounds", "red=a..b"], "which is not a number"),
        (["--bounds", "red=much"], "set 'red' to 'much'"),
        (["--risk", "median"], "unknown risk 'median'"),
        (["--risk", "cvar=2"], "lie between 0 and 1"),
    ],
)
def test_bad_options_are_named(fit, arguments, message: str, capsys) -> None:
    assert cli.main(["best", fit, *arguments]) == 1
    assert message in capsys.readouterr().err
