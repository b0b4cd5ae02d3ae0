"""Best plans in the report, against those of Python."""

import re
import warnings
from functools import partial

import numpy as np
import pytest
from _pages import Page, open_page, plan_of, positions, readout, stops, write_page

import bayes_intgen as bi

from _posteriors import asked, half_supported, made_up, made_up_with_groups, thinned, with_log_link


def numbers(texts: list[str]) -> np.ndarray:
    return np.array([float(text.replace(",", "")) for text in texts])


@pytest.fixture
def report(tmp_path):
    return partial(write_page, tmp_path / "report.html")


def rates_of(fit: bi.Posterior) -> dict[str, float]:
    """Costs per unit: each action costs a similar amount over its range."""
    shares = np.array([1.0, 0.4, 2.5])[: len(fit.actions)]
    spans = [c.high - c.low for c in fit.terms.coordinates]
    return dict(zip(fit.actions, (shares / spans).tolist(), strict=True))


@pytest.mark.parametrize(
    ("kind", "over"),
    [("fitted", {}), ("three", {}), ("products", {}), ("groups", {"given": {"age": 60}})],
)
def test_plans_are_those_of_python(posterior, report, kind, over) -> None:
    plain = {
        "fitted": lambda: thinned(posterior),
        "three": lambda: made_up(["tv", "radio", "search"], outcome="sales", draws=50),
        "products": lambda: with_log_link(made_up(["tv", "radio"], draws=50, unit=0.05)),
        "groups": made_up_with_groups,
    }[kind]()
    fit = asked(plain, **over)
    cost = rates_of(fit)
    # The baseline need not be supported.
    with warnings.catch_warnings(action="ignore", category=bi.SupportWarning):
        free = sum(cost[k] * v for k, v in fit.best(bi.Decision()).point.items())
        decision = bi.Decision(cost=cost, budget=0.7 * free if free > 0 else 1.2 * free)
        rows = report(fit, decision=decision).plans
        budgets = numbers(rows["budget"][1:-1])
        table = fit.frontier(decision, budgets)
    assert (rows["budget"][0], rows["budget"][-1]) == ("baseline", "no limit")
    assert len(budgets) >= 3
    assert np.isclose(budgets, decision.budget, rtol=1e-5).any()
    shown = np.array([numbers(rows[name])[1:-1] for name in fit.actions]).T
    spans = np.array([c.high - c.low for c in fit.terms.coordinates])
    np.testing.assert_allclose(shown / spans, table["plan"] / spans, atol=0.01)
    tolerance = 0.01 + 0.02 * float(np.ptp(table["value"].to_numpy()))
    columns = {f"mean {fit.outcome_name}": "effect", "cost": "cost"}
    columns["change from the baseline"] = "gain"
    columns["probability of a positive change"] = "probability_better"
    for name, column in columns.items():
        texts = [text.lstrip("<> ") for text in rows[name][1:-1]]
        np.testing.assert_allclose(numbers(texts), table[column], atol=tolerance)
    assert rows["change from the baseline"][0] == ""


def test_values_of_a_unit_choose_the_plan_with_the_largest_value_minus_cost(report) -> None:
    fit = made_up(["tv", "radio", "search"], outcome="sales", draws=50)
    rows = report(fit, decision=bi.Decision(cost=rates_of(fit))).plans
    cost, mean = (numbers(rows[name])[1:] for name in ("cost", "mean sales"))
    chosen = 0
    for i, text in enumerate(rows["best if a unit of sales is worth"][1:]):
        ends = [float(x.replace(",", "")) for x in re.findall(r"[\d.,]*\d", text)]
        if len(ends) == 2 and ends[1] > 1.2 * ends[0]:
            net = np.mean(ends) * mean - cost
            # Means have few digits.
            assert net[i] >= net.max() - np.mean(ends) * 0.02 * np.ptp(mean)
            chosen += 1
        elif text.startswith("over"):
            assert mean[i] == mean.max()
    assert chosen > 0
    assert sum(text.startswith("over") for text in rows["best if a unit of sales is worth"]) == 1


def test_levels_have_costs_of_their_own_and_limits(report) -> None:
    fit = half_supported()
    cost = {"promo": {"off": 0.0, "on": 2.0}, "channel": {"a": 0.5, "b": 1.5}, "spend": 0.1}
    start = {"promo": "off", "channel": "a", "spend": 14.0}
    decision = bi.Decision(cost, 4.5, {"spend": 14.0, "channel": ["a", "b"]}, start)
    page = report(fit, decision=decision)
    rows, best = page.plans, fit.best(decision)
    at = rows["budget"].index("4.5")
    for name, value in best.point.items():
        assert rows[name][at] == (value if isinstance(value, str) else f"{value:.2f}")
    assert float(rows["cost"][at]) == pytest.approx(best.cost)
    for words in ("promo off 0, on 2; channel a 0.5, b 1.5; spend 0.1", "channel a, b", "spend 14"):
        assert words in page.text


def test_a_decision_without_costs_has_one_best_plan(report) -> None:
    fit = made_up(["tv", "radio"], draws=10)
    best, rows = fit.best(bi.Decision()), report(fit, decision=bi.Decision()).plans
    assert rows[""] == ["baseline", "best plan"]
    assert "cost" not in rows
    assert numbers(rows["mean outcome"])[1] == pytest.approx(float(best.effect.mean()), abs=0.1)


def test_a_budget_below_the_cost_of_the_baseline_is_said(report) -> None:
    fit = made_up(["tv", "radio"], draws=10)
    cost = fit.default_point[0]
    for budget, is_said in ((0.9 * cost, True), (1.1 * cost, False)):
        page = report(fit, decision=bi.Decision({"tv": 1.0}, budget))
        assert ("The baseline costs" in page.text) == is_said


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (bi.Decision(cost={"tv": 1.0}, budget=-1e9), "pays for no plan"),
        (bi.Decision(cost={"tvv": 1.0}), "tvv"),
        ({"tv": 1.0}, "bayes_intgen.Decision"),
    ],
)
def test_bad_decisions_are_refused(tmp_path, decision, message) -> None:
    fit = made_up(["tv", "radio"], draws=4)
    with pytest.raises(bi.ModelError, match=message):
        fit.report(tmp_path / "report.html", decision=decision)
    assert not list(tmp_path.iterdir())


def test_page_without_a_decision_says_how_to_get_plans(report) -> None:
    page = report(made_up(["tv"], draws=4))
    assert not page.plans
    assert "to have them, write it with costs, a budget" in page.text


def test_page_has_the_profit_of_python(browser, tmp_path) -> None:
    fit, path = made_up(["tv", "radio"], outcome="sales", draws=50), tmp_path / "report.html"
    decision = bi.Decision(cost=rates_of(fit), value=2.5)
    page, rows = open_page(browser, fit, path, decision=decision), Page(path.read_text()).plans
    best = fit.best(decision)
    for name, own in best.point.items():
        assert numbers(rows[name])[-1] == pytest.approx(own, rel=0.01)
    assert numbers(rows["profit"])[-1] == pytest.approx(float(best.profit.mean()), rel=0.01)
    gain = numbers(rows["gain in profit"][1:])[-1]
    assert gain == pytest.approx(float(best.gain.mean()), rel=0.05)
    assert not any("is worth" in name for name in rows)
    start = plan_of(page)
    page.find_elements("css selector", "#planner button")[-1].click()
    shown, plan = readout(page), plan_of(page)
    # Plans of both ends need not be supported.
    with warnings.catch_warnings(action="ignore", category=bi.SupportWarning):
        effect = fit.joint_effect({k: [plan[k], start[k]] for k in plan}).to_numpy().reshape(-1, 2)
    costs = [sum(decision.cost[k] * own[k] for k in own) for own in (plan, start)]
    profit = 2.5 * effect - costs
    gain = profit[:, 0] - profit[:, 1]
    assert shown["profit mean"][0] == pytest.approx(profit[:, 0].mean(), abs=1e-6)
    np.testing.assert_allclose(shown["gain band"], np.quantile(gain, [0.05, 0.95]), atol=1e-6)
    assert shown["gainful"][0] == pytest.approx((gain > 0).mean())
    assert shown["above"][0] == pytest.approx((effect[:, 0] > effect[:, 1]).mean())
    assert page.get_log("browser") == []


def test_plans_and_sliders_are_on_paper(browser, tmp_path) -> None:
    fit = made_up(["tv", "radio", "search"], outcome="sales", draws=20)
    decision = bi.Decision(cost=rates_of(fit), value=1.0)
    # As wide as a sheet of A4 between its margins.
    page = open_page(browser, fit, tmp_path / "report.html", width=720, decision=decision)
    pressed = page.find_elements("css selector", "input, select, button")
    assert any(own.is_displayed() for own in pressed)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert not any(own.is_displayed() for own in pressed)
        for shown in (".slider output", "#effect", "#profile", "#baseline", "#planner thead th.n"):
            assert all(own.is_displayed() for own in page.find_elements("css selector", shown))
        table = page.find_element("css selector", "#planner table").rect
        assert table["x"] + table["width"] <= 720
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_button_moves_the_sliders_near_a_plan(browser, tmp_path) -> None:
    fit = made_up(["tv", "radio"], outcome="sales", draws=20)
    cost, path = rates_of(fit), tmp_path / "report.html"
    page = open_page(browser, fit, path, decision=bi.Decision(cost=cost))
    rows, grids = Page(path.read_text()).plans, stops(page)
    page.find_elements("css selector", "#planner button")[-1].click()
    plan = plan_of(page)
    for k, (name, value) in enumerate(plan.items()):
        assert abs(grids[k] - numbers(rows[name])[-1]).argmin() == positions(page)[k]
        assert value == grids[k][positions(page)[k]]
    shown = float(page.find_element("id", "cost").get_attribute("data-value"))
    assert shown == pytest.approx(sum(cost[name] * value for name, value in plan.items()))
    assert readout(page)["change mean"][0] > 0
    assert page.get_log("browser") == []


def test_explorer_starts_at_the_baseline_of_the_decision(browser, tmp_path) -> None:
    fit, path = made_up(["tv", "radio"], outcome="sales", draws=20), tmp_path / "report.html"
    usual = dict(zip(fit.actions, fit.default_point.tolist(), strict=True))
    start = {"tv": fit.terms.coordinates[0].low + 0.123}
    assert plan_of(open_page(browser, fit, path, decision=bi.Decision())) == usual
    page = open_page(browser, fit, path, decision=bi.Decision(baseline=start))
    assert plan_of(page) == usual | start
    # Buttons lead there too.
    page.find_elements("css selector", "#planner button")[0].click()
    assert plan_of(page) == usual | start


def test_page_has_what_actions_bring_and_the_answer_in_words(report) -> None:
    fit = made_up(["tv", "radio"], outcome="sales", draws=50)
    decision = bi.Decision(cost=rates_of(fit), value=2.0)
    page, table = report(fit, decision=decision), fit.contributions(decision)
    rows = {row[0]: row for row in page.rows if len(row) == 9}
    for name, contribution in zip(fit.actions, table["contribution"].values, strict=True):
        assert float(rows[name][3].rstrip("*")) == pytest.approx(contribution, abs=0.06)
    assert "the next unit pays above 1" in page.text
    best = fit.best(decision)
    (gain,) = re.findall(r"It changes the profit by ([+\d.]+) from the baseline", page.text)
    assert float(gain) == pytest.approx(float(best.gain.mean()), rel=0.05)
    # Negative controls: without a decision, and where nothing is better than the baseline.
    plain = report(fit)
    assert "What each action brings" not in plain.text
    assert "The best plan" not in plain.text
    cheap = bi.Decision(cost=rates_of(fit), value=2.0, baseline=best.point)
    text = report(fit, decision=cheap).text
    assert "The best plan is the baseline: tv" in text
    assert text.count("No plan is expected to be better than the baseline") == 1
