"""Best plans of fits: of products, with levels and support, and bad decisions."""

import re
import time
import warnings
from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np
import pandas as pd
import pytest
from _rows import one_at_a_time

import bayes_intgen as bi
from bayes_intgen.posterior.draws import support_of

from _posteriors import (
    half_supported,
    made_up,
    made_up_in_a_band,
    made_up_over_the_range,
    made_up_with_groups,
    made_up_with_levels,
    thinned,
    with_log_link,
)

DECISION = bi.Decision(cost={"red": 1.0, "green": 0.5}, budget=0.8, bounds={"red": (-1, 1.5)})


@pytest.fixture(scope="module")
def posterior(posterior) -> bi.Posterior:
    return thinned(posterior)


@pytest.fixture(scope="module")
def plan(posterior) -> bi.Plan:
    return posterior.best(DECISION)


@pytest.fixture(scope="module")
def trial() -> bi.Posterior:
    """A dose and a drug with three levels; drug b is the best, and c hardly worse."""
    rng, count = np.random.default_rng(2), 900
    regime, cause = rng.choice(["", "dose", "drug"], count), rng.normal(size=count)
    drug = np.where(cause + rng.normal(size=count) > 0, "b", rng.choice(["a", "c"], count))
    drug = np.where(regime == "drug", rng.choice(["a", "b", "c"], count), drug)
    effect = pd.Series({"a": 0.0, "b": 1.0, "c": 0.9})
    dose = np.where(regime == "dose", 0.0, 0.5 * cause) + rng.normal(size=count)
    outcome = dose + effect[drug].to_numpy() + cause + rng.normal(size=count)
    frame = pd.DataFrame({"dose": dose, "drug": drug, "y": outcome, "regime": regime})
    data = bi.RegimeData.from_frame(frame, ["dose", "drug"], "y", "regime")
    model = bi.models.additive("linear")
    return bi.fit(data, model, method="laplace", draws=60, progress=False)


def test_a_plan_describes_itself(posterior, plan) -> None:
    assert plan.probability_better == float((plan.gain > 0).mean())
    assert float(plan.regret.min()) >= 0
    assert plan.best_of_draws.dims == ("chain", "draw", "action")
    # Each draw's own best costs no more, and its effect is that of the plan plus the regret.
    costs = plan.best_of_draws.to_numpy().astype(float) @ [1.0, 0.5]
    assert costs.max() <= 0.8 + 1e-9
    assert plan.point != plan.baseline
    same = (plan.best_of_draws == [*plan.point.values()]).all("action")
    np.testing.assert_array_equal(same, plan.regret == 0)
    plan = posterior.best(replace(DECISION, cost={"red": 1.0, "green": 1.0}), "mean")
    own = posterior.joint_effect([[*plan.point.values()]]).isel(point=0)
    spent = posterior.joint_effect([[red, 0.8 - red] for red in np.linspace(-1.0, 1.5, 200)])
    regret = (spent.max("point") - own).clip(0.0).mean()
    assert float(plan.regret.mean()) > 0.85 * float(regret) > 0
    for part in ("joint effect", "of 0.8", "<pre>"):
        assert part in plan._repr_html_()


def test_shadow_price_is_the_gain_of_a_larger_budget(posterior) -> None:
    for own in (0.8, 0.0):
        budgets = (own, own + 0.05)
        plan, larger = (posterior.best(replace(DECISION, budget=b), "mean") for b in budgets)
        value = larger.value + larger.optimism - plan.value - plan.optimism
        assert plan.shadow_price == pytest.approx(value / 0.05, rel=0.1)
    small = replace(DECISION, cost={"red": 1e-10, "green": 0.5e-10}, budget=0.8e-10)
    assert posterior.best(small).point == pytest.approx(posterior.best(DECISION).point, abs=1e-6)
    free = posterior.best(replace(DECISION, budget=100))
    assert free.shadow_price == pytest.approx(0, abs=1e-6)
    assert "of 100; a slightly larger budget buys no better plan" in str(free)
    assert posterior.best(bi.Decision()).shadow_price is None


def test_more_money_buys_nothing_where_other_plans_only_look_better() -> None:
    rng = np.random.default_rng(1)
    set_alone = np.repeat([[False, False], [True, False], [False, True]], 100, axis=0)
    actions = np.abs(rng.normal(size=(300, 2)))
    prices, baseline = {"a": 1.0, "b": 1.0}, {"a": 0.5, "b": 0.5}

    def best(slope: float, **bounds: float) -> bi.Plan:
        outcome = slope * actions[:, 0] + rng.normal(size=300)
        data = bi.RegimeData.from_arrays(actions, outcome, set_alone, ["a", "b"])
        model = bi.models.additive("linear")
        fit = bi.fit(data, model, method="laplace", draws=200, progress=False)
        decision = bi.Decision(prices, 1.0, bounds, baseline)
        plan = fit.best(decision, "mean")
        assert plan.point == plan.baseline
        return plan

    assert best(0.0).shadow_price == 0
    # Negative control: the baseline is the best within the budget, and more of a pays.
    assert best(1.0, b=0.5).shadow_price == pytest.approx(1.0, abs=0.3)


def test_levels_are_chosen_by_their_prices(trial) -> None:
    bounds = {"dose": (-1, 1)}
    plan = trial.best(bi.Decision(bounds=bounds))
    assert plan.point["drug"] in ("b", "c")
    assert plan.point["dose"] == pytest.approx(1)
    dear = {"drug": {"a": 0.0, "b": 5.0, "c": 1.0}}
    assert trial.best(bi.Decision(dear, 2.0, bounds)).point["drug"] == "c"
    assert trial.best(bi.Decision(dear, 0.5, bounds)).point["drug"] == "a"
    assert trial.best(bi.Decision(bounds={"drug": ["a", "c"]})).point["drug"] == "c"
    rows = {line.split()[0]: line for line in str(plan).splitlines() if line}
    assert re.search(r" [abc] in \d+%$", rows["drug"])
    assert re.search(r" 1\.0+ .* to ", rows["dose"])


@pytest.mark.parametrize("value", [0.8, -1.0])
def test_no_plan_on_a_grid_has_more_profit(posterior, value: float) -> None:
    cost, bounds = {"red": 0.2, "green": 0.6}, {"red": (-1, 1), "green": (-1, 1)}
    dear = {"red": 0.9, "green": 0.9}
    plan = posterior.best(bi.Decision(cost, None, bounds, dear, value), "mean")
    found = float(plan.profit.mean()) + plan.optimism
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 41)] * 2), axis=-1).reshape(-1, 2)
    profit = value * posterior.joint_effect(grid).mean(("chain", "draw")).to_numpy()
    profit = profit - grid @ [0.2, 0.6]
    assert found == pytest.approx(profit.max(), abs=0.005 * np.ptp(profit))
    # Negative control: costs matter.
    free = posterior.best(bi.Decision(cost, bounds=bounds), "mean")
    assert free.profit is None
    other = value * (float(free.effect.mean()) + free.optimism) - free.cost
    assert other < found - 1e-3 * np.ptp(profit)


def test_plans_gain_and_regret_profit(posterior, trial) -> None:
    decision = replace(DECISION, value=2.0, baseline={"red": 0.5})
    plan = posterior.best(decision, "mean")
    assert plan.cost <= 0.8 + 1e-9
    np.testing.assert_allclose(plan.profit, 2.0 * plan.effect - plan.cost)
    start = posterior.joint_effect([[*plan.baseline.values()]])
    cost = plan.baseline["red"] + 0.5 * plan.baseline["green"]
    np.testing.assert_allclose(plan.gain, plan.profit - (2.0 * start.isel(point=0) - cost))
    assert plan.probability_better == float((plan.gain > 0).mean())
    row = plan.summary().sel(quantity="gain")
    assert float(row["mean"]) == pytest.approx(plan.value)
    assert "gain in profit" in str(plan)
    # A dear level is not worth its price, a budget apart.
    prices = {"drug": {"a": 0.0, "b": 5.0, "c": 1.0}}
    bounds, start = {"dose": (-1, 1)}, {"drug": "a"}
    drugs = trial.joint_effect({"dose": [0.0] * 3, "drug": ["a", "b", "c"]})
    a, b, c = drugs.mean(("chain", "draw")).to_numpy()
    # c pays from 1 / (c - a), and the step to b from 4 / (b - c).
    for value, best in ((2 / (c - a), "c"), (8 / (b - c), "b"), (0.5 / (c - a), "a")):
        worth = bi.Decision(prices, bounds=bounds, baseline=start, value=value)
        assert trial.best(worth).point["drug"] == best
    # The profit of the baseline needs its price.
    worth = replace(worth, cost={"drug": {"a": 0.0, "b": 1.0}}, bounds={"drug": ["a", "b"]})
    trial.best(worth)
    with pytest.raises(bi.ModelError, match="no cost of 'c'"):
        trial.best(replace(worth, baseline={"drug": "c"}))


def test_budgets_targets_and_experiments_of_profit(posterior) -> None:
    worth = bi.Decision({"red": 1.0, "green": 0.5}, value=2.0, bounds={"red": (-1, 1.5)})
    plan = posterior.best(worth, "mean")
    table = posterior.frontier(worth, [0.0, plan.cost, 1e6], "mean")
    np.testing.assert_allclose(table["value"][1:], plan.value, rtol=0.02)
    start = posterior.joint_effect(plan.baseline).mean() * 2.0
    start -= plan.baseline["red"] + 0.5 * plan.baseline["green"]
    np.testing.assert_allclose(table["value"], 2.0 * table["effect"] - table["cost"] - start.item())
    assert float(table["value"][0]) < plan.value
    free = bi.Decision({"red": 0.0}, bounds={"red": (-1, 1.5)})
    assert (posterior.frontier(free, [1.0, 2.0])["cost"] == 0).all()
    target = float(plan.profit.mean()) - 0.2
    cheapest = posterior.cheapest(worth, target)
    assert cheapest.value == pytest.approx(target, abs=0.01)
    assert cheapest.cost < plan.cost
    assert str(cheapest).startswith("Cheapest plan for profit")
    assert plan.target is None
    # Without costs a value only changes the unit.
    plain, scaled = (
        posterior.experiments(bi.Decision(bounds={"red": (-1, 1.5)}, value=value), rows=50)
        for value in (None, 4.0)
    )
    scaled = scaled.sel(experiment=plain.experiment)
    np.testing.assert_allclose(scaled["evsi"], 4 * plain["evsi"], rtol=0.02)
    np.testing.assert_allclose(scaled["width_after"], 4 * plain["width_after"], rtol=0.02)


def test_a_value_holds_an_action(posterior, trial) -> None:
    held = posterior.best(bi.Decision(bounds={"red": 0.25}))
    assert held.point["red"] == 0.25
    assert bi.Decision(bounds={"red": np.float64(0.25)}) == bi.Decision(bounds={"red": 0.25})
    free = posterior.best(bi.Decision())
    assert held.value < free.value
    assert held.point["green"] == pytest.approx(free.point["green"], abs=1e-3)
    assert trial.best(bi.Decision(bounds={"drug": "a"})).point["drug"] == "a"
    sizes = bi.Decision(bounds={"size": ["small", "large"]})
    best = made_up_with_levels().best(sizes, beyond_support=True).best_of_draws
    either = bi.Decision(bounds={"promo": [True, False]})
    assert made_up_with_levels().best(either, beyond_support=True).point["promo"] in (True, False)
    assert {*best.sel(action="size").to_numpy().ravel().tolist()} == {"small", "large"}
    # Also between the few values of an action.
    rng = np.random.default_rng(0)
    rows, noise = rng.integers(0, 3, (600, 2)), rng.normal(size=600)
    data = bi.RegimeData.from_arrays(rows, rows.sum(axis=1) + noise, one_at_a_time(2, 200))
    few = made_up(data.names, data=data)
    assert few.best(bi.Decision(bounds={"a1": 1.5}), beyond_support=True).point["a1"] == 1.5
    with pytest.raises(bi.ModelError, match="exclude all of its values, 0, 1, 2; widen"):
        few.best(bi.Decision(bounds={"a1": (1.2, 1.8)}), beyond_support=True)


def test_best_plan_reaches_the_edge_of_the_support(trial) -> None:
    """The edge of the search is that of a fine grid, finer than its candidates."""
    grid = np.linspace(-8, 8, 8001)
    with pytest.warns(bi.SupportWarning):
        effect = trial.joint_effect({"dose": grid, "drug": ["b"] * len(grid)})
    inside = grid[effect.supported.to_numpy().astype(bool)]
    best = trial.best(bi.Decision(bounds={"dose": (-8, 8), "drug": "b"}))
    # The effect increases with the dose.
    assert inside[-1] < 7
    assert best.point["dose"] == pytest.approx(inside[-1], abs=0.002)


def test_plans_beyond_the_support_need_consent(posterior) -> None:
    decision = bi.Decision(bounds={"red": (2.0, 30.0)})
    inside = posterior.best(decision)
    assert inside.supported
    outside = posterior.best(bi.Decision(bounds={"red": (20.0, 30.0)}), beyond_support=True)
    assert not outside.supported
    assert "extrapolation" in str(outside)
    # Of spend, experiments set 3 and 14 only.
    between = "left out: values of 'spend' between those that rows support"
    assert between in str(half_supported().best(bi.Decision()))
    assert between not in str(half_supported().best(bi.Decision(), beyond_support=True))
    with pytest.warns(bi.SupportWarning, match="red"):
        posterior.best(bi.Decision(baseline={"red": 40.0}))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: p.best(bi.Decision({"rod": 1.0})), "did you mean 'red'"),
        (lambda p: p.best(bi.Decision({"red": -1.0})), "is negative"),
        (lambda p: p.best(bi.Decision({"red": float("nan")})), "finite number"),
        (lambda p: p.best(bi.Decision(budget=3)), "a budget needs costs"),
        (lambda p: p.best(bi.Decision(value=0)), "a value of 0 makes all plans alike"),
        (lambda p: p.best(bi.Decision({"red": 1.0}, budget=-50)), "pays for no plan"),
        (lambda p: p.best(bi.Decision(bounds={"red": (1, 0)})), "1 is above 0"),
        (lambda p: p.best(bi.Decision(bounds={"red": ()})), "are empty"),
        (lambda p: p.best(bi.Decision(bounds={"red": (1, 1)})), "give one value to hold it there"),
        (lambda p: p.best(bi.Decision(bounds={"red": float("inf")})), "finite numbers"),
        (lambda p: p.best(bi.Decision(bounds={"red": ([1], [2])})), "numbers or levels"),
        (lambda p: p.best(bi.Decision(bounds={"red": np.array([1, 0])})), "1 is above 0"),
        (lambda p: p.best(bi.Decision(bounds={"red": 0, "green": 0})), "one plan only"),
        (lambda p: p.best(bi.Decision(bounds={"red": (0, 1, 2)})), "two values, low and high"),
        (lambda p: p.best(bi.Decision(bounds={"red": (50, 60)})), "supported by the rows"),
        (lambda p: p.best(bi.Decision({"red": {"on": 1.0}})), "has no levels"),
        (lambda p: p.best(bi.Decision(baseline={"rod": 1.0})), "did you mean 'red'"),
        (lambda p: p.best("cheap"), "bayes_intgen.Decision"),
        (lambda p: p.best(bi.Decision(), "median"), r"unknown objective .*bi.CVaR\(share\)"),
        (lambda p: p.best(bi.Decision(), bi.CVaR(2)), "lie between 0 and 1"),
        (lambda p: p.cheapest(bi.Decision(), 1.0), "needs costs"),
        (lambda p: p.cheapest(bi.Decision({"red": 1.0}), 1e6), "no plan reaches"),
        (lambda p: p.frontier(bi.Decision({"red": 1.0}), []), "budgets are empty"),
    ],
)
def test_bad_decisions_and_questions_are_named(posterior, call, message: str) -> None:
    with pytest.raises(bi.ModelError, match=message):
        call(posterior)


def test_levels_have_no_slope_and_need_known_prices(trial) -> None:
    with pytest.raises(bi.PointsError, match="has levels"):
        trial.slope("drug", {"dose": 0.0, "drug": "a"})
    for cost, words in ((1.0, "give the cost of each"), ({"a": 0.0, "b": 1.0}, "no cost of 'c'")):
        with pytest.raises(bi.ModelError, match=words):
            trial.best(bi.Decision({"drug": cost}))


def test_best_plans_of_products_are_those_of_the_mean_outcome(posterior) -> None:
    products = with_log_link(posterior)
    plan = products.best(DECISION, "mean")
    grid = np.stack(np.meshgrid(np.linspace(-1, 1.5, 41), np.linspace(-2, 2.5, 41)), -1)
    points = grid.reshape(-1, 2)
    points = points[points @ [1.0, 0.5] <= 0.8]
    with pytest.warns(bi.SupportWarning):
        effect = products.joint_effect(points)
    best = effect.mean(("chain", "draw")).where(effect.supported).max()
    effect = float(plan.effect.mean()) + plan.optimism
    assert effect >= float(best) - 1e-6
    assert effect == pytest.approx(float(products.joint_effect(plan.point).mean()))
    assert plan.supported
    # Negative control: the exponential of the best mean logarithm.
    of_sum = posterior.best(DECISION, "mean")
    assert np.exp(float(of_sum.effect.mean()) + of_sum.optimism) < 0.99 * effect


def test_plans_of_products_that_differ_between_units_need_a_unit() -> None:
    fit = with_log_link(made_up_with_groups(groups=("region",)))
    with pytest.raises(bi.ModelError, match="give a value for each"):
        fit.best(bi.Decision())
    given = {"age": 40, "season": "winter", "region": "region 1"}
    value = fit.given(given).best(bi.Decision(), "mean", beyond_support=True).value
    assert value > 0


def test_a_plan_no_better_than_the_baseline_is_said(posterior) -> None:
    best = posterior.best(bi.Decision()).point
    for budget, limit in ((None, "the bounds and the support"), (100, "the budget of 100")):
        words = f"no plan is expected to be better than the baseline within {limit}"
        words += "; if less is better, value below 0: what one more unit is worth"
        plan = posterior.best(bi.Decision({"red": 1.0}, budget, baseline=best))
        assert plan.remarks == (words,)
        assert words in str(plan)
    assert not posterior.best(bi.Decision()).remarks


def test_no_supported_plan_within_the_budget_is_said() -> None:
    """Either action has two values, and the regimes do not reach the cheap ones together."""
    fit = made_up_in_a_band()
    rows = np.concatenate([own[:, 0] for own in support_of(fit).reference.rows])
    low, high = np.quantile(rows, [0.03, 0.97])
    bounds = {"one": float(low), "two": (float(high) - 0.1, float(high))}
    with pytest.raises(bi.ModelError, match="reach no values of 'two' together; .*graph="):
        fit.best(bi.Decision({"two": 1.0}, 10.0, bounds))


def test_the_cheapest_plan_is_found_where_smaller_budgets_have_no_plan() -> None:
    """Rows do not link the high value of one action to the low, cheap ones of the other."""
    fit = made_up_in_a_band()
    rows = np.concatenate([own[:, 0] for own in support_of(fit).reference.rows])
    low, high = np.quantile(rows, [0.03, 0.97])
    bounds = {"one": float(high), "two": (float(low), float(high))}
    decision = bi.Decision({"two": 1.0}, bounds=bounds)
    with pytest.raises(bi.ModelError, match="support no plan"):
        fit.best(replace(decision, budget=float(low) + 0.1))
    plan = fit.cheapest(decision, -100.0)
    assert plan.supported
    assert plan.cost > low + 0.1


def test_plans_are_found_where_interacting_actions_are_never_cheap_together() -> None:
    """The grid of four actions is coarse, and neighbours in each of the two add up to ten."""
    rng, names = np.random.default_rng(0), list("abcdefgh")
    masks = np.repeat(np.vstack([np.zeros(8), np.eye(8)]) > 0, 80, axis=0)
    first = rng.uniform(0, 10, (len(masks), 4))
    rows = np.stack([first, 10 - first + 0.3 * rng.normal(size=first.shape)], axis=2)
    pairs = [pair for own in ("abcd", "efgh") for pair in pairwise(own)]
    model = bi.models.additive("polynomial", graph={}, interactions=pairs)
    outcome = rng.normal(size=len(rows))
    data = bi.RegimeData.from_arrays(rows.reshape(masks.shape), outcome, masks, names)
    fit, cost = made_up(names, data=data, model=model), dict.fromkeys(names, 1.0)
    # Negative control: an impossible budget is said, with a possible one.
    with pytest.raises(bi.ModelError, match="costs at most 14, only ones from about") as error:
        fit.best(bi.Decision(cost, budget=14.0))
    least = float(str(error.value).split("about ")[1].split(";")[0])
    assert 14 < least < 24
    plan = fit.best(bi.Decision(cost, budget=least + 0.1), "mean")
    assert plan.supported
    assert plan.cost <= least + 0.1


def test_plans_of_many_actions_change_many_and_take_seconds() -> None:
    """With a graph, values that are linked one at a time are supported together."""
    fit = made_up_over_the_range(20)
    cost = dict.fromkeys(fit.actions, 1.0)
    begin = time.process_time()
    plan = fit.best(bi.Decision(cost, budget=5.0), "mean")
    # 3 s on an idle core.
    assert time.process_time() - begin < 30
    assert plan.supported
    assert plan.cost == pytest.approx(5.0, abs=0.01)
    moved = [abs(plan.point[name] - plan.baseline[name]) > 0.02 for name in fit.actions]
    assert sum(moved) > 10
    # No exchange of a tenth between two actions that rows support is better.
    own, pairs = plan.point, permutations(fit.actions, 2)
    points = [{**own, j: own[j] + 0.1, k: own[k] - 0.1} for j, k in pairs]
    within = fit.support(points).supported.to_numpy()
    assert within.any()
    with warnings.catch_warnings(action="ignore", category=bi.SupportWarning):
        means = fit.joint_effect(points).mean(("chain", "draw")).to_numpy()
    assert means[within].max() <= float(plan.effect.mean()) + plan.optimism + 1e-3
