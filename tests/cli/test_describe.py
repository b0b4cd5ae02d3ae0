"""From a file to an answer: proposed roles, and commands that work as they are printed."""

import json
import re
import shlex

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi
from bayes_intgen.cli import console


def marketing(regions: int = 12, weeks: int = 60) -> tuple[pd.DataFrame, float]:
    """A panel with tests in words, a confounded history and gaps; the joint effect at 20 and 8."""
    rng = np.random.default_rng(3)
    region, week = (own.ravel() for own in np.indices((regions, weeks)))
    cause = rng.normal(size=(len(week), 2))
    tv, radio = np.maximum([20.0, 8.0] * (1 + 0.4 * cause), 0).T
    label = np.full(len(week), "Business as usual", dtype=object)
    tests = ((tv, "TV geo test (spring)", 5, 40), (radio, "Radiotest", 30, 16))
    for i, (spend, name, start, most) in enumerate(tests):
        rows = (region % 3 == i) & (week >= start) & (week < start + 20)
        label[rows], spend[rows] = name, rng.uniform(0, most, rows.sum())
    promo = rng.choice(["yes", "no"], len(week))
    level = 3 * region + 5 * np.sin(week / 8) + 4 * (promo == "yes")
    sales = 100 + level + 2 * tv + 3 * radio + cause @ [6.0, 5.0] + rng.normal(0, 2, len(week))
    frame = pd.DataFrame(
        {
            "Week commencing": pd.Timestamp("2024-01-01") + pd.to_timedelta(7 * week, "D"),
            "Region": [f"Region {i}" for i in region],
            "TV spend": tv.round(2),
            "Radio spend, net": radio.round(2),
            "Promo": promo,
            "Holiday": np.where(np.isin(week % 52, [0, 20, 51]), "holiday", ""),
            "Experiment": label,
            "Site visits": (40 * tv + 60 * radio + rng.normal(0, 30, len(week))).round(),
            "Sales": sales.round(2),
        }
    )
    frame.loc[[4, 90, 301], "TV spend"] = np.nan
    usual = level[label == "Business as usual"].mean()
    return frame, 100 + usual + 2 * 20 + 3 * 8


def next_command(text: str) -> list[str]:
    """Words of the command on the last line."""
    program, *words = shlex.split(text.splitlines()[-1])
    assert program == "bayes-intgen"
    return words


def test_printed_commands_lead_from_a_file_to_the_answer(tmp_path, run, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame, truth = marketing()
    frame.to_csv("our sales.csv", index=False)
    proposal = run("describe", "our sales.csv")
    assert proposal.err == ""
    described = run(*next_command(proposal.out))
    words = next_command(described.out)
    assert words[:1] + words[-2:] == ["fit", "-o", "our sales.nc"]
    fitted = run(*words, "--method", "laplace", "--prior", "linear").err
    check, effect, report = (shlex.split(line)[1:] for line in fitted.splitlines()[-3:])
    assert check == ["check", *words[1:-2], "--prior", "linear"]
    assert "the file and the options of the next command, but -o" in " ".join(described.out.split())
    assert effect[:3] == ["effect", "our sales.nc", "--set"]
    run(*effect)
    point = json.dumps({"TV spend": 20, "Radio spend, net": 8})
    assert json.loads(effect[3]).keys() == json.loads(point).keys()
    answer = json.loads(run("effect", "our sales.nc", "--set", point, "--format", "json").out)
    assert answer["points"][0]["low"] < truth < answer["points"][0]["high"]
    # The fit knows the labels and the treatment of missing cells, of which it has warned.
    assert "warning: " in fitted
    assert "warning: " not in run(*report).err
    assert "p = " in (tmp_path / "our sales.html").read_text()


def test_units_and_their_times_are_proposed(tmp_path, run) -> None:
    frame = marketing()[0]
    words = next_command(described(frame, tmp_path, run)[2])
    assert words[words.index("--unit") + 1] in frame.columns
    assert words[words.index("--time") + 1] == "Week commencing"
    # Negative control: weeks that occur twice in a region.
    twice = pd.concat([frame, frame.assign(Sales=frame["Sales"] + 1)])
    assert "--time" not in next_command(described(twice, tmp_path, run)[2])


def test_unknown_texts_in_numbers_are_asked_about_and_answered(tmp_path, run, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame, _ = marketing()
    doses = np.array(["none", "5 mg", "10mg", "10 mg"], dtype=object)
    texts = frame.assign(Sales=[f"£{value:,.2f}" for value in frame["Sales"]])
    texts["Radio spend, net"] = doses[(frame["Radio spend, net"] // 5).clip(upper=3).astype(int)]
    texts.loc[[7, 95, 400], "Sales"] = "lost, sorry"
    texts.to_csv("rows.csv", index=False)
    described = run("describe", "rows.csv").out
    assert "How is 'Radio spend, net' read? 'none' may be 0 (--cell none=0) or missing" in described
    assert "How is 'Sales' read? 'lost, sorry' may be missing (--cell 'lost, sorry=')" in described
    assert re.search("\n  Sales +outcome[?] +text such as", described)
    assert "Check that 'none' is 0, 'lost, sorry' is missing. Next:" in described
    for _ in range(2):
        described = run(*next_command(described)).out
    words = next_command(described)
    assert words[:2] == ["fit", "rows.csv"]
    fitted = run(*words, "--method", "laplace", "--prior", "linear").err
    page = shlex.split(fitted.splitlines()[-1])[1:]
    assert page[-6:] == ["--cell", "none=0", "--cell", "lost, sorry=", "-o", "rows.html"]
    run(*page)
    refused = run("fit", "rows.csv", *words[2:], "--cell", "gone=", code=1).err
    assert refused.splitlines()[-1] == (
        "error: --cell gone=: no column of numbers or dates has such a cell"
    )
    # The command that cleans is answered, too, for files of other kinds as well.
    shown = run("clean", "rows.csv", "-o", "rows.parquet")
    assert "'Sales' stays text: 'lost, sorry' may be missing" in shown.out
    again = run(*next_command(shown.err))
    assert next_command(again.err) == ["describe", "rows.parquet"]
    texts.to_parquet("raw.parquet")
    words = next_command(run("describe", "raw.parquet").out)
    assert words[:4] == ["clean", "raw.parquet", "-o", "raw-clean.parquet"]
    run(*words)
    for name in ("rows.parquet", "raw-clean.parquet"):
        cleaned = pd.read_parquet(name)
        assert cleaned["Sales"].isna().sum() == 3
        assert set(cleaned["Radio spend, net"]) == {0, 5, 10}


def described(frame: pd.DataFrame, tmp_path, run, *options: str) -> tuple[dict, dict, str]:
    """Roles with question marks, reasons, and the text of a description."""
    frame.to_csv(tmp_path / "rows.csv", index=False)
    command = ["describe", tmp_path / "rows.csv", *options]
    document = json.loads(run(*command, "--format", "json").out)
    text = run(*command).out
    assert document["command"] == text.splitlines()[-1].strip()
    columns = document["columns"]
    return {c["name"]: c["role"] for c in columns}, {c["name"]: c["reason"] for c in columns}, text


def test_actions_are_the_columns_that_labels_name(tmp_path, run) -> None:
    roles, reasons, text = described(marketing()[0], tmp_path, run)
    assert roles == {
        "Week commencing": "covariate?", "Region": "group?", "TV spend": "action?",
        "Radio spend, net": "action?", "Promo": "covariate?", "Holiday": "covariate?",
        "Experiment": "regime?", "Site visits": "unused", "Sales": "outcome?",
    }  # fmt: skip
    assert "depends on" in reasons["Site visits"]
    assert re.search(r"Business as usual +nothing\? +560\n", text)
    assert re.search(r"Radiotest +Radio spend, net\? +80\n", text)
    assert "(720 rows)" in text
    assert "3 rows have missing cells in columns with a role" in text
    words = next_command(text)
    assert words[-2:] == ["--missing", "drop,Holiday=level"]
    # Named roles are certain, and are kept.
    named = ["-y", "Site visits", "--groups", "Promo"]
    roles, _, text = described(marketing()[0], tmp_path, run, *named)
    assert (roles["Site visits"], roles["Promo"], roles["Region"]) == ("outcome", "group", "group?")
    assert "--outcome 'Site visits'" in text


def trial(patients: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    patient = np.arange(patients).repeat(3)
    study = rng.choice(["Registry", "A-101", "B-202"], patients, p=[0.4, 0.3, 0.3]).repeat(3)
    cause = rng.normal(size=(patients, 2)).repeat(3, 0)
    drugs = np.where(study[:, None] == ["A-101", "B-202"], rng.normal(size=cause.shape), cause) > 0
    score = drugs @ [1.5, 1.0] + cause @ [0.5, 0.5] + rng.normal(0, 0.5, 3 * patients)
    return pd.DataFrame(
        {
            "patient": 1000 + patient, "age": rng.integers(40, 80, patients).repeat(3),
            "visit": np.tile([1, 2, 3], patients), "drug_a": np.where(drugs[:, 0], "on", "off"),
            "drug_b": np.where(drugs[:, 1], 10, 0), "study": study, "score": score.round(3),
            "record id": np.arange(3 * patients), "responder": (score > 1.5).astype(int),
        }
    )  # fmt: skip


def test_patients_are_groups_and_consequences_are_no_covariates(tmp_path, run) -> None:
    roles, reasons, text = described(trial(), tmp_path, run)
    assert roles == {
        "patient": "group?", "age": "covariate?", "visit": "covariate?", "drug_a": "action?",
        "drug_b": "action?", "study": "regime?", "record id": "unused", "score": "outcome?",
        "responder": "unused",
    }  # fmt: skip
    assert "numbers of rows" in reasons["record id"]
    assert "depends on 'drug_" in reasons["responder"]
    assert "--label Registry= --label " in text


def test_what_is_held_in_an_arm_was_set_there_too(tmp_path, run) -> None:
    frame = trial()
    patients = frame["patient"] % 2 == 0
    mono = (frame["study"] == "A-101") & patients
    frame.loc[mono, ["study", "drug_b"]] = ["Mono A", 0]
    frame.loc[frame.index[frame["study"] == "B-202"][0], "study"] = "A once"
    text = described(frame, tmp_path, run)[2]
    assert "--label A-101=drug_a " in text
    assert "--label 'Mono A=drug_a+drug_b'" in text
    assert "--label 'A once=drug_a'" in text
    # Negative control: a drug that nobody takes outside its trial is not held anywhere.
    frame.loc[frame["study"] != "B-202", "drug_b"] = 0
    assert "--label 'Mono A=drug_a' " in described(frame, tmp_path, run)[2]


def test_lines_fit_into_a_narrow_terminal(tmp_path, run, monkeypatch) -> None:
    trial().to_csv(tmp_path / "rows.csv", index=False)
    lengths = {}
    for columns in (70, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        explained = run("describe", tmp_path / "rows.csv").out
        described = run(*next_command(explained)).out
        lines = [line for text in (explained, described) for line in text.splitlines()[1:-1]]
        lengths[columns] = max(map(len, lines))
    assert lengths[70] <= 70 < lengths[200] <= 100


def test_the_next_command_has_the_levels_that_are_advised(tmp_path, run) -> None:
    frame = trial().assign(drug_b=np.random.default_rng(0).choice([0, 5, 10], 900))
    fit = next_command(run(*next_command(described(frame, tmp_path, run)[2])).out)
    assert fit[fit.index("--levels") + 1] == "drug_b"


def test_consequences_and_copies_of_actions_are_named(tmp_path, run) -> None:
    frame = trial(150).drop(columns="responder")
    frame["effect seen"] = np.where(frame["score"] > 1.5, "Y", "N")
    frame["dose in mcg"] = 1000 * frame["drug_b"]
    roles, reasons, text = described(frame, tmp_path, run)
    assert roles["effect seen"] == roles["dose in mcg"] == "unused"
    assert reasons["dose in mcg"].endswith("a copy of 'drug_b'")
    # Roles that are named are examined, too.
    words = next_command(text)
    at = words.index("--covariates") + 1
    told = run(*words[:at], words[at] + ",effect seen", *words[at + 1 :]).out
    assert re.search(r"covariate 'effect seen' depends on 'drug_.*: omit it\n", told)
    words[at] += ",dose in mcg"
    error = run(*words, code=console.UNUSABLE).err
    assert "covariate 'dose in mcg' is a copy of action 'drug_b'; omit it" in error
    fit = ["fit", *words[1:], "-o", tmp_path / "fit.nc"]
    assert "a copy of action" in run(*fit, code=console.UNUSABLE).err


def test_free_text_gets_no_role(tmp_path, run) -> None:
    rng, frame = np.random.default_rng(0), trial()
    words = [f"word {i}" for i in range(20)]
    frame["batch"] = rng.choice(words, len(frame))
    frame["batch"] = frame["batch"].where(frame["batch"] != "word 3")
    frame["last note"] = rng.choice(words, len(frame))
    frame["vial"] = [f"vial {max(i - 700, 0)}" for i in range(len(frame))]
    frame["ward"] = [f"ward {i // 30}" for i in range(len(frame))]
    frame["stopped"] = np.where(np.arange(len(frame)) % 300 == 5, "power cut", "")
    roles, reasons, text = described(frame, tmp_path, run)
    assert [roles[name] for name in ("batch", "last note", "vial", "stopped")] == ["unused"] * 4
    assert roles["ward"] == "group?"
    assert "a group only if these are units" in reasons["batch"]
    # Reasons are kept once roles are named.
    told = run(*next_command(text)).out
    assert "free text, by its name" in told
    assert "nearly always the same" in told


def test_german_names_are_understood(tmp_path, run) -> None:
    names = {"drug_a": "Radioausgaben", "drug_b": "Kino", "score": "Erlös"}
    names["patient"] = "Kundennummer"
    words = {"Registry": "Normalbetrieb", "A-101": "Radiotest", "B-202": "Kino-Test (Herbst)"}
    frame = trial().replace({"study": words}).rename(columns={**names, "study": "Versuch"})
    frame["Kundenname"] = "Kunde " + frame["Kundennummer"].astype(str)
    roles, reasons, text = described(frame, tmp_path, run)
    assert roles["Radioausgaben"] == roles["Kino"] == "action?"
    assert (roles["Erlös"], roles["Kundennummer"]) == ("outcome?", "group?")
    assert "the same units as 'Kundennummer'" in reasons["Kundenname"]
    assert "--label Normalbetrieb= " in text
    assert "--label 'Kino-Test (Herbst)=Kino'" in text


def test_labels_without_a_clue_are_asked_about(tmp_path, run) -> None:
    frame = trial().replace({"study": {"A-101": "first trial", "B-202": "second trial"}})
    frame = frame.rename(columns={"study": "programme"})
    _, _, text = described(frame, tmp_path, run, "--regime", "programme")
    command = ["describe", tmp_path / "rows.csv", "--regime", "programme"]
    assert "What does the label 'first trial' stand for? --label 'first trial=COLUMN', or" in text
    words = next_command(text)
    assert "--actions" not in words
    assert "What does the label 'second trial' stand for?" in run(*words).out
    answers = ["--label", "first trial=drug_a", "--label", "second trial=drug_b"]
    words = next_command(run(*words, *answers).out)
    # A label that has a meaning tells which column has the labels.
    assert next_command(run(*command[:2], *answers).out) == words
    assert words[words.index("--actions") + 1] == "drug_a,drug_b"
    run(*words)
    error = run(*command, "--label", "frist trial=drug_a", code=console.UNUSABLE).err
    assert "no row has the label 'frist trial'; did you mean 'first trial'?" in error


def test_a_table_without_labels_gets_no_actions(tmp_path, run) -> None:
    frame = trial().drop(columns="study")
    frame[:0].to_csv(tmp_path / "none.csv")
    assert "no rows" in run("describe", tmp_path / "none.csv", code=console.UNUSABLE).err
    roles, _, text = described(frame, tmp_path, run)
    assert {*roles.values()} == {"outcome?", "unused"}
    assert "Which column says which actions were set in a row? --regime COLUMN" in text
    assert "; join a column per action into one" in run(*next_command(text)).out


@pytest.mark.parametrize(
    ("column", "cells", "asked"),
    [
        ("drug_b", ["10 mg", "5MG", "2 Mg", "Placebo"], "'Placebo' may be 0 (--cell Placebo=0) or"),
        ("drug_b", ["1 g", "0.5 mg", "1.5 g"], "'0.5 mg' may be missing (--cell '0.5 mg=') or a "),
        ("drug_b", ["10", "20", "40", "<5"], "'<5' may be missing (--cell '<5=') or a number (--c"),
        ("drug_b", [*(f"{i}%" for i in range(50)), *"123456"], "'1' has no unit, others have '%'"),
        ("score", ["yes", "Y", "No", "no"], "'yes' may be 1 (--cell yes=1) or missing (--cell y"),
        ("score", ["low", "high"], "'low' may be missing (--cell low=) or a number (--cell low="),
    ],
)
def test_cells_that_are_no_numbers_are_asked_about(column, cells, asked, tmp_path, run) -> None:
    frame = trial().assign(**{column: np.resize(cells, 900)})
    text = described(frame, tmp_path, run, "--outcome", "score")[2]
    assert asked in text.split("\nQuestions\n")[1]
    assert "--actions" not in next_command(text)


def test_a_file_of_many_columns_is_described_on_one_screen(tmp_path, run) -> None:
    rng = np.random.default_rng(0)
    frame = trial(100)
    many = {f"sensor {i}": rng.normal(size=len(frame)).round(2) for i in range(150)}
    many |= {f"flag {i}": rng.choice(["a", "b"], len(frame)) for i in range(50)}
    frame = pd.concat([pd.DataFrame(many), frame], axis=1)
    roles, _, text = described(frame, tmp_path, run)
    assert len(text.splitlines()) < 40
    said = "150 columns of numbers are unused: sensor 0, sensor 1, sensor 2, sensor 3 and 146"
    assert said in text
    assert {name for name, role in roles.items() if role == "covariate?"} == {"visit"}
    text = run(*next_command(text)).out
    assert "50 columns of text of few values are unused: flag 0" in text
    assert len(text.splitlines()) < 50


def test_labels_are_explained_in_options(tmp_path, run) -> None:
    trial().to_parquet(tmp_path / "rows.parquet")
    command = ["describe", tmp_path / "rows.parquet", "-y=score", "-a=drug_a,drug_b", "-r=study"]
    error = run(*command, code=console.UNUSABLE).err
    assert "'Registry' in row" in error
    assert "--label B-202=drug_b" in error
    assert "(nothing where no action was set)" in error
    for words, message in (
        ("Registry", "--label 'Registry' is not label=action, such as 'TV test=tv', or BAU="),
        ("A-101=drug_c", "'A-101' stands for an unknown action 'drug_c'; did you mean 'drug_"),
        ("Registry= Registry=drug_a", "'Registry' two meanings"),
    ):
        labels = [word for label in words.split() for word in ("--label", label)]
        assert message in run(*command, *labels, code=console.UNUSABLE).err


def test_codes_of_missing_cells_are_named_and_answered(tmp_path, run) -> None:
    frame = trial().assign(score=lambda own: own["score"].where(own.index % 50 > 0, -999))
    for options, said in (
        ([], "; -999 may be a missing cell (of text files: --cell -999=)"),
        (["--cell", "-999="], "; 18 missing cells"),
    ):
        assert said in described(frame, tmp_path, run, *options)[1]["score"]


@pytest.mark.parametrize("label", ["-", "None"])
def test_labels_that_are_no_words_can_be_typed(label, tmp_path, run) -> None:
    frame = trial().replace({"study": {"Registry": label}})
    table = tmp_path / "rows.parquet"
    frame.to_parquet(table)
    for text in (run("describe", table).out, described(frame, tmp_path, run)[2]):
        assert f"--label {label}= " in text
        assert re.search("observational .*do.drug_a.", run(*next_command(text)).out, re.DOTALL)


@pytest.mark.parametrize("label", ["2", 2.0, True])
def test_labels_need_not_be_text(label) -> None:
    frame = trial()
    study = frame["study"].map({"A-101": label, "B-202": 3, "Registry": 0})
    data = bi.RegimeData.from_frame(
        frame.assign(study=study.astype(object)), ["drug_a", "drug_b"], "score", "study",
        labels={label: "drug_a", 3: "drug_b", 0: None},
    )  # fmt: skip
    assert data.intervened[:, 0].sum() == (frame["study"] == "A-101").sum()


def test_labels_that_say_more_or_the_opposite_are_asked_about(tmp_path, run) -> None:
    rng = np.random.default_rng(0)
    labels = ["BAU"] * 20 + ["TV test"] * 20 + ["both"] * 30 + ["without radio"] * 9
    asked = ["pre TV test", "after TV test", "TV test cancelled", "TV + Facebook"]
    asked += ["TV on, radio off", "TV test, no radio", "radio test without TV", "BAU + Facebook"]
    labels += asked * 9
    frame = pd.DataFrame(rng.normal(size=(len(labels), 3)), columns=["TV", "Radio", "sales"])
    _, _, text = described(frame.assign(test=labels), tmp_path, run)
    for label in ("both", "without radio", *asked):
        assert f"What does the label '{label}' stand for?" in text
    # The most frequent label has no meaning only if no other label has none.
    only = frame.assign(test=labels).query("test in ('both', 'TV test')")
    assert "--label both= " in described(only, tmp_path, run)[2]


def test_outcomes_and_their_copies_are_no_covariates(tmp_path, run) -> None:
    frame = marketing()[0].drop(columns=["Holiday", "Site visits"])
    rng = np.random.default_rng(1)
    frame = frame.assign(margin=0.3 * frame["Sales"], revenue=rng.normal(size=len(frame)))
    roles, reasons, _ = described(frame, tmp_path, run, "--outcome", "Sales")
    assert roles["margin"] == roles["revenue"] == "unused"
    assert "a copy of 'Sales'" in reasons["margin"]


# Without the columns of week and region.
@pytest.mark.filterwarnings("ignore:neighbouring rows")
def test_a_report_takes_labels_of_further_rows(tmp_path, run, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame, _ = marketing()
    frame = frame[["TV spend", "Radio spend, net", "Experiment", "Sales"]].dropna()
    labels = {"Business as usual": None, "TV geo test (spring)": "TV spend"}
    labels |= {"Radiotest": "Radio spend, net"}
    names = list(frame.columns[:2])
    data = bi.RegimeData.from_frame(frame, names, "Sales", "Experiment", labels=labels)
    bi.fit(data, method="laplace", draws=100, progress=False).save("fit.nc")
    renamed = frame.index[(frame["Experiment"] == "Radiotest") & (frame.index % 2 == 0)]
    frame.loc[renamed, "Experiment"] = "test 2"
    frame.to_csv("rows.csv", index=False)
    command = ["report", "fit.nc", "--data", "rows.csv", "-o", "page.html"]
    assert "--label 'test 2=" in run(*command, code=console.UNUSABLE).err
    run(*command, "--label", "test 2=Radio spend, net")
    assert "p = " in (tmp_path / "page.html").read_text()


def test_the_command_that_shows_all_columns_works_as_it_is_said(tmp_path, run, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ("tv", "radio", "print", "search", "sales")
    frame = pd.DataFrame({name: [f"€{1000 + i:,}.50" for i in range(30)] for name in names})
    frame.assign(regime="").to_csv("our sales.csv", index=False)
    said = run("describe", "our sales.csv").err
    found = re.search("`bayes-intgen (clean [^`]+)` shows all", said)
    assert found is not None
    run(*shlex.split(found[1]))
    assert pd.read_parquet("our sales.parquet")["sales"].tolist()[:2] == [1000.5, 1001.5]
