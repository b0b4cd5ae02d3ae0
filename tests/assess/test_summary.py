import json
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi
from bayes_intgen.assess.summary import summarise_data

from conftest import confounded_rows

SECTIONS = ["Regimes", "Certificates", "Graph", "Support", "Assumptions", "Sampling"]


def test_summary_of_a_posterior_fits_one_screen(data, posterior) -> None:
    report = bi.report_identification(posterior)
    lines = str(report).splitlines()
    assert [line for line in lines if not line.startswith(" ")][1:] == SECTIONS
    assert len(lines) < 40
    assert max(map(len, lines)) <= 100
    assert "  do(red, green) is identified: do(red) + do(green) - observational." in lines
    assert "  do(red), do(green) are identified: in the data." in lines
    assert "Not tested yet: run bi.check(data, model); posterior.with_check stores" in str(report)
    # Arrays first.
    questions = report.tree["questions"].to_dataset()
    assert questions["identified"].all()
    weights = questions["weights"].sel(question="do(red, green)")
    assert weights.to_numpy().tolist() == [-1.0, 1.0, 1.0]
    assert ((questions["supported"] > 0.9) & (questions["supported"] <= 1)).all()
    regimes = report.tree["regimes"].to_dataset()
    assert regimes["rows"].to_numpy().tolist() == [300, 300, 300]
    own = data.actions[(data.intervened == [True, False]).all(axis=1), 0]
    ends = [float(regimes[n].sel(regime="do(red)", action="red")) for n in ("low", "high")]
    np.testing.assert_allclose(ends, np.quantile(own, [0.01, 0.99]))


def test_sampling_section_lists_the_diagnostics(posterior) -> None:
    report = bi.report_identification(posterior)
    sampling = report.tree["sampling"].to_dataset()
    assert {"rhat", "ess"} == set(sampling.data_vars)
    line = report.sections["Sampling"][0]
    assert line.startswith("No divergences") == (not report.problems)
    assert report.problems or f"R-hat at most {float(sampling['rhat'].max()):.3f}" in line


def test_names_are_escaped_in_notebooks(data) -> None:
    named = replace(data, names=("<b>tv</b>", 'a"&b'), outcome_name="<i>sales</i>")
    html = bi.report_identification(named)._repr_html_()
    assert "<b>tv" not in html
    assert "<i>sales" not in html
    assert "&lt;b&gt;tv&lt;/b&gt;" in html
    assert "a&quot;&amp;b" in html
    assert html.count("<pre>") == 1


def test_summary_of_data_as_text_and_json(data) -> None:
    report = summarise_data(data, support=False)
    document = json.loads(report.to_json())
    assert document["regimes"] == {"observational": 300, "do(red)": 300, "do(green)": 300}
    assert (document["rows"], document["identified"], document["problems"]) == (900, True, [])
    assert "do(red) + do(green) - observational" in str(report)
    assert "Support" not in report.sections
    assert report.sections["Problems"] == ("None found.",)
    unidentified = bi.report_identification(data.only([], ["red"]))
    assert unidentified.problems[0].startswith("the joint effect is not")
    assert json.loads(unidentified.to_json())["identified"] is False
    titles = ["Regimes", "Certificates", "Support", "Assumptions", "Problems"]
    assert list(unidentified.sections) == titles
    text = " ".join(str(unidentified).split())
    assert "do(red, green) is not identified: green was never set." in text
    assert "do(red) is identified: in the data." in text
    questions = unidentified.tree["questions"].to_dataset()
    assert questions["supported"].sel(question="do(green)") == 0
    assert np.isnan(questions["weights"].sel(question="do(red, green)")).all()
    with pytest.raises(bi.DataError, match="not dict"):
        bi.report_identification({})


def test_problems_of_regimes_and_ranges_are_listed() -> None:
    rng = np.random.default_rng(0)
    intervened = np.repeat([[False, False], [True, False], [False, True]], [60, 60, 5], axis=0)
    coin = rng.integers(0, 2, size=125).astype(float)
    wide = rng.normal(size=125) + 20 * intervened[:, 0]
    actions = np.stack([wide, coin], axis=1)
    data = bi.RegimeData.from_arrays(actions, rng.normal(size=125), intervened, ["wide", "coin"])
    text = "\n".join(summarise_data(data, support=False).problems)
    assert "do(coin) has only 5 rows" in text
    # The observed coin takes both of its levels wherever it was set.
    assert "coin: " not in text
    assert "coin has" not in text
    assert "wide: 100% of the values to which it was set do not support the joint effect" in text
    assert "if no action moves another, fit with bi.models.additive(graph={})" in text
    same = np.stack([wide, wide * 2], axis=1)
    data = bi.RegimeData.from_arrays(same, rng.normal(size=125), intervened, ["one", "two"])
    text = "\n".join(summarise_data(data, support=False).problems)
    assert "one and two are nearly collinear" in text


def test_levels_are_listed_and_few_numbers_are_advised_to_be_levels() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"drug": rng.choice(["off", "low", "high"], size=90)})
    frame["dose"], frame["y"] = rng.choice([1.0, 2.0, 5.0], size=90), rng.normal(size=90)
    frame["regime"] = ["", "drug", "dose"] * 30
    frame.loc[frame["regime"] != "drug", "drug"] = "off"
    frame.loc[0, "drug"] = "low"
    rows = bi.RegimeData.from_frame(frame, ["drug", "dose"], "y", "regime")
    report = summarise_data(rows, support=False)
    levels = report.tree["regimes"]["levels"]
    drugs = levels.sel(action="drug").values.tolist()
    assert drugs == ["'low', 'off'", "'high', 'low', 'off'", "'off'"]
    assert set(levels.sel(action="dose").values) == {""}
    assert "30 rows, drug at 'low', 'off', dose at about 1 to 5" in str(report)
    assert "30 rows, drug at 'high', 'low', 'off'\n" in str(report)
    text = "\n".join(report.problems)
    assert "'dose' takes only the values 1, 2, 5" in text
    assert 'bias=levels), levels = {"dose": bi.Levels(ordered=True)}' in text
    assert "drug has" not in text
    assert "drug: rows in which it was set are at 'high', where no others are" in text


def test_covariates_that_change_groups_and_left_out_rows_are_described() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.normal(size=400) for name in ("tv", "visits", "age", "y")})
    frame["region"] = [f"r{i % 20}" for i in range(400)]
    frame["regime"] = np.where(np.arange(400) % 20 < 5, "tv", "")
    frame.loc[frame["regime"] == "tv", "visits"] += 3
    frame.loc[7, "age"] = np.nan
    columns = {"actions": ["tv"], "outcome": "y", "regime": "regime", "missing": "drop"}
    with pytest.warns(bi.DataWarning, match="1 of 400 rows"):
        rows = bi.RegimeData.from_frame(frame, **columns, covariates=["visits", "age"])
    problems = summarise_data(rows, support=False).problems
    assert problems[0] == "1 row with missing cells left out: observational 1"
    assert "covariate 'visits' differs where 'tv' was set" in problems[1]
    assert len(problems) == 2
    with pytest.warns(bi.DataWarning, match="1 of 400 rows"):
        rows = bi.RegimeData.from_frame(frame, **columns, covariates=["age"], groups=["region"])
    report = summarise_data(rows, support=False)
    assert len(report.problems) == 1
    (line,) = report.sections["Groups"]
    assert line == "region: 20 groups, 0 with rows of several regimes and 20 of one."
    assert "rests on groups being exchangeable" in report.sections["Certificates"][0]


@pytest.mark.slow
def test_summary_of_three_hundred_actions_takes_seconds() -> None:
    rng = np.random.default_rng(0)
    count, rows = 300, 5
    names = [f"action {k}" for k in range(count)]
    labels = np.repeat(["", *names], rows)
    frame = pd.DataFrame(rng.normal(size=(len(labels), count)), columns=names)
    frame = frame.assign(outcome=frame.sum(axis=1), regime=labels)
    began = time.process_time()
    data = bi.RegimeData.from_frame(frame, names, "outcome", "regime")
    report = summarise_data(data, support=False)
    assert report.tree["questions"].identified.all()
    # Without observational rows, too: the message does not list all actions.
    with pytest.raises(bi.DataError, match=r"^.{,250}$"):
        bi.RegimeData.from_frame(frame[labels != ""], names, "outcome", "regime")
    with pytest.raises(bi.PointsError, match=r"'action 19', 280 more$"):
        data.support(np.zeros((1, count)), ["nobody"])
    # A twentieth of the time without shared eliminations.
    assert time.process_time() - began < 60


def test_positive_skewed_outcomes_whose_logarithm_fits_get_advice_in_any_unit() -> None:
    data, rng = confounded_rows(200, seed=1), np.random.default_rng(0)
    positive, multiplied = data.outcome - data.outcome.min() + 1, np.exp(data.outcome)
    advised = [
        "Outcome" in summarise_data(replace(data, outcome=outcome), support=False).sections
        for outcome in (
            multiplied, 1000 * multiplied,
            data.outcome, positive, positive + rng.gamma(1.0, size=len(data)),
            np.where(rng.random(len(data)) < 0.1, 0, multiplied), np.ceil(multiplied),
        )
    ]  # fmt: skip
    assert advised == [True, True, False, False, False, False, False]
