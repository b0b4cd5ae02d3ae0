"""From rows to a decision: which media plan to choose, and what it risks.

    python analyses/decide.py [--quick] [--output FOLDER]

The firm of `media_mix.py` has a year of history and one lift test per channel. Its three weekly
budgets together cost as much as today's. How should they be split, how much does that gain, how
much does it still matter that the effects are uncertain, and how would the plan change with a
smaller or larger budget? No row has all three budgets set.

The plan of a regression on the history alone is the control: hidden causes move spend and sales,
so that it splits the budget by wrong effects. A second one is the best plan without limits on
single channels, which goes where few rows are. The simulator's true effects judge all plans.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import bayes_intgen as bi
from bayes_intgen.simulators import MediaMix

from _figures import column, headroom, legend, save_figure
from _scores import timed
from _study import story_arguments
from _tables import print_table, write_table
from media_mix import CHANNELS, FIRM, HISTORY_ROWS, LIFT_ROWS, write_data

COMMAND = "python analyses/decide.py"
# No channel may change by a larger factor.
FACTOR = 2.0
# Budgets of the frontier, relative to today's.
SHARES = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5)
# Values of all channels but the last, among which the simulator's best plan is found.
N_VALUES = 481
UNLIMITED, OPTIMUM = "best without limits", "simulator's best"
BY_MEAN = "best by the mean"
COLOURS = {"today": "0.45", "history alone": "C3", "best": "C0", BY_MEAN: "C2", UNLIMITED: "C1"}

Row = dict[str, Any]


def decision_of(today: Mapping[str, float], budget: float) -> bi.Decision:
    """Plans of at most this cost, compared with today's."""
    return bi.Decision(
        cost=dict.fromkeys(today, 1.0),
        budget=budget,
        bounds={name: (spend / FACTOR, spend * FACTOR) for name, spend in today.items()},
        baseline=today,
    )


def true_best(firm: MediaMix, decision: bi.Decision) -> np.ndarray:
    """Best plan under the simulator's effects, by enumeration, shape (K,).

    Sales increase with every spend, so that the last channel gets what is left of the budget.
    """
    assert decision.budget is not None
    low, high = np.array([decision.bounds[name] for name in CHANNELS], dtype=float).T
    values = np.linspace(low[:-1], high[:-1], N_VALUES).T
    points = np.array(list(product(*values)))
    last = np.minimum(decision.budget - points.sum(axis=1), high[-1])
    points = np.column_stack([points, last])[last >= low[-1]]
    return np.asarray(points[firm.joint_effect(points).argmax()])


def compare(
    posterior: bi.Posterior,
    plans: Mapping[str, Mapping[str, float]],
    chosen: Mapping[str, bi.Plan],
    firm: MediaMix,
    optimum: np.ndarray,
) -> tuple[list[Row], dict[str, np.ndarray]]:
    """Gains over today and regrets of plans, by the posterior and by the simulator.

    Gains of plans that the posterior chose are corrected for that.

    Returns
    -------
    rows : list of dict
    regrets : dict from plan to ndarray, shape (draws,)
        How much better the best plan of each draw is.
    """
    points = np.array([[plan[name] for name in CHANNELS] for plan in plans.values()])
    effects = posterior.joint_effect(points).to_numpy().reshape(-1, len(points))
    best, today = (list(plans).index(name) for name in ("best", "today"))
    highest = effects[:, best] + chosen["best"].regret.to_numpy().ravel()
    truth, limit = firm.joint_effect(points), float(firm.joint_effect(optimum[None])[0])
    rows, regrets = [], {}
    for i, (name, plan) in enumerate(plans.items()):
        gain = effects[:, i] - effects[:, today]
        if name in chosen:
            gain = chosen[name].gain.to_numpy().ravel()
        # Within the grid of the search no plan is better than the best of its draw.
        regrets[name] = np.maximum(highest - effects[:, i], 0.0)
        low, high = np.quantile(gain, [0.05, 0.95])
        rows.append(
            {
                "plan": name,
                **{channel: round(float(plan[channel]), 2) for channel in CHANNELS},
                "cost": round(float(sum(plan.values())), 2),
                "gain": round(float(gain.mean()), 2),
                "5%": round(float(low), 2),
                "95%": round(float(high), 2),
                "chance of a gain": round(float((gain > 0).mean()), 3),
                # A plan beyond the limits may be better than the best within them.
                "expected regret": "" if name == UNLIMITED else round(regrets[name].mean(), 2),
                "true gain": round(float(truth[i] - truth[today]), 2),
                "true regret": round(max(limit - float(truth[i]), 0.0), 2),
            }
        )
    return rows, regrets


def frontier_of(
    posterior: bi.Posterior, firm: MediaMix, today: Mapping[str, float], shares: Sequence[float]
) -> list[Row]:
    """Best plans over budgets with their gains, true gains, and those of the true best plans."""
    total = sum(today.values())
    budgets = [share * total for share in shares]
    table = posterior.frontier(decision_of(today, total), budgets)
    base = float(firm.joint_effect([list(today.values())])[0])
    rows = []
    for i, (share, budget) in enumerate(zip(shares, budgets, strict=True)):
        own = table.isel(budget=i)
        plan = own.plan.to_numpy().astype(float)
        optimum = true_best(firm, decision_of(today, budget))
        rows.append(
            {
                "budget": round(budget, 2),
                "share of today's": share,
                **dict(zip(CHANNELS, plan.round(2).tolist(), strict=True)),
                "gain": round(float(own.gain), 2),
                "5%": round(float(own.gain_low), 2),
                "95%": round(float(own.gain_high), 2),
                "chance of a gain": round(float(own.probability_better), 3),
                "true gain": round(float(firm.joint_effect(plan[None])[0]) - base, 2),
                "largest true gain": round(float(firm.joint_effect(optimum[None])[0]) - base, 2),
            }
        )
    return rows


def draw_plans(ax: Axes, rows: list[Row], best: bi.Plan) -> None:
    """Spend per channel of each plan, and the range of the best plans of single draws."""
    for place, channel in enumerate(reversed(CHANNELS)):
        own = best.best_of_draws.sel(action=channel).to_numpy().astype(float)
        low, high = np.quantile(own, [0.05, 0.95])
        ax.fill_between(
            [low, high],
            place - 0.36,
            place + 0.36,
            color="C0",
            alpha=0.15,
            linewidth=0,
            label="_" if place else "best in 90% of draws",
        )
        for i, row in enumerate(rows):
            ax.plot(
                row[channel],
                place + 0.3 - 0.12 * i,
                "|" if row["plan"] == OPTIMUM else "o",
                color=COLOURS.get(row["plan"], "k"),
                markersize=13 if row["plan"] == OPTIMUM else 6,
                markeredgewidth=2,
                label="_",
            )
    for row in rows:
        is_truth = row["plan"] == OPTIMUM
        marker = {"marker": "|" if is_truth else "o", "markersize": 9 if is_truth else 5}
        colour = COLOURS.get(row["plan"], "k")
        ax.plot([], [], color=colour, linestyle="", markeredgewidth=2, label=row["plan"], **marker)
    ax.set_yticks(range(len(CHANNELS)), list(reversed(CHANNELS)))
    ax.set_ylim(-0.6, len(CHANNELS) + 0.4)
    ax.set_xlim(left=0)
    ax.set_xlabel("weekly spend in a region (thousands)")
    ax.set_title("Plans at today's total budget")
    legend(ax, loc="upper left", ncols=2)


def draw_regrets(ax: Axes, rows: list[Row], regrets: Mapping[str, np.ndarray]) -> None:
    """Distribution function of the regret of each plan, with the true regret marked."""
    for i, row in enumerate(rows):
        name = row["plan"]
        if name in (UNLIMITED, OPTIMUM):
            continue
        ordered = np.sort(regrets[name])
        share = np.arange(1, len(ordered) + 1) / len(ordered)
        label = f"{name}, {row['expected regret']:.1f} on average"
        # Two plans may be the same.
        ax.plot(ordered, share, color=COLOURS[name], linewidth=4 if i == 1 else 1.5, label=label)
        at = np.searchsorted(ordered, row["true regret"]) / len(ordered)
        ax.plot(row["true regret"], at, "x", color=COLOURS[name], markeredgewidth=2, zorder=4)
    ax.plot([], [], "kx", markeredgewidth=2, label="true regret")
    ax.set_xlim(left=-0.4)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel("regret: sales lost against the best plan (thousands)")
    ax.set_ylabel("share of draws with at most this regret")
    ax.set_title("Regret of each plan")
    legend(ax, loc="lower right")


def draw_frontier(ax: Axes, rows: list[Row]) -> None:
    """Gain of the best plan against the budget, with a band, and true gains."""
    x = column(rows, "budget")
    ax.fill_between(
        x, column(rows, "5%"), column(rows, "95%"), color="C0", alpha=0.2, label="90% band"
    )
    ax.plot(x, column(rows, "gain"), "o-", color="C0", markersize=4, label="best plan")
    ax.plot(x, column(rows, "true gain"), "k--", linewidth=1.2, label="its true gain")
    ax.plot(
        x,
        column(rows, "largest true gain"),
        color="0.7",
        linewidth=5,
        zorder=1.5,
        label="simulator's best plan",
    )
    ax.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    today = next(row["budget"] for row in rows if row["share of today's"] == 1.0)
    ax.axvline(today, ymax=0.72, color="0.6", linewidth=0.8, zorder=0)
    ax.text(today, ax.get_ylim()[0], " today's budget", color="0.35", fontsize=8, va="bottom")
    ax.set_xlabel("weekly budget of a region (thousands)")
    ax.set_ylabel("gain of weekly sales over today (thousands)")
    ax.set_title("Frontier over budgets")
    legend(ax, loc="upper left")
    headroom(ax, 0.25)


def draw_figure(
    rows: list[Row], regrets: Mapping[str, np.ndarray], best: bi.Plan, frontier: list[Row]
) -> Figure:
    """Plans, their regrets, and the frontier."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.6), layout="constrained")
    draw_plans(left, rows, best)
    draw_regrets(middle, rows, regrets)
    draw_frontier(right, frontier)
    return figure


def main() -> None:
    """Run from the command line."""
    args = story_arguments(__doc__, "decide").parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    file = args.output / "media_mix.parquet"
    share = 0.25 if args.quick else 1
    firm = MediaMix.random(len(CHANNELS), seed=FIRM)
    write_data(file, firm, int(share * HISTORY_ROWS), int(share * LIFT_ROWS), args.seed)

    # The analyst's work; from here on the simulator supplies true effects only.
    frame = pd.read_parquet(file)
    data = bi.RegimeData.from_frame(frame, CHANNELS, outcome="sales", regime="experiment")
    size = {"draws": 100, "warmup": 100, "chains": 2} if args.quick else {}
    posterior, seconds = timed(lambda: bi.fit(data, seed=args.seed, **size))
    print(f"Fitted in {seconds:.0f} s")
    naive = bi.fit(data.only([]), bi.models.pooled(), seed=args.seed, **size)

    history = frame.loc[frame["experiment"] == "", CHANNELS]
    today = {name: float(history[name].median()) for name in CHANNELS}
    decision = decision_of(today, sum(today.values()))
    best, seconds = timed(lambda: posterior.best(decision))
    print(f"\n{best}\nFound in {seconds:.1f} s\n")
    chosen = {
        "best": best,
        BY_MEAN: posterior.best(decision, "mean"),
        UNLIMITED: posterior.best(replace(decision, bounds={})),
    }
    optimum = true_best(firm, decision)
    plans = {
        "today": today,
        "history alone": naive.best(decision).point,
        **{name: plan.point for name, plan in chosen.items()},
        OPTIMUM: dict(zip(CHANNELS, optimum.tolist(), strict=True)),
    }
    rows, regrets = compare(posterior, plans, chosen, firm, optimum)
    print_table(rows)

    frontier = frontier_of(posterior, firm, today, SHARES[1::3] if args.quick else SHARES)
    print("\nThe best plan of each budget:")
    print_table(frontier)
    same = posterior.cheapest(decision, posterior.joint_effect(today).mean().item())
    saved = sum(today.values()) - sum(same.point.values())
    print(f"\nToday's sales for {saved:.1f} thousand less: {same.point}")

    write_table(args.output / "decide_plans.csv", rows, COMMAND)
    write_table(args.output / "decide_frontier.csv", frontier, COMMAND)
    save_figure(draw_figure(rows, regrets, best, frontier), args.output / "decide")
    posterior.report(args.output / "report.html", decision=decision)
    print(f"\nFigure, tables and a report with best plans are in {args.output}")


if __name__ == "__main__":
    main()
