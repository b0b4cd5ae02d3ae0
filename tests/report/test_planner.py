"""The planner of the report in a real browser, against Python and against brute force."""

import warnings

import numpy as np
import pytest
from _pages import enter, move_sliders, open_page, table_of_plans, unpacked

import bayes_intgen as bi
from bayes_intgen.decide.grid import combinations
from bayes_intgen.decide.joint_surface import JointSurface
from bayes_intgen.posterior.draws import prediction_of
from bayes_intgen.report.explorer import explorer_data

from _posteriors import (
    half_supported,
    made_up,
    made_up_in_a_band,
    made_up_with_groups,
    made_up_with_levels,
    made_up_with_pairs,
    with_log_link,
)

# Rows of the table after those of the actions and the cost.
MEAN, BAND, GAIN, GAIN_BAND, GAIN_SHARE = range(5)


def grids_of(posterior, **over):
    """Values and supported steps of each slider."""
    actions = explorer_data(posterior, **over)["actions"]
    values = [unpacked(action["values"]) for action in actions]
    return values, [unpacked(action["reasons"]) == 0 for action in actions]


def numbers(row) -> list[np.ndarray]:
    """Numbers of the user's plan, of the best plan and of the baseline."""
    return [np.array([float(text) for text in cell]) for cell in row[1]]


def plan_in(rows, posterior) -> list[dict]:
    """The three plans of the table, levels by their names."""
    labels = [action.get("labels") for action in explorer_data(posterior)["actions"]]
    columns = []
    for column in range(3):
        plan = {}
        for (name, cells), own in zip(rows, labels, strict=False):
            (text,) = cells[column]
            plan[name] = text if own else float(text)
        columns.append(plan)
    return columns


def means_on_grid(posterior, values) -> np.ndarray:
    """Posterior mean at all combinations of values, one axis per action.

    Where no actions interact it is a sum, from changes of one action at a time.
    """
    surface = JointSurface.of(prediction_of(posterior))
    if len(surface.components) < len(values):
        points = combinations(values)
        return surface.mean(points).reshape([len(own) for own in values])
    base = np.array([own[0] for own in values])
    out = np.asarray(surface.mean(base[None])[0])
    for k, own in enumerate(values):
        points = np.tile(base, (len(own), 1))
        points[:, k] = own
        means = surface.mean(points)
        out = np.add.outer(out, means - means[0])
    return out


def feasible_on_grid(posterior) -> np.ndarray:
    """Whether a plan is supported, of all combinations of the sliders' steps.

    Steps that rows elsewhere link are supported together; others beside the start only.
    """
    data = explorer_data(posterior)
    count = len(data["actions"])
    one_by_one, linked, moved = np.asarray(True), np.asarray(True), np.asarray(0)
    for action in data["actions"]:
        own = unpacked(action["reasons"]) == 0
        away = np.arange(len(own)) != action["start"]
        one_by_one = np.logical_and.outer(one_by_one, own)
        linked = np.logical_and.outer(linked, (unpacked(action["linked"]) > 0) | ~away)
        moved = np.add.outer(moved, away.astype(int))
    out = one_by_one & (linked | (moved < 2))
    for pair in data["pairs"]:
        places = [unpacked(pair[name]).astype(int) for name in ("rows", "columns")]
        unreached = unpacked(pair["unreached"]).reshape(places[0].max() + 1, -1) > 0
        others = [k for k in range(count) if k not in pair["actions"]]
        out &= ~np.expand_dims(unreached[np.ix_(*places)], others)
    return out


def best_by_brute_force(posterior, costs, budget) -> float:
    """Largest posterior mean over all supported steps of the sliders within the budget."""
    means = means_on_grid(posterior, grids_of(posterior)[0])
    cost = np.asarray(0.0)
    for own in costs:
        cost = np.add.outer(cost, own)
    affordable = cost <= budget + 1e-9 * max(1.0, abs(budget))
    return float(means[affordable & feasible_on_grid(posterior)].max())


def assert_table_agrees(rows, posterior, start=3, level=0.9, **over) -> None:
    """Means, intervals and gains of the table, from Python's own draws at its plans."""
    plans = plan_in(rows, posterior)
    with warnings.catch_warnings():
        # The user's plan and the baseline may be unsupported.
        warnings.simplefilter("ignore", bi.SupportWarning)
        draws = [posterior.joint_effect(plan, **over).to_numpy().ravel() for plan in plans]
    ends = [(1 - level) / 2, (1 + level) / 2]
    mean, band = numbers(rows[start + MEAN]), numbers(rows[start + BAND])
    scale = 1e-6 * max(float(np.std(own)) for own in draws)
    for own, shown, interval in zip(draws, mean, band, strict=True):
        np.testing.assert_allclose(shown, [own.mean()], rtol=0, atol=scale)
        np.testing.assert_allclose(interval, np.quantile(own, ends), rtol=0, atol=scale)
    gain, gain_band, share = (numbers(rows[start + i]) for i in (GAIN, GAIN_BAND, GAIN_SHARE))
    for column in (0, 2):
        change = draws[1] - draws[column]
        np.testing.assert_allclose(gain[column], [change.mean()], rtol=0, atol=scale)
        np.testing.assert_allclose(gain_band[column], np.quantile(change, ends), atol=scale)
        if plans[1] != plans[column]:
            assert abs(share[column][0] - (change > 0).mean()) < 1e-12
    assert not gain[1].size


@pytest.fixture(scope="module")
def small() -> bi.Posterior:
    return made_up(["red", "green"], outcome="sales", draws=10)


@pytest.fixture(scope="module")
def file_of_small(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    small.report(path)
    return path


@pytest.fixture
def page(browser, file_of_small):
    """A page that nobody has used yet."""
    size = {"width": 1200, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(file_of_small.as_uri())
    yield browser
    assert browser.get_log("browser") == []


@pytest.fixture(scope="module")
def kinds(posterior, small) -> dict[str, bi.Posterior]:
    return {
        "fitted": posterior,
        "three": made_up(["tv", "radio", "search"], outcome="sales", draws=50),
        "products": with_log_link(small),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fitted", "three", "products"])
def test_plans_agree_with_python_and_with_brute_force(browser, kinds, tmp_path, kind) -> None:
    fit = kinds[kind]
    page = open_page(browser, fit, tmp_path / "report.html")
    values, supported = grids_of(fit)
    rates = np.array([1.0, 0.4, 2.5])[: len(values)] / [np.ptp(v) for v in values]
    low, high = (
        sum(
            end(rate * v[s]) for rate, v, s in zip(rates, values, supported, strict=True)
        )
        for end in (min, max)
    )  # fmt: skip
    enter(page, **{f"Cost per unit of {n}": r for n, r in zip(fit.actions, rates, strict=True)})
    move_sliders(page, [7 + 30 * k for k in range(len(values))])
    free = float(numbers(table_of_plans(page)[len(values) + 1])[1][0])
    for share in (0.0, 0.1, 0.2):
        budget = low + share * (high - low)
        enter(page, Budget=budget)
        rows = table_of_plans(page)
        assert_table_agrees(rows, fit, start=len(values) + 1)
        plans = plan_in(rows, fit)
        cost = numbers(rows[len(values)])
        for plan, own in zip(plans, cost, strict=True):
            assert own[0] == pytest.approx(rates @ list(plan.values()), rel=1e-12)
        assert cost[1][0] <= budget + 1e-9
        assert fit.support(plans[1]).supported.all()
        costs = [rate * v for rate, v in zip(rates, values, strict=True)]
        mean, best = numbers(rows[len(values) + 1])[1][0], best_by_brute_force(fit, costs, budget)
        assert mean == pytest.approx(best, rel=1e-12)
        # Negative control: without the budget the best plan is another one.
        assert mean < free
    # The search in Python has other values of each action, which end elsewhere near the edge of the
    # support, where curves may be steep.
    prices = dict(zip(fit.actions, rates.tolist(), strict=True))
    value = fit.best(bi.Decision(cost=prices, budget=budget)).value
    assert abs(mean - value) < 0.1 * np.ptp(means_on_grid(fit, [v[::10] for v in values]))
    assert page.get_log("browser") == []


@pytest.mark.slow
@pytest.mark.parametrize("interacting", [False, True])
def test_random_decisions_reach_the_best_plan_on_the_grid(browser, tmp_path, interacting) -> None:
    """Costs without a common unit; where actions interact, few combinations are supported."""
    rng = np.random.default_rng(1)
    fit = made_up_in_a_band() if interacting else made_up(["a", "b", "c"], draws=10, seed=2)
    page = open_page(browser, fit, tmp_path / "report.html")
    values, _ = grids_of(fit)
    means, feasible = means_on_grid(fit, values), feasible_on_grid(fit)
    scales = np.array([np.ptp(own) for own in values])
    for value in (-1.0, 1.0, 3.0, -0.3):
        rates = rng.gamma(1.0, 1 / scales)
        cost = np.asarray(0.0)
        for rate, own in zip(rates, values, strict=True):
            cost = np.add.outer(cost, rate * own)
        budget = float(np.quantile(cost[feasible][::100], rng.uniform(0.02, 0.5)))
        enter(page, **{f"Cost per unit of {n}": r for n, r in zip(fit.actions, rates, strict=True)})
        enter(page, **{"Budget": budget, "Value per unit of outcome": value})
        row = table_of_plans(page)[len(values) + 3]
        assert row[0] == "value minus cost"
        affordable = feasible & (cost <= budget + 1e-9 * max(1.0, abs(budget)))
        best = (value * means - cost)[affordable].max()
        assert numbers(row)[1][0] == pytest.approx(best, rel=1e-12)


def test_value_minus_cost_and_its_gains(page, small) -> None:
    rates = 0.5 / np.array([np.ptp(own) for own in grids_of(small)[0]])
    enter(page, **{"Cost per unit of red": rates[0], "Cost per unit of green": rates[1]})
    for value in (2.0, -2.0):
        enter(page, **{"Value per unit of sales": value})
        rows = table_of_plans(page)
        assert_table_agrees(rows[:5] + rows[7:], small)
        plans = plan_in(rows, small)
        net = [
            value * small.joint_effect(plan).to_numpy().ravel()
            - (rates[0] * plan["red"] + rates[1] * plan["green"])
            for plan in plans
        ]
        for own, shown, interval in zip(net, *map(numbers, rows[5:7]), strict=True):
            np.testing.assert_allclose(shown, [own.mean()], rtol=1e-9)
            np.testing.assert_allclose(interval, np.quantile(own, [0.05, 0.95]), rtol=1e-9)
        assert rows[10][0] == "difference of value minus cost"
        gain, share = numbers(rows[10])[0], numbers(rows[12])[0]
        np.testing.assert_allclose(gain, [(net[1] - net[0]).mean()], rtol=1e-9)
        assert gain[0] > 0
        np.testing.assert_allclose(share, [(net[1] > net[0]).mean()])
    # A negative value makes the outcome small.
    assert numbers(rows[7])[0][0] < 0


@pytest.mark.slow
def test_levels_have_costs_of_their_own(browser, tmp_path) -> None:
    fit = half_supported()
    page = open_page(browser, fit, tmp_path / "report.html")
    prices = {"promo": {"off": 0.0, "on": 2.0}, "channel": {"a": 0.5, "b": 1.5, "c": 0.0}}
    for name, levels in prices.items():
        enter(page, **{f"Cost of {name} at {level}": cost for level, cost in levels.items()})
    enter(page, **{"Cost per unit of spend": 0.1})
    values, _ = grids_of(fit)
    costs = [np.array(list(prices[n].values())) for n in ("promo", "channel")] + [0.1 * values[2]]
    shown = set()
    for budget in (1.0, 2.4, 3.5, 6.0):
        enter(page, Budget=budget)
        rows = table_of_plans(page)
        best = plan_in(rows, fit)[1]
        assert_table_agrees(rows, fit, start=4)
        assert numbers(rows[4])[1][0] == pytest.approx(
            best_by_brute_force(fit, costs, budget), rel=1e-12
        )
        # No experiment sets channel to c, which would be free.
        assert best["channel"] != "c"
        shown.add(tuple(best.values()))
    assert len(shown) > 1
    decision = bi.Decision({**prices, "spend": 0.1}, budget, baseline={"spend": 14.0})
    python = fit.best(decision)
    assert python.value == pytest.approx(numbers(rows[4])[1][0], abs=0.02)
    # Beyond the support the mean is at least as large.
    before = numbers(rows[4])[1][0]
    page.find_element("id", "far").click()
    assert numbers(table_of_plans(page)[4])[1][0] >= before


def test_numeric_levels_cost_per_unit(browser, tmp_path) -> None:
    page = open_page(browser, made_up_with_levels(), tmp_path / "report.html")
    labels = page.execute_script(
        "return [...document.querySelectorAll('.slider input[type=number]')].map("
        "(f) => f.getAttribute('aria-label'))"
    )
    assert "Cost of drug at placebo" in labels
    assert "Cost of promo at True" in labels
    assert {"Cost per unit of coin", "Cost per unit of spend"} <= {*labels}


BAD_INPUT = (
    (
        {"Cost per unit of red": -1.0},
        "“Cost per unit of red” is negative: costs must be at least 0.",
    ),
    ({"Budget": 3.0}, "A budget needs costs: enter the cost of an action."),
    (
        {"Cost per unit of red": 1.0, "Budget": 0.5},
        "The budget of 0.5 pays for no plan: the cheapest one costs 1.",
    ),
    (
        {"Lowest red": 30.0, "Highest red": 20.0},
        "The limits of red are empty: 30 is above 20.",
    ),
    ({"Highest red": -1.0}, "No supported value of red lies within its limits."),
    ({"Value per unit of sales": 0.0}, "“Value” is 0: enter another number, or leave it empty."),
)


def test_bad_input_has_one_message(page, small) -> None:
    trouble = page.find_element("id", "trouble")
    assert trouble.get_attribute("role") == "alert"
    assert not trouble.is_displayed()
    (red, _), (supported, _) = grids_of(small)
    for fields, message in BAD_INPUT:
        if "Budget" in fields and len(fields) > 1:
            # In units of the least value that is supported.
            least = red[supported].min()
            fields = {"Cost per unit of red": 1 / least, "Budget": 0.5}
        enter(page, **fields)
        assert trouble.text == message
        rows = table_of_plans(page)
        # The user's plan and the baseline stay; there is no best plan, to copy or to move to.
        assert all(not cells[1] for _, cells in rows)
        assert rows[2][1][0]
        assert not page.find_element("id", "copy").is_enabled()
        enter(page, **dict.fromkeys(fields, ""))
        assert not trouble.is_displayed()
        assert page.find_element("id", "copy").is_enabled()


def test_text_in_a_field_of_numbers_is_refused(page) -> None:
    page.find_element("id", "budget").send_keys("1e")
    page.execute_script("document.getElementById('budget').dispatchEvent(new Event('change'))")
    assert page.find_element("id", "trouble").text == "“Budget” is not a number."


def test_limits_of_actions(page, small) -> None:
    values, _ = grids_of(small)
    free = plan_in(table_of_plans(page), small)[1]
    # Steps on either side of the best one.
    low, high = (float(np.quantile(values[0], q)) for q in (0.3, 0.5))
    if low <= free["red"] <= high:
        low, high = high, float(values[0][-1])
    enter(page, **{"Lowest red": low, "Highest red": high})
    rows = table_of_plans(page)
    limited = plan_in(rows, small)[1]
    assert low <= limited["red"] <= high
    assert limited["green"] == free["green"]
    means, feasible = means_on_grid(small, values), feasible_on_grid(small)
    within = (values[0] >= low) & (values[0] <= high)
    best = means[within][feasible[within]].max()
    assert numbers(rows[2 + MEAN])[1][0] == pytest.approx(best, rel=1e-12)
    decision = bi.Decision(bounds={"red": (low, high)})
    assert small.best(decision).value == pytest.approx(best, abs=0.02 * np.ptp(means))


def test_unsupported_actions_have_no_best_plan(browser, tmp_path) -> None:
    page = open_page(browser, made_up(["one", "two"], regimes=2, draws=5), tmp_path / "report.html")
    enter(page, Budget="")
    message = "The rows support no value of one: allow plans beyond the support."
    assert page.find_element("id", "trouble").text == message
    page.find_element("id", "far").click()
    assert not page.find_element("id", "trouble").is_displayed()
    assert all(table_of_plans(page)[0][1])


def test_the_best_plan_moves_the_sliders_and_is_copied(page, small) -> None:
    rates = 1 / np.array([np.ptp(own) for own in grids_of(small)[0]])
    enter(page, **{"Cost per unit of red": rates[0], "Cost per unit of green": rates[1]})
    enter(page, Budget=0.4)
    best = plan_in(table_of_plans(page), small)[1]
    page.find_element("id", "use-best").click()
    rows = table_of_plans(page)
    assert plan_in(rows, small)[0] == best
    assert numbers(rows[5])[0] == [0.0]
    assert numbers(rows[5])[2] != [0.0]
    outputs = [
        e.text.replace("\N{MINUS SIGN}", "-") for e in page.find_elements("css selector", "output")
    ]
    assert [float(text) for text in outputs] == pytest.approx(list(best.values()))
    page.find_element("id", "copy").click()
    # Paste as a user does.
    page.execute_script("document.body.append(document.createElement('textarea'))")
    area = page.find_element("css selector", "textarea")
    area.send_keys("\ue009v")  # Control and v
    lines = [line.split("\t") for line in area.get_property("value").rstrip("\n").split("\n")]
    assert page.find_element("id", "copied").text == "Copied."
    assert lines[0] == ["", "your plan", "best plan", "baseline"]
    assert {len(line) for line in lines} == {4}
    table = {name: cells for name, *cells in lines[1:6]}
    assert [float(table[name][1]) for name in best] == pytest.approx(list(best.values()))
    assert float(table["mean sales"][1]) == pytest.approx(numbers(rows[3])[1][0])
    assert float(table["90% band from"][1]) == pytest.approx(numbers(rows[4])[1][0])


def test_fields_have_names_and_the_table_fits_a_phone(browser, tmp_path) -> None:
    page = open_page(browser, made_up_with_pairs(draws=5), tmp_path / "report.html", width=400)
    enter(page, **{"Cost per unit of tv": 1.0, "Value per unit of sales": 2.0})
    names = page.execute_script(
        "return [...document.querySelectorAll('#planner input')].map("
        "(f) => f.getAttribute('aria-label') ?? f.labels[0].textContent.trim())"
    )
    assert all(names)
    assert len(set(names)) == len(names)
    assert page.execute_script("return document.documentElement.scrollWidth") == 400
    # From a field to the next with the keyboard.
    page.find_element("id", "budget").send_keys("\t")
    focused = page.execute_script("return document.activeElement.id")
    assert focused == "value"


@pytest.mark.slow
def test_plans_are_those_of_the_population(browser, tmp_path) -> None:
    fit, over = made_up_with_groups(), {"given": {"age": 60}}
    page = open_page(browser, fit, tmp_path / "report.html", **over)
    enter(page, **{"Cost per unit of tv": 1.0, "Budget": 0.5})
    assert_table_agrees(table_of_plans(page), fit, **over)


def test_an_atom_is_a_step_of_its_slider() -> None:
    rng = np.random.default_rng(0)
    spend = np.where(rng.random((400, 2)) < 0.3, 3.77, rng.gamma(3.0, 2.0, (400, 2)))
    intervened = np.repeat([[False, False], [True, False], [False, True], [True, False]], 100, 0)
    data = bi.RegimeData.from_arrays(spend, rng.normal(size=400), intervened, ["tv", "radio"])
    fit = made_up(data.names, data=data, model=bi.models.additive())
    (values, others), _ = grids_of(fit)
    assert 3.77 in values
    assert 3.77 in others
    at, step = values.tolist().index(3.77), np.diff(values).max()
    assert not np.isclose(3.77 / step, round(3.77 / step))
    # Its own coefficient makes a jump there.
    action = explorer_data(fit)["actions"][0]
    functions = unpacked(action["functions"]).reshape(len(values), -1)
    means = functions @ unpacked(action["coefficients"]).reshape(-1, functions.shape[1]).mean(
        axis=0
    )
    jumps = np.abs(np.diff(means))
    assert jumps[at] > 5 * np.median(jumps)


@pytest.mark.parametrize("count", [2, 3])
def test_steps_that_are_linked_are_supported_together(count) -> None:
    """Steps that are supported beside the start need not be so together; linked steps are."""
    fit = made_up([f"action {k}" for k in range(count)], draws=4)
    values, supported = grids_of(fit)
    linked = [unpacked(a["linked"]) > 0 for a in explorer_data(fit)["actions"]]
    rng = np.random.default_rng(0)

    def share(among) -> float:
        columns = [rng.choice(v[own], 400) for v, own in zip(values, among, strict=True)]
        return float(fit.support(np.stack(columns, axis=1)).supported.mean())

    assert all(own.any() for own in linked)
    assert share([s & own for s, own in zip(supported, linked, strict=True)]) == 1
    # Negative control: some fits have no other steps.
    assert share(supported) < 1 or count == 2


def test_page_names_values_that_are_supported_apart_only(browser, tmp_path) -> None:
    fit = made_up(["a", "b", "c"], draws=4)
    page = open_page(browser, fit, tmp_path / "report.html")
    actions = explorer_data(fit)["actions"]
    start = [action["start"] for action in actions]
    own = [
        np.flatnonzero((unpacked(a["reasons"]) == 0) & (unpacked(a["linked"]) == 0))
        for a in actions
    ]
    note = page.find_element("id", "beyond")
    move_sliders(page, [start[0], own[1][0], start[2]])
    assert not note.is_displayed()
    move_sliders(page, [start[0] + 1, own[1][0], start[2]])
    assert note.text.endswith("its prior: the values of a and b together.")
