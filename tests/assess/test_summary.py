import numpy as np
import pytest

import bayes_intgen as bi

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
    # A divergence is named first.
    tree = posterior.tree.copy()
    diverging = tree["sample_stats"]["diverging"].copy(deep=True)
    diverging[0, 0] = True
    tree["sample_stats"]["diverging"] = diverging
    assert (
        "ended in a divergence"
        in bi.report_identification(bi.Posterior(tree)).sections["Sampling"][0]
    )


def test_summary_of_data_before_a_fit(data) -> None:
    report = bi.report_identification(data.only([], ["red"]))
    assert list(report.sections) == [
        "Regimes", "Actions", "Certificates", "Support", "Assumptions", "Problems",
    ]  # fmt: skip
    text = " ".join(str(report).split())
    assert "do(red, green) is not identified: green was never set." in text
    assert "do(red) is identified: in the data." in text
    questions = report.tree["questions"].to_dataset()
    assert questions["supported"].sel(question="do(green)") == 0
    assert np.isnan(questions["weights"].sel(question="do(red, green)")).all()
    with pytest.raises(bi.DataError, match="not dict"):
        bi.report_identification({})


def test_names_are_escaped_in_notebooks(data) -> None:
    names = ("<b>tv</b>", 'a"&b')
    named = bi.RegimeData.from_arrays(
        data.actions, data.outcome, data.intervened, names, outcome_name="<i>sales</i>"
    )
    html = bi.report_identification(named)._repr_html_()
    assert "<b>tv" not in html
    assert "<i>sales" not in html
    assert "&lt;b&gt;tv&lt;/b&gt;" in html
    assert "a&quot;&amp;b" in html
    assert html.count("<table>") == html.count("</table>") == 1
    assert html.count("<td") == 3 * 4
    assert html.count("set, ") == 2
    assert html.count("<pre>") == 1
