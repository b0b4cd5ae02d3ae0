"""Messages in the words of the interface in use, pipes, formats, numbers and names as typed."""

import io
import json
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi
from bayes_intgen import cli

from _words import COMMAND_LINE, PYTHON

ACTIONS = ["dose", "TV spend"]
QUICK = ["--prior", "linear", "--method", "laplace"]


def rows(**changes: object) -> pd.DataFrame:
    """120 patients with three rows each; 'TV spend' differs between patients."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(120), 3)
    regime = rng.choice(["", "dose", "TV spend"], len(patient))
    dose = rng.choice([0.0, 1.0, 2.0], len(patient))
    spend = np.where(
        regime == "TV spend",
        rng.uniform(1e4, 6e4, len(patient)),
        3e4 + 8e3 * rng.normal(size=120)[patient] + 2e3 * rng.normal(size=len(patient)),
    )
    sales = 10 + dose + spend / 1e4 + rng.normal(size=len(patient))
    columns = {"dose": dose, "TV spend": spend, "sales": sales, "patient": patient, "sd": 0.1}
    return pd.DataFrame({**columns, "regime": regime}).assign(**changes)


def command(name: str, file: object, *more: object) -> list[object]:
    return [name, file, "-y", "sales", "-a", ",".join(ACTIONS), *more]


def in_python(frame: pd.DataFrame, model: bi.models.Model | None = None, **columns: object) -> str:
    """All that Python says of rows and of a fit, errors included."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        try:
            data = bi.RegimeData.from_frame(frame, ACTIONS, "sales", "regime", **columns)
            model = model or bi.models.additive("linear")
            fit = bi.fit(data, model, method="laplace", progress=False)
            said = [bi.report_identification(data), bi.report_identification(fit)]
        except bi.BayesIntgenError as error:
            said = [error]
    return "\n".join(map(str, [*(warning.message for warning in found), *said]))


CASES = {
    "levels, and no check": ({}, [], {}, ["fit it with --levels dose"], ["bi.Levels(ordered"]),
    "far outcome": (
        {"sales": lambda t: t["sales"].where(t.index != 5, 900.0)}, [], {},
        ["--noise student_t"], ["noise='student_t'"],
    ),
    "group means": (
        {}, ["--groups", "patient"], {"groups": ["patient"]},
        ["use --group-means"], ["use data.with_group_means()"],
    ),
    "no history": (
        {"regime": lambda t: t["regime"].where(t["regime"] != "", "dose")}, [], {},
        ["add such rows"], ["require_observational=False"],
    ),
    "sd alone": ({}, ["--outcome-sd", "sd"], {"outcome_sd": "sd"}, ["--weights"], ["too: weights"]),
    "unit alone": ({}, ["--unit", "patient"], {"unit": "patient"}, ["--time"], ["too: time"]),
    "not positive": (
        {"sales": lambda t: t["sales"] - 15}, ["--multiplicative"],
        {"model": bi.models.multiplicative("linear")},
        ["omit --multiplicative"], ["use models.additive()"],
    ),
    "skewed": (
        {"sales": lambda t: np.exp(t["sales"])}, [], {},
        ["fit with --multiplicative"], ["bi.models.multiplicative()"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_messages_name_remedies_of_the_interface_in_use(case, tmp_path, capsys) -> None:
    changes, options, arguments, of_command_line, of_python = CASES[case]
    frame, table = rows(**changes), tmp_path / "rows.csv"
    frame.to_csv(table, index=False)
    for name, more in (("describe", []), ("fit", [*QUICK, "-o", tmp_path / "fit.nc"])):
        options_of_it = [] if name == "describe" and "--multiplicative" in options else options
        cli.main([*map(str, command(name, table, *options_of_it, *more))])
    said = "".join(capsys.readouterr())
    words = " ".join(said.split())
    assert all(remedy in words for remedy in of_command_line)
    assert not PYTHON.findall(said)
    # The same process goes on to speak Python.
    said = in_python(frame, **arguments)
    words = " ".join(said.split())
    assert all(remedy in words for remedy in of_python)
    assert not COMMAND_LINE.findall(said)


def test_levels_are_estimated_one_by_one_where_asked(tmp_path, run) -> None:
    frame, fit = rows(), tmp_path / "fit.nc"
    frame.to_csv(tmp_path / "rows.csv", index=False)
    said = run(*command("fit", tmp_path / "rows.csv", *QUICK, "--levels", "dose", "-o", fit))
    assert "too few for a smooth function" not in said.err
    model = bi.load(fit).model
    assert model.unconfounded == model.bias == {"dose": bi.Levels(ordered=True)}


def test_shapes_are_priors_of_single_actions(tmp_path, run) -> None:
    table, fit = tmp_path / "rows.csv", tmp_path / "fit.nc"
    rows().to_csv(table, index=False)
    words = command("fit", table, "--method", "laplace", "--levels", "dose", "-o", fit)
    run(*words, "--shape", "dose=increasing,TV spend=increasing concave")
    model = bi.load(fit).model
    shapes = {name: (type(own), own.shape) for name, own in model.unconfounded.items()}
    assert shapes == {"dose": (bi.Levels, "increasing"), "TV spend": (bi.GP, "increasing concave")}
    assert model.bias["dose"].shape == "free"
    assert "unknown shape 'rising'" in run(*words, "--shape", "dose=rising", code=1).err
    assert "--levels or --shape: " in run(*words, "--shape", "radio=increasing", code=1).err
    straight = run(*words, "--prior", "linear", "--shape", "TV spend=increasing", code=1).err
    assert "needs --prior gp or spline" in straight
    named = rows(dose=np.where(rows()["dose"] > 0, "on", "off"))
    named.to_csv(table, index=False)
    words = command("fit", table, "--method", "laplace", "--shape", "dose=increasing", "-o", fit)
    assert "a shape is of numbers; leave it out, or name it in --levels" in run(*words, code=1).err


def test_stored_findings_are_shown_in_the_words_of_their_reader(tmp_path, run) -> None:
    frame, table, fit = rows(), tmp_path / "rows.csv", tmp_path / "fit.nc"
    frame.to_csv(table, index=False)
    run(*command("fit", table, "--groups", "patient", *QUICK, "-o", fit))
    assert "data.with_group_means()" in str(bi.report_identification(bi.load(fit)))
    run("report", fit, "-o", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "--group-means" in page
    assert "with_group_means" not in page


@pytest.fixture(scope="module")
def fit(tmp_path_factory):
    """A folder with rows.csv and fit.nc."""
    folder = tmp_path_factory.mktemp("fit")
    rows().to_csv(folder / "rows.csv", index=False)
    words = command("fit", folder / "rows.csv", *QUICK, "-q", "-o", folder / "fit.nc")
    assert cli.main([*map(str, words)]) == 0
    return folder / "fit.nc"


@pytest.mark.parametrize(
    ("arguments", "decision", "of_command_line", "of_python"),
    [
        (["--budget", "5"], {"budget": 5}, "write --cost ACTION=1", "write cost={action"),
        (["--bounds", "TV spend=800..900"], {"bounds": {"TV spend": (800, 900)}},
         "--beyond-support of the command", "beyond_support=True"),
    ],
)  # fmt: skip
def test_decisions_too(fit, run, arguments, decision, of_command_line, of_python) -> None:
    said = run("best", fit, *arguments, code=1).err
    assert of_command_line in said
    assert not PYTHON.findall(said)
    with pytest.raises(bi.ModelError) as refused:
        bi.load(fit).best(bi.Decision(**decision))
    assert of_python in str(refused.value)
    assert not COMMAND_LINE.findall(str(refused.value))


@pytest.fixture
def piped(monkeypatch, capsysbinary):
    """Run a command with bytes as its standard input; gives what it prints, as bytes."""

    def piped(*words: object, given: bytes = b"", code: int = 0):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        assert cli.main([*map(str, words)]) == code
        return capsysbinary.readouterr()

    return piped


def test_commands_are_joined_by_pipes_which_messages_name(fit, tmp_path, piped) -> None:
    table = rows().to_parquet()
    words = [sys.executable, "-m", "bayes_intgen", *command("fit", "-", *QUICK, "-o", "-")]
    fitted = subprocess.run(words, input=table, capture_output=True, check=True)
    assert b"written" not in fitted.stderr
    saved = piped(*command("fit", "-", *QUICK, "-o", tmp_path / "piped.nc"), given=table)
    # Rows of a pipe are not there for a report.
    *_, following, last = saved.err.decode().splitlines()
    assert (following, last.split()[:3]) == (
        "Next:", ["bayes-intgen", "effect", str(tmp_path / "piped.nc")]
    )  # fmt: skip
    effect = ["--set", "dose=1,TV spend=€30,000", "--format", "json"]
    answers = [
        piped("effect", source, *effect, given=content).out
        for source, content in ((fit, b""), ("/dev/stdin", fitted.stdout))
    ]
    first, second = ([p["mean"] for p in json.loads(answer)["points"]] for answer in answers)
    assert first == pytest.approx(second)
    points = b"dose;TV spend\n1;30000\n"
    answer = piped("effect", fit, "--points", "-", "--format", "json", given=points).out
    assert json.loads(answer) == json.loads(answers[0])
    assert piped("plot", fit, "-o", "-").out.startswith(b"\x89PNG")
    page = piped("report", "-", "-o", "/dev/stdout", given=fit.read_bytes()).out
    assert page.startswith(b"<!doctype html>")
    said = piped("describe", "-", "-y", "sales", given=b"a,a\n1,2\n", code=1).err
    assert said == b"error: standard-input.csv has two columns called 'a'; rename one\n"


@pytest.mark.parametrize(
    ("words", "records"),
    [
        (["best", "FIT", "--cost", "TV spend=1", "--budget", "38,900"], None),
        (["next", "FIT", "--rows", "100"], "experiments"),
        (["split", "FIT", "--rows", "1,000"], "regimes"),
        (["effect", "FIT", "--set", "dose=1", "--from", "dose=0"], "points"),
        (["describe", "ROWS", "-y", "sales"], "columns"),
        (["describe", "ROWS", "-y", "sales", "-a", "dose,TV spend"], "columns"),
        (["check", "ROWS", "-y", "sales", "-a", "dose,TV spend", "--held-out", "0"], "tests"),
    ],
)
def test_every_answer_is_a_table_for_spreadsheets_too(fit, capsys, words, records) -> None:
    files = {"FIT": str(fit), "ROWS": str(fit.with_name("rows.csv"))}
    shown = {}
    for style in ("csv", "json"):
        cli.main([*(files.get(word, word) for word in words), "--format", style])
        shown[style] = capsys.readouterr().out
    table, document = pd.read_csv(io.StringIO(shown["csv"])), json.loads(shown["json"])
    if records is None:
        table = table.set_index("quantity")
        assert table.loc["plan", ACTIONS].tolist() == pytest.approx(list(document["plan"].values()))
        assert table.loc["gain", "mean"] == pytest.approx(document["gain"]["mean"])
        assert table.loc["plan", "cost"] <= 38_900.01
        return
    assert len(table) == len(document[records])
    for name in {*table} & {*document[records][0]}:
        expected = [record[name] for record in document[records]]
        assert [None if pd.isna(cell) else cell for cell in table[name]] == pytest.approx(expected)
    assert len({*table} & {*document[records][0]}) >= 3


def test_numbers_and_names_as_people_type_them(fit, run) -> None:
    ask = ["effect", fit, "--format", "json", "--set"]
    plain = json.loads(run(*ask, "TV spend=40000.5,dose=2").out)
    assert json.loads(run(*ask, "tvspend=40,000.50, DOSE=2").out) == plain
    limits = ["best", fit, "--format", "json", "--bounds"]
    plainly = ["TV spend=20000..40000", "--budget", "1e6", "--cost", "dose=1"]
    plain = json.loads(run(*limits, *plainly).out)
    typed = ["tv spend=20,000..40,000", "--budget", "1,000,000", "--cost", "DOSE=1"]
    assert json.loads(run(*limits, *typed).out) == plain
    hint = run("effect", fit, "--set", "tv=1", code=1).err
    assert "unknown action 'tv'; did you mean 'TV spend'?" in hint
    assert "decimals have a point" in run("effect", fit, "--set", "dose=0,5", code=1).err
    lost = run("plot", fit, "-o", "x.png", "-a", "dose", "TV spend", code=2).err
    assert "what is 'TV spend'? Separate several values by commas" in lost


def test_bash_completes_commands_options_and_values(tmp_path, monkeypatch, run) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    run("--install-completion", "--shell", "bash")
    program = (
        "source ~/.bashrc; COMP_WORDS=(bayes-intgen effect fit.nc --format ''); COMP_CWORD=4; "
        "$(complete -p bayes-intgen | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == ["table", "csv", "json"]
