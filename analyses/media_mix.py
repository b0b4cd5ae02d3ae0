"""Media mix example: from a Parquet file of spend and sales to the effect of a new media plan.

    python analyses/media_mix.py [--quick] [--output FOLDER] [--data FILE]

A firm buys tv, radio and search advertising in varying amounts per region and week. Managers spend
more at high demand, so spend and sales share hidden causes. The file has a year of observational
rows (30 regions times 52 weeks) and a lift test per channel: weeks with random spend in that
channel while managers set the others.

The plan cuts tv by 30% and raises radio by half and search by a fifth, all at once. No row of the
file has all three budgets set. The estimand is the plan's effect on sales, beside the simulator's
true effect and a regression on the history alone.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

import bayes_intgen as bi
from bayes_intgen.simulators import MediaMix

from _figures import headroom, legend, save_figure
from _scores import timed
from _study import story_arguments
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
# Seed of the random firm: one in which tv affects radio, and both affect search.
FIRM = 2
SAMPLES = ("chain", "draw")


def write_data(path: Path, firm: MediaMix, history: int, lift: int, seed: int) -> None:
    """Write the data file: the history, and a lift test per channel."""
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
    """Effect of each plan within draws: points on the last axis, today's spend first."""
    # Shared terms, above all the level, cancel only within a draw.
    return draws_at[..., 1:] - draws_at[..., :1]


def compare(
    posterior: bi.Posterior, naive: bi.Posterior, firm: MediaMix, today: np.ndarray
) -> list[dict[str, str | float]]:
    """Effects of the plans with intervals, the true effects, and estimates from history alone."""
    points = np.vstack([today, [today * factors for factors in PLANS.values()]])
    effect = changes(posterior.joint_effect(points).to_numpy())
    history = changes(naive.joint_effect(points).to_numpy())
    truth = changes(firm.joint_effect(points))
    week = posterior.outcome(points).quantile([0.05, 0.95], SAMPLES).to_numpy()[:, 1:]
    rows: list[dict[str, str | float]] = []
    for i, plan in enumerate(PLANS):
        ends = np.quantile(effect[..., i], [0.05, 0.25, 0.75, 0.95])
        rows.append(
            {
                "plan": plan,
                "extra spend": round(float((points[i + 1] - today).sum()), 2),
                "change of sales": round(float(effect[..., i].mean()), 2),
                **{
                    name: round(float(end), 2)
                    for name, end in zip(("5%", "25%", "75%", "95%"), ends, strict=True)
                },
                "chance of a gain": round(float((effect[..., i] > 0).mean()), 3),
                "simulator": round(float(truth[i]), 2),
                "history alone": round(float(history[..., i].mean()), 2),
                "history 5%": round(float(np.quantile(history[..., i], 0.05)), 2),
                "history 95%": round(float(np.quantile(history[..., i], 0.95)), 2),
                "sales 5%": round(float(week[0, i]), 1),
                "sales 95%": round(float(week[1, i]), 1),
            }
        )
    return rows


def draw_plans(ax: Axes, rows: list[dict[str, str | float]]) -> None:
    """Forest plot: one line per plan with bands, the true effect and the naive estimate."""
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
    # Markers of full size would overlap in the legend.
    ax.plot([], [], "|", color="k", markersize=9, markeredgewidth=2, label="simulator")
    ax.axvline(0, ymax=0.8, color="0.6", linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(rows)), [str(row["plan"]) for row in reversed(rows)])
    ax.set_ylim(-0.6, len(rows) + 0.75)
    ax.set_xlabel("change of weekly sales in a region (thousands)")
    ax.set_title("Effect of each plan, all budgets set")
    legend(ax, loc="upper left", ncols=2)


def draw_figure(
    posterior: bi.Posterior,
    firm: MediaMix,
    today: np.ndarray,
    rows: list[dict[str, str | float]],
    path: Path,
) -> None:
    """Plot the plans (left) and the response to radio at the planned other budgets (right)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    draw_plans(left, rows)
    plan = dict(zip(CHANNELS, today * PLANS["all three"], strict=True))
    draw_response(right, posterior, firm, plan, today[1])
    save_figure(figure, path)


def draw_response(
    ax: Axes, posterior: bi.Posterior, firm: MediaMix, plan: dict[str, float], today: float
) -> None:
    """Plot sales against radio spend, with today's spend and the plan marked."""
    at = {name: plan[name] for name in CHANNELS if name != "radio"}
    posterior.plot_joint_effect("radio", at=at, ax=ax)
    along = np.asarray(ax.lines[0].get_xdata(), dtype=float)
    points = np.stack(
        [along if n == "radio" else np.full(len(along), plan[n]) for n in CHANNELS], axis=1
    )
    ax.plot(along, firm.joint_effect(points), "k--", linewidth=1.2, label="simulator")
    for value, name, place in ((today, "today", "right"), (plan["radio"], "plan", "left")):
        ax.axvline(value, ymax=0.8, color="0.6", linewidth=0.8, zorder=0)
        ax.text(
            value,
            0.02,
            f" {name} ",
            transform=ax.get_xaxis_transform(),
            ha=place,
            color="0.35",
            fontsize=8,
        )
    # Few rows lie beyond, and the long tail of spend would compress the curve.
    ax.set_xlim(0, 5 * today)
    ax.set_xlabel("radio spend in a region and week (thousands)")
    ax.set_ylabel("weekly sales, all budgets set (thousands)")
    ax.set_title("Response to radio, tv and search as planned")
    legend(ax, loc="upper left", ncols=2)
    headroom(ax, 0.25)


def main() -> None:
    """Run from the command line."""
    parser = story_arguments(__doc__, "media_mix")
    parser.add_argument("--data", type=Path, help="the data file; by default in the output folder")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    file = args.data or args.output / "media_mix.parquet"
    share = 0.25 if args.quick else 1
    firm = MediaMix.random(len(CHANNELS), seed=FIRM)
    write_data(file, firm, int(share * HISTORY_ROWS), int(share * LIFT_ROWS), args.seed)
    print(f"Data written to {file}")

    # The analyst's work; from here on the simulator supplies true effects only.
    frame = pd.read_parquet(file)
    data = bi.RegimeData.from_frame(frame, CHANNELS, outcome="sales", regime="experiment")
    print(data)
    size = {"draws": 100, "warmup": 100, "chains": 2} if args.quick else {}
    posterior, seconds = timed(lambda: bi.fit(data, seed=args.seed, **size))
    print(f"Fitted in {seconds:.0f} s")
    naive, seconds = timed(
        lambda: bi.fit(data.only([]), bi.models.pooled(), seed=args.seed, **size)
    )
    print(f"Regression on the history alone, for comparison: {seconds:.0f} s")

    today = frame.loc[frame["experiment"] == "", CHANNELS].median().to_numpy()
    rows = compare(posterior, naive, firm, today)
    print_plans(rows, today)
    write_table(args.output / "media_mix_plans.csv", rows, "python analyses/media_mix.py")
    draw_figure(posterior, firm, today, rows, args.output / "media_mix")
    print(f"\nFigure and table are in {args.output}")


def print_plans(rows: list[dict[str, str | float]], today: np.ndarray) -> None:
    """Print today's budgets and the effects of the plans."""
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


if __name__ == "__main__":
    main()
