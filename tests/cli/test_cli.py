"""Commands, run in this process unless a new one is what is tested."""

import inspect
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi
from bayes_intgen.cli import commands, console
from bayes_intgen.posterior.effects import effect_table

from _posteriors import made_up_with_groups, made_up_with_levels
from _words import PYTHON

COMMAND = [sys.executable, "-m", "bayes_intgen"]
FIT = ["fit", "DATA", "-y", "intensity", "-a", "red", "-o", "x.nc"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory, data, posterior):
    """A folder with data.csv and fit.nc."""
    out = tmp_path_factory.mktemp("cli")
    labels = ["+".join(np.array(data.names)[mask]) for mask in data.intervened]
    frame = pd.DataFrame(data.actions, columns=list(data.names))
    frame.assign(intensity=data.outcome, regime=labels).to_csv(out / "data.csv", index=False)
    posterior.save(out / "fit.nc")
    return out


def test_commands_wait_for_no_library_that_they_do_not_need(folder) -> None:
    pytest.importorskip("dask")  # xarray imports it where it is installed
    ask = ["effect", str(folder / "fit.nc"), "--set", "red=0.1,green=0.2", "-q"]
    program = (
        "import sys\nfrom bayes_intgen import cli\n"
        "cli.main(['--help']); cli.main(['fit', '--help'])\n"
        "heavy = {'jax', 'numpyro', 'xarray', 'scipy', 'pandas', 'matplotlib'}\n"
        "print(heavy & set(sys.modules), file=sys.stderr)\n"
        f"cli.main({ask})\n"
        "heavy = {'jax', 'numpyro', 'dask', 'matplotlib', 'arviz'}\n"
        "print(heavy & set(sys.modules), 'xarray' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == "set()\nset() True\n"
    for word in ("describe", "effect", "Exit codes", "--graph", "--debug", "outcomes"):
        assert word in done.stdout


def test_defaults_equal_those_of_the_library() -> None:
    # Written twice: reading them from the library would load it for every --help.
    library = inspect.signature(bi.fit).parameters
    own = vars(commands.Sampling())
    assert own == {name: library[name].default for name in own}


def test_fit_then_effect(folder, tmp_path, run) -> None:
    quick = ["--prior", "linear", "--graph", "green=red", "--draws", 100, "--method", "laplace"]
    done = run("fit", folder / "data.csv", "-y", "intensity", "-a", "red,green", *quick,
               "-o", tmp_path / "fit.nc", "--checkpoint", tmp_path / "run")  # fmt: skip
    assert done.out == ""
    assert (tmp_path / "run").is_file()
    assert f"written to {tmp_path / 'fit.nc'}\nNext:" in done.err
    saved = bi.load(tmp_path / "fit.nc")
    assert saved.model.graph == {"green": ("red",)}
    assert saved.tree["posterior"].sizes["draw"] == 100
    output = run("effect", tmp_path / "fit.nc", "--set", "red=0.5", "--set", "red=0,green=1",
                 "--from", "green=0", "--format", "json")  # fmt: skip
    assert re.search(r"note: green = \S+ by default", output.err)
    answer = json.loads(output.out)
    assert [point["from"]["red"] for point in answer["points"]] == [0.5, 0.0]
    points = [[p["values"]["red"], p["values"]["green"]] for p in answer["points"]]
    before = [[p["from"]["red"], p["from"]["green"]] for p in answer["points"]]
    expected = effect_table(saved, points, baseline=before)
    for name in ("mean", "low", "high", "outcome_low", "outcome_high", "change", "above_zero"):
        np.testing.assert_allclose([p[name] for p in answer["points"]], expected[name])


def test_findings_of_a_fit_are_shown_once(folder, tmp_path, run) -> None:
    frame = pd.read_csv(folder / "data.csv")
    pd.concat([frame, frame[:200]]).to_csv(tmp_path / "copies.csv", index=False)
    command = ["fit", tmp_path / "copies.csv", "-y", "intensity", "-a", "red,green", "--strict"]
    command += ["--prior", "linear", "-o", tmp_path / "fit.nc"]

    def problems() -> tuple[str, ...]:
        return tuple(bi.report_identification(bi.load(tmp_path / "fit.nc")).problems)

    summary = run(*command, "--draws", 4, "--warmup", 10, code=console.DOUBTFUL).err
    summary = " ".join(summary.split())
    assert "warning" not in summary
    for first_words in ("200 of 1100 rows are exact copies of others", "R-hat is "):
        assert summary.count(first_words) == 1
        assert any(problem.startswith(first_words) for problem in problems())
    # A quiet command shows warnings instead. Remedies are options here.
    warned, shown = run(*command, "--method", "laplace", "-q").err.splitlines(), 40
    assert {f"warning: {problem[:shown]}" for problem in problems()} == {
        line[: len("warning: ") + shown] for line in warned
    }
    assert warned


def test_observed_actions_are_not_set(folder, posterior, run) -> None:
    command = ["effect", folder / "fit.nc", "--strict", "-s"]
    answer = run(*command, "red=0.5", "--observed", "green=0.2", "--format", "json").out
    mean = pytest.approx(posterior.effect([[0.5, 0.2]], ["red"]).mean().item())
    assert json.loads(answer)["points"][0]["mean"] == mean
    assert json.loads(answer)["intervened"] == ["red"]
    pd.DataFrame({"red": [0.5]}).to_csv(folder / "red.csv")
    pd.DataFrame({"red": [0.5], "green": [0.3]}).to_csv(folder / "both.csv")
    command = ["effect", folder / "fit.nc", "--observed", "green=0.2", "--points"]
    answer = run(*command, folder / "red.csv", "--format", "json").out
    assert json.loads(answer)["points"][0]["mean"] == mean
    error = run(*command, folder / "both.csv", code=console.UNUSABLE).err
    assert "'green' is both observed and a column of" in error
    command = ["effect", folder / "fit.nc", "--strict", "-s"]
    for words in (["red=50,green=0"], ["red=0.5,green=0", "--from", "red=50"]):
        run(*command, *words, code=console.DOUBTFUL)


def test_check_exits_with_3_unless_the_assumptions_hold(folder, tmp_path, run) -> None:
    frame = pd.read_csv(folder / "data.csv", keep_default_na=False)
    command = ["check", str(tmp_path / "data.csv"), "-y", "intensity", "-a", "red,green", "-q"]
    command += ["--held-out", "0", "--format", "json"]
    products = 2 * frame["red"] * frame["green"]
    frame.assign(intensity=frame["intensity"] + products).to_csv(command[1], index=False)
    run(*command)
    found = run(*command, "--interactions", "none", code=console.DOUBTFUL).out
    (statement, *_) = json.loads(found)["statement"]
    assert statement.startswith("Violated, most likely between red and green")
    # Nothing can be tested without experiments.
    frame[frame["regime"].isin(["", "observational"])].to_csv(command[1], index=False)
    document = json.loads(run(*command, code=console.DOUBTFUL).out)
    assert (document["state"], document["violated"]) == ("could not be tested", None)


def test_report_reads_the_columns_that_were_fitted(folder, tmp_path, run) -> None:
    frame = pd.read_csv(folder / "data.csv", keep_default_na=False)
    frame = frame.rename(columns={"regime": "arm"}).assign(stores=3, spread=0.2)
    frame = frame.assign(shop=[f"s{i % 5}" for i in range(len(frame))], week=np.arange(len(frame)))
    frame.to_csv(tmp_path / "cells.csv", index=False)
    command = ["-y", "intensity", "-a", "red,green", "-r", "arm", "--weights", "stores"]
    command += ["--outcome-sd", "spread", "--unit", "shop", "--time", "week"]
    command += ["--prior", "linear", "--method", "laplace"]
    fit, page = tmp_path / "fit.nc", tmp_path / "r.html"
    run("fit", tmp_path / "cells.csv", *command, "-o", fit, "-q")
    assert "pareto_k" in bi.load(fit).tree["sample_stats"].attrs
    columns = bi.load(fit).terms.covariates
    assert (columns.regime, columns.weights, columns.outcome_sd) == ("arm", "stores", "spread")
    again = ["report", fit, "-o", page, "--data", tmp_path / "cells.csv", "-q"]
    run(*again)
    assert "p = " in page.read_text()
    # Other weights or times are other rows.
    for changes in ({"stores": 4}, {"week": 0}):
        frame.assign(**changes).to_csv(tmp_path / "cells.csv", index=False)
        run(*again, code=1)


def test_interactions_and_alike_actions_are_groups_of_names(folder, tmp_path, run) -> None:
    command = ["fit", folder / "data.csv", "-y", "intensity", "-a", "red,green", "-q"]
    command += ["--prior", "linear", "--method", "laplace", "-o", tmp_path / "f.nc"]
    for text, interactions in (("green,red", (("green", "red"),)), ("none", None)):
        run(*command, "--interactions", text)
        assert bi.load(tmp_path / "f.nc").model.interactions == interactions
    run(*command, "--interactions", "green,blue", code=1)
    run(*command, "--alike", "green,red")
    assert bi.load(tmp_path / "f.nc").model.alike == (("green", "red"),)
    assert "'blue'" in run(*command, "--alike", "green,blue", code=1).err


def test_carry_over_is_asked_for_by_name(folder, tmp_path, run) -> None:
    frame = pd.read_csv(folder / "data.csv", keep_default_na=False)
    frame.assign(week=np.arange(len(frame))).to_csv(tmp_path / "weeks.csv", index=False)
    command = ["fit", tmp_path / "weeks.csv", "-y", "intensity", "-a", "red,green", "-q"]
    command += ["--prior", "linear", "--method", "laplace", "-o", tmp_path / "f.nc"]
    assert "--time" in run(*command, "--carryover", "red", code=1).err
    run(*command, "--time", "week", "--carryover", "red,green=0.5")
    fit = bi.load(tmp_path / "f.nc")
    assert fit.model.carryover == {"red": bi.Adstock(), "green": bi.Adstock(0.5)}
    ask = ["effect", tmp_path / "f.nc", "--set", "red=0.1,green=0.2", "--from", "red=0"]
    assert "Population: red and green held for as long as they act." in run(*ask).out
    assert "red and green held for 1 period, before at" in run(*ask, "--periods", "1").out
    week = fit.contrast([[0.1, 0.2]], [[0.0, 0.2]], periods=1).mean()
    (point,) = json.loads(run(*ask, "--periods", "1", "--format", "json").out)["points"]
    assert point["change"] == pytest.approx(float(week))
    unset = ["effect", tmp_path / "f.nc", "--set", "green=0.2", "--observed", "red=0.1"]
    assert "'red' is not" in run(*unset, "--periods", "1", code=1).err
    run(*command, "--time", "week", "--carryover", "red=fast", code=1)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["effect", "FIT"], 1, "there is no point; write --set red="),
        (["effect", "FIT", "--set", "blue=1"], 1, "unknown action 'blue'"),
        (["effect", "FIT", "--set", "red=1", "--observed", "red=1"], 1, "both set and observed"),
        (["effect", "FIT", "--set", "red=1", "--level", "90"], 1, "level must lie"),
        (["effect", "DATA", "--set", "red=1"], 1, "cannot be read as a saved fit"),
        (["effect", "nowhere.nc", "--set", "red=1"], 1, "there is no file nowhere.nc"),
        (["effect", "FIT", "--set", "red=1", "--format", "xml"], 2, "xml"),
        (["effect", "FIT", "--sett", "red=1"], 2, "--sett"),
        (["nonsense"], 2, "nonsense"),
        (["fit", "DATA", "-o", "x.nc"], 1, "--outcome and --actions must be named"),
        (["fit", "DATA", "-y", "intensity", "-o", "no/such/x.nc"], 1, "there is no folder"),
        (["fit", "DATA", "-y", "intensity", "-o", "."], 1, "error: . is a folder; name a file"),
        (["fit", "DATA", "-y", "red", "-a", "red", "-o", "x.nc"], 1, "different columns"),
        ([*FIT, "--graph", "red"], 1, "child=parent"),
        ([*FIT, "--multiplicative", "--noise", "student_t"], 1, "no mean; omit --noise"),
        (["effect", "FIT", "--set", "red"], 1, "not name=value"),
        (["effect", "FIT", "--set", "red=1,red=2"], 1, "two values"),
        (["effect", "FIT", "--set", " "], 1, "sets nothing"),
        (["effect", "FIT", "--set", "{red: 1}"], 1, "starts like JSON"),
        (["effect", "FIT", "--set", '{"red": [1]}'], 1, "neither a number nor a level"),
        (["plot", "FIT", "-o", "x.nonsense"], 1, "cannot be written"),
        (["plot", "FIT", "-o", "x", "-a", "red", "--at", "red=1"], 1, "runs along 'red'"),
        (["report", "FIT", "-o", "x.html", "--cell", "a=1"], 1, "are about --data: name it, too"),
        (["demo", "--rows", "3"], 1, "rows must be"),
    ],
)
def test_errors_are_printed_as_one_line(folder, run, monkeypatch, arguments, code, message) -> None:
    monkeypatch.chdir(folder)
    files = {"FIT": "fit.nc", "DATA": "data.csv"}
    output = run(*(files.get(word, word) for word in arguments), code=code)
    assert output.out == ""
    lines = output.err.splitlines()
    assert message in lines[-1]
    assert not PYTHON.search(output.err)
    assert lines[-1].startswith("error: ")
    assert not any(line.startswith("Traceback") for line in lines)
    assert all(line.startswith(("error: ", "note: ", "warning: ")) for line in lines)


def test_levels_are_set_by_their_names(tmp_path, run) -> None:
    posterior = made_up_with_levels()
    posterior.save(tmp_path / "fit.nc")
    command = ["effect", tmp_path / "fit.nc", "--format", "json"]
    point = "drug=b,size=large,promo=true,spend=2"
    output = run(*command, "--set", point, "--from", "drug=placebo")
    assert "note: coin = 1 by default" in output.err
    (answer,) = json.loads(output.out)["points"]
    values = answer["values"]
    assert values == {"drug": "b", "size": "large", "promo": True, "coin": values["coin"],
                      "spend": 2.0}  # fmt: skip
    assert answer["from"] == {**values, "drug": "placebo"}
    expected = effect_table(posterior, values, baseline=answer["from"])
    assert answer["change"] == pytest.approx(expected["change"].item())
    # A file of points gives the same.
    pd.DataFrame([values]).to_csv(tmp_path / "points.csv", index=False)
    from_file = json.loads(run(*command, "--points", tmp_path / "points.csv").out)
    assert from_file["points"][0]["mean"] == answer["mean"]
    run("plot", tmp_path / "fit.nc", "-o", tmp_path / "x.png", "--at", "drug=a")
    for typed, message in (
        ("drug=c", "'drug' has no level 'c'"), ("spend=x", "not 'x'"), ("spend=+30%", "not '+30%'"),
        ("spend=0.01 g", "'spend' must be a number alone, in the unit of its column, not '0.01 g'"),
    ):  # fmt: skip
        assert message in run(*command, "--set", typed, code=console.UNUSABLE).err


@pytest.fixture(scope="module")
def fit_with_groups(tmp_path_factory):
    """A folder with fit.nc."""
    out = tmp_path_factory.mktemp("groups")
    made_up_with_groups(groups=["region"]).save(out / "fit.nc")
    return out


def test_commands_in_a_population(fit_with_groups, monkeypatch, run) -> None:
    monkeypatch.chdir(fit_with_groups)
    run("plot", "fit.nc", "-o", "tv.svg", "-a", "tv", "--given", "season=winter")
    assert "at season = winter" in (fit_with_groups / "tv.svg").read_text()
    run("report", "fit.nc", "-o", "page.html", "--given", "season=winter")
    assert "Population: at season = winter" in (fit_with_groups / "page.html").read_text()
    refused = run("effect", "fit.nc", "--set", "tv=1", "--given", "seasn=winter", code=1)
    assert "unknown covariate or grouping 'seasn'" in refused.err
    arguments = ["effect", "fit.nc", "--set", "tv=0.5,promo=0.2"]
    arguments += ["--population", "bootstrap", "--given", "age=40"]
    assert run(*arguments, "--from", "tv=0,promo=0").err.endswith("--moderators tv:age,promo:age\n")
    answer = json.loads(run(*arguments, "--format", "json").out)
    effect = bi.load("fit.nc").over("bootstrap").given(age=40).joint_effect([[0.5, 0.2]])
    assert answer["population"] == effect.attrs["population"]
    assert answer["points"][0]["mean"] == pytest.approx(effect.mean().item())
    assert f"Population: {answer['population']}." in " ".join(run(*arguments).out.split())


def test_unexpected_errors_have_an_exit_code_and_tracebacks_an_option(run) -> None:
    assert "Traceback" in run("effect", "nowhere.nc", "--set", "a=1", "--debug", code=1).err

    @commands.app.command
    def defective() -> int:
        raise RuntimeError("the cat\nis out")

    try:
        shown = run("defective", code=console.DEFECT).err
    finally:
        del commands.app["defective"]
    assert "error: unexpected RuntimeError: the cat is out (--debug" in shown


def test_closed_pipe_ends_the_command_quietly(folder) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [*COMMAND, "effect", str(folder / "fit.nc"), "--set", "red=0,green=0"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (console.PIPE, "")


def test_interrupt_ends_a_fit_at_once(folder, tmp_path) -> None:
    command = ["fit", folder / "data.csv", "-y", "intensity", "-a", "red,green"]
    command += ["-o", tmp_path / "fit.nc", "--checkpoint", tmp_path / "run"]
    command = [*COMMAND, *map(str, command), "--draws", "100000"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True) as running:
        # The first report of progress: it is at work.
        first = running.stderr.read(1)
        started = time.monotonic()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert first
    assert running.returncode == console.INTERRUPTED
    assert err.endswith("interrupted; the same command goes on from its checkpoint\n")
    assert "Traceback" not in err
    assert out == ""
    assert time.monotonic() - started < 20
    assert {path.name for path in tmp_path.iterdir()} <= {"run"}


def test_demonstration_runs_the_commands_that_it_shows(tmp_path, run) -> None:
    command = ["demo", "-o", tmp_path / "demo", "--rows", 40, "--method", "laplace"]
    demo = run(*command)
    assert "has a file data.csv; name another folder" in run(*command, code=1).err
    files = {"data.csv", "plans.csv", "fit.nc", "report.html"}
    assert {path.name for path in (tmp_path / "demo").iterdir()} == files
    shown = re.search(r"^bayes-intgen (effect .*)$", demo.err, re.MULTILINE)
    estimates, truth = demo.out.split("\nThe truth of the simulation: ")
    assert shown is not None
    assert run(*shlex.split(shown[1])).out == estimates
    assert len(truth.split(", ")) == 4


def test_control_sequences_of_names_are_not_printed(tmp_path, run) -> None:
    name = "tv\x1b[2J"
    lines = [f"{i % 7},{i % 5},{name if i % 2 else ''}" for i in range(40)]
    (tmp_path / "rows.csv").write_text("\n".join([f"{name},y,regime", *lines]))
    for form in ("table", "json"):
        printed = run("describe", tmp_path / "rows.csv", "-y", "y", "--format", form).out
        assert "\x1b" not in printed
        assert "tv\\u001b[2J" in printed
