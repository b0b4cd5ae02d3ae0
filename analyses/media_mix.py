"""A user's story: from a Parquet file of spend and sales to what a new media plan would do.

    python analyses/media_mix.py [--quick] [--output FOLDER] [--data FILE]

A firm buys tv, radio and search advertising, a different amount in each of its 30 regions in
each week. Managers spend more where and when demand is high, so spend and sales share hidden
causes. The file holds a year in which nobody experimented (30 regions times 52 weeks) and a
lift test for each channel: weeks in which the spend in that channel was drawn at random and
the others were left to the managers.

The plan is to cut tv by 30% and to raise radio by half and search by a fifth, all at once. No
row of the file has all three budgets set. The question is what the plan does to sales, beside
what the simulator says and what a regression on the history alone would promise.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

import bayes_intgen as bi
from bayes_intgen.simulators import MediaMix

from _scores import timed
from _tables import print_table, write_table

CHANNELS = ["tv", "radio", "search"]
# Changes of the weekly budgets, each from the median of the history.
PLANS = {
    "tv -30%": (0.7, 1.0, 1.0),
    "radio +50%": (1.0, 1.5, 1.0),
    "search +20%": (1.0, 1.0, 1.2),
    "all three": (0.7, 1.5, 1.2),
}
HISTORY_ROWS, LIFT_ROWS = 30 * 52, 400
# Which random firm: one in which tv moves radio, and both move search.
FIRM = 2
SAMPLES = ("chain", "draw")


def write_data(path: Path, firm: MediaMix, history: int, lift: int, seed: int) -> None:
    """Write the data file: the history, and a lift test for each channel."""
    rng = np.random.default_rng(seed)
    pieces = []
    for channel in (None, *CHANNELS):
        rows = history if channel is None else lift
        spend, sales = firm.sample([channel] if channel else [], rows, rng)
        frame = pd.DataFrame(spend.round(3), columns=list(firm.names))
        pieces.append(frame.assign(sales=sales.round(2), experiment=channel or ""))
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(pieces).sample(frac=1, random_state=seed).to_parquet(path, index=False)


def changes(draws_at: np.ndarray) -> np.ndarray:
    """Effect of each plan, draw by draw: the first point is today, along the last axis."""
    # What all points share, above all the level, cancels within a draw and only there.
    return draws_at[..., 1:] - draws_at[..., :1]


def compare(
    posterior: bi.Posterior, naive: bi.Posterior, firm: MediaMix, today: np.ndarray
) -> list[dict[str, str | float]]:
    """A row a plan: its effect with bands, the truth, and what the history alone says."""
    points = np.vstack([today, [today * factors for factors in PLANS.values()]])
    effect = changes(posterior.joint_effect(points).to_numpy())
    seen = changes(naive.joint_effect(points).to_numpy())
    truth = changes(firm.joint_effect(points))
    week = posterior.outcome(points).quantile([0.05, 0.95], SAMPLES).to_numpy()[:, 1:]
    rows: list[dict[str, str | float]] = []
    for i, plan in enumerate(PLANS):
        bands = np.quantile(effect[..., i], [0.05, 0.25, 0.75, 0.95])
        rows.append(
            {
                "plan": plan,
                "extra spend": round(float((points[i + 1] - today).sum()), 2),
                "change of sales": round(float(effect[..., i].mean()), 2),
                **{
                    name: round(float(end), 2)
                    for name, end in zip(("5%", "25%", "75%", "95%"), bands, strict=True)
                },
                "chance of a gain": round(float((effect[..., i] > 0).mean()), 3),
                "simulator": round(float(truth[i]), 2),
                "history alone": round(float(seen[..., i].mean()), 2),
                "history 5%": round(float(np.quantile(seen[..., i], 0.05)), 2),
                "history 95%": round(float(np.quantile(seen[..., i], 0.95)), 2),
                "sales 5%": round(float(week[0, i]), 1),
                "sales 95%": round(float(week[1, i]), 1),
            }
        )
    return rows


def draw_plans(ax: Axes, rows: list[dict[str, str | float]]) -> None:
    """A forest: a line a plan, with bands, the truth and the naive answer."""
    for place, row in enumerate(reversed(rows)):
        first = place == 0
        for low, high, width, name in (("5%", "95%", 2, "90% band"), ("25%", "75%", 6, "50% band")):
            ax.plot(
                [row[low], row[high]],
                [place, place],
                color="C0",
                linewidth=width,
                solid_capstyle="butt",
                label=name if first else "_",
            )
        ax.plot(
            row["change of sales"], place, "o", color="C0", label="posterior mean" if first else "_"
        )
        ax.plot(
            row["simulator"], place, "|", color="k", markersize=18, markeredgewidth=2, label="_"
        )
        ax.plot(
            [row["history 5%"], row["history 95%"]],
            [place - 0.22] * 2,
            color="C3",
            linewidth=1.2,
            label="_",
        )
        ax.plot(
            row["history alone"],
            place - 0.22,
            "o",
            color="C3",
            markerfacecolor="white",
            label="regression on the history, 90% band" if first else "_",
        )
    # The ticks themselves would stand over the legend's lines.
    ax.plot([], [], "|", color="k", markersize=9, markeredgewidth=2, label="simulator's answer")
    ax.axvline(0, ymax=0.8, color="0.6", linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(rows)), [str(row["plan"]) for row in reversed(rows)])
    ax.set_ylim(-0.6, len(rows) + 0.75)
    ax.set_xlabel("change of weekly sales in a region (thousands)")
    ax.set_title("What each plan does, all budgets set")
    ax.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)


def draw_figure(
    posterior: bi.Posterior,
    firm: MediaMix,
    today: np.ndarray,
    rows: list[dict[str, str | float]],
    path: Path,
) -> None:
    """Left the plans, right the response to radio with the other budgets as planned."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    draw_plans(left, rows)
    plan = dict(zip(CHANNELS, today * PLANS["all three"], strict=True))
    at = {name: plan[name] for name in CHANNELS if name != "radio"}
    posterior.plot_joint_effect("radio", at=at, predictive=0.9, ax=right)
    along = np.asarray(right.lines[0].get_xdata(), dtype=float)
    points = np.stack(
        [along if n == "radio" else np.full(len(along), plan[n]) for n in CHANNELS], axis=1
    )
    right.plot(along, firm.joint_effect(points), "k--", linewidth=1.2, label="simulator's answer")
    for value, name, place in ((today[1], "today", "right"), (plan["radio"], "plan", "left")):
        right.axvline(value, ymax=0.8, color="0.6", linewidth=0.8, zorder=0)
        right.text(
            value,
            0.02,
            f" {name} ",
            transform=right.get_xaxis_transform(),
            ha=place,
            color="0.35",
            fontsize=8,
        )
    # Few rows lie beyond: the long tail of spend would squeeze the rest of the curve.
    right.set_xlim(0, 5 * today[1])
    right.set_xlabel("radio spend in a region and week (thousands)")
    right.set_ylabel("weekly sales, all budgets set (thousands)")
    right.set_title("Response to radio, tv and search as planned")
    right.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)
    low, high = right.get_ylim()
    right.set_ylim(low, high + 0.25 * (high - low))
    figure.savefig(path.with_suffix(".png"), dpi=150)
    figure.savefig(path.with_suffix(".svg"))
    plt.close(figure)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rows and draws, for a test")
    parser.add_argument("--output", type=Path, default=Path("output/media_mix"))
    parser.add_argument(
        "--data", type=Path, help="where the data file goes; by default the output folder"
    )
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    chosen.output.mkdir(parents=True, exist_ok=True)
    file = chosen.data or chosen.output / "media_mix.parquet"
    share = 0.25 if chosen.quick else 1
    firm = MediaMix.random(len(CHANNELS), seed=FIRM)
    write_data(file, firm, int(share * HISTORY_ROWS), int(share * LIFT_ROWS), chosen.seed)
    print(f"Data written to {file}")

    # From here on it is the analyst's work; the simulator is asked for its answer only.
    frame = pd.read_parquet(file)
    data = bi.RegimeData.from_frame(frame, CHANNELS, outcome="sales", regime="experiment")
    print(data)
    size = {"draws": 100, "warmup": 100, "chains": 2} if chosen.quick else {}
    posterior, seconds = timed(lambda: bi.fit(data, seed=chosen.seed, **size))
    print(f"Fitted in {seconds:.0f} s")
    naive, seconds = timed(
        lambda: bi.fit(data.only([]), bi.models.pooled(), seed=chosen.seed, **size)
    )
    print(f"Regression on the history alone, for comparison: {seconds:.0f} s")

    today = frame.loc[frame["experiment"] == "", CHANNELS].median().to_numpy()
    rows = compare(posterior, naive, firm, today)
    usual = ", ".join(f"{name} {spend:.1f}" for name, spend in zip(CHANNELS, today, strict=True))
    print(f"\nWeekly budgets of a region today, in thousands: {usual}")
    print("Change of its weekly sales when all budgets are set, never seen together in the data:")
    print_table(
        [
            {
                "plan": row["plan"],
                "extra spend": f"{row['extra spend']:+.1f}",
                "change of sales": f"{row['change of sales']:+.1f}",
                "50% band": f"{row['25%']:+.1f} to {row['75%']:+.1f}",
                "90% band": f"{row['5%']:+.1f} to {row['95%']:+.1f}",
                "chance of a gain": f"{row['chance of a gain']:.2f}",
                "simulator": f"{row['simulator']:+.1f}",
                "history alone": f"{row['history alone']:+.1f}",
                "90% of weeks": f"{row['sales 5%']:.0f} to {row['sales 95%']:.0f}",
            }
            for row in rows
        ]
    )
    write_table(chosen.output / "media_mix_plans.csv", rows, "python analyses/media_mix.py")
    draw_figure(posterior, firm, today, rows, chosen.output / "media_mix")
    print(f"\nFigure and table are in {chosen.output}")


if __name__ == "__main__":
    main()
