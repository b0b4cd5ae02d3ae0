import html
import warnings
from dataclasses import replace

import numpy as np
import pytest

import bayes_intgen as bi

from conftest import confounded_rows


def test_a_fit_its_summary_its_page_its_file_and_its_check_say_the_same(tmp_path) -> None:
    plain = confounded_rows(100, seed=0)
    # A floor, a column in two units, and an outcome of another order.
    outcome, actions = np.maximum(plain.outcome, -0.5), plain.actions.copy()
    outcome[7] = 500.0
    free = ~plain.intervened[:, 0]
    actions[free, 0] = np.exp(0.3 * actions[free, 0]) * np.where(np.arange(free.sum()) % 2, 1, 1000)
    data = replace(plain, actions=actions, outcome=outcome)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        posterior = bi.fit(data, bi.models.additive("linear"), method="laplace", progress=False)
    warned = [str(own.message) for own in caught if issubclass(own.category, bi.BayesIntgenWarning)]
    for words in ("two units", "lowest value", "from the fit"):
        assert words in str(warned)
    posterior.save(tmp_path / "fit.nc")
    for fit in (posterior, bi.load(tmp_path / "fit.nc")):
        assert sorted(bi.report_identification(fit).problems) == sorted(warned)
        fit.report(tmp_path / "page.html")
        page = html.unescape((tmp_path / "page.html").read_text())
        assert all(text[1:] in page for text in warned)
    of_rows = [text for text in warned if "from the fit" not in text]
    assert set(of_rows) <= {*bi.report_identification(data).problems}
    check = bi.check(data, bi.models.additive("linear"), held_out=0, progress=False)
    assert [finding.text for finding in check.findings] == of_rows
    assert all(finding.sentence in str(check) for finding in check.findings)
    posterior.with_check(check).save(tmp_path / "fit.nc")
    again = bi.load(tmp_path / "fit.nc")
    assert again.check.findings == check.findings
    assert str(again.check) == str(check)
    # Those of the fit are said once.
    assert all(str(again).replace("\n    ", " ").count(f.sentence) == 1 for f in check.findings)


class Rounded:
    """A check with a setting, of which it finds something else than findings if it is zero."""

    def __init__(self, decimals: int) -> None:
        self.decimals = decimals

    def __call__(self, rows, model, posterior):
        assert isinstance(model, bi.models.AdditiveModel)
        assert posterior is None
        rounded = np.array_equal(rows.outcome, rows.outcome.round(self.decimals))
        text = f"outcome {rows.outcome_name!r} is rounded: measure it more precisely"
        return [bi.Finding("rounding", text) if self.decimals else text] * rounded


def test_checks_of_users_join_the_statement(data) -> None:
    rows = replace(data, outcome=data.outcome.round(1))
    settings = {"model": bi.models.additive("polynomial"), "held_out": 0, "progress": False}
    found = bi.check(rows, checks=[Rounded(1), Rounded(2)], **settings).findings
    assert [finding.about for finding in found] == ["rounding"] * 2
    assert not bi.check(data, checks=[Rounded(1)], **settings).findings
    whole = replace(data, outcome=data.outcome.round())
    with pytest.raises(bi.ModelError, match="what checks find must be a Finding, not str"):
        bi.check(whole, checks=[Rounded(0)], **settings)
    assert bi.Finding("rounding", "").sentence == "."
    for own, message in (
        ("rounding", "checks must be functions of rows, model and post"),
        (lambda *every: None, "what checks find must be a list of bi.Finding, not NoneType"),
    ):
        with pytest.raises(bi.ModelError, match=message):
            bi.check(data, checks=[own], **settings)
