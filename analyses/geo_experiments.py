"""Geo experiments example: from a marketing panel to the effect of a plan in each region.

    python analyses/geo_experiments.py [--quick] [--output FOLDER]

A firm buys tv, radio and search advertising in 24 regions. Each region has a level of sales of its
own, a season moves sales everywhere, and managers spend more in strong regions and weeks. The panel
has history in every region; in 18 regions one channel was set at random for some weeks, a different
one in each third of them. No region and week has all three budgets set.

The estimand is weekly sales when all budgets are set as planned: averaged over regions and weeks,
in each region, and in a region that is not in the panel. Beside it stand the simulator's truth and
a fit that ignores regions and season.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

import bayes_intgen as bi
from bayes_intgen.plots.bands import draw_bands
from bayes_intgen.simulators import MarketingPanel

from _figures import headroom, legend, save_figure
from _scores import timed
from _study import story_arguments
from _tables import publish_table

CHANNELS = ["tv", "radio", "search"]
# The plan, relative to the median of the history.
PLAN = (0.7, 1.5, 1.2)
HISTORY_ROWS, EXPERIMENT_ROWS = 24 * 52, 600
# Seed of the random panel.
PANEL = 3
NEW = "a region not in the panel"
SAMPLES = ("chain", "draw")


def write_data(path: Path, panel: MarketingPanel, share: float, seed: int) -> None:
    """Write the data file: the history, and the experiments."""
    rng = np.random.default_rng(seed)
    pieces = []
    for channel in (None, *CHANNELS):
        rows = int(share * (EXPERIMENT_ROWS if channel else HISTORY_ROWS))
        spend, sales, columns = panel.sample([channel] if channel else [], rows, rng)
        frame = pd.DataFrame(spend.round(3), columns=list(panel.names))
        pieces.append(
            frame.assign(
                region=[region_name(r) for r in columns.groups["region"]],
                week=columns.covariates["week"],
                sales=sales.round(2),
                experiment=channel or "",
            )
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(pieces).to_parquet(path, index=False)


def region_name(region: int) -> str:
    """Name of a region of the panel."""
    return f"region {region + 1:02d}"


def truth(panel: MarketingPanel, frame: pd.DataFrame, points: np.ndarray) -> np.ndarray:
    """True sales with all budgets set, averaged over the history; an array per point."""
    history = frame[frame["experiment"] == ""]
    region = history["region"].str.removeprefix("region ").astype(int).to_numpy() - 1
    season = panel.swing * panel.season(history["week"].to_numpy()).mean()
    return panel.base.joint_effect(points) + panel.level[region].mean() + season


def in_regions(
    posterior: bi.Posterior, panel: MarketingPanel, frame: pd.DataFrame, plan: np.ndarray
) -> list[dict[str, str | float]]:
    """Sales under the plan in every region, in a new one and on average, beside the truth."""
    history = frame[frame["experiment"] == ""]
    season = panel.swing * panel.season(history["week"].to_numpy()).mean()
    lines: list[dict[str, str | float]] = []
    places: list[tuple[str, str, float]] = [("average", "", float(truth(panel, frame, plan)[0]))]
    for r in np.argsort(panel.level):
        channel = CHANNELS[panel.experiment[r]] if panel.experiment[r] >= 0 else "history alone"
        own = float(panel.base.joint_effect(plan)[0] + panel.level[r] + season)
        places.append((region_name(int(r)), channel, own))
    places.append((NEW, "", np.nan))
    for name, channel, true in places:
        given = None if name == "average" else {"region": bi.NEW_GROUP if name == NEW else name}
        draws = posterior.joint_effect(plan, given=given).to_numpy()
        low, high = np.quantile(draws, [0.05, 0.95])
        lines.append(
            {
                "region": name,
                "experiment": channel,
                "sales": round(float(draws.mean()), 1),
                "5%": round(float(low), 1),
                "95%": round(float(high), 1),
                "simulator": round(true, 1),
            }
        )
    return lines


def draw_regions(ax: Axes, lines: list[dict[str, str | float]]) -> None:
    """Forest plot of sales under the plan, one line per region."""
    kinds = [*CHANNELS, "history alone", ""]
    colours = dict(zip(kinds, ("C0", "C2", "C1", "0.5", "k"), strict=True))
    names = {"history alone": "history alone", "": "average and new region"}
    seen = set()
    for place, line in enumerate(lines):
        kind = str(line["experiment"])
        label = "_" if kind in seen else names.get(kind, f"experiment on {kind}")
        seen.add(kind)
        ax.plot([line["5%"], line["95%"]], [place] * 2, color=colours[kind], linewidth=3)
        ax.plot(line["sales"], place, "o", color=colours[kind], markersize=4, label=label)
        ax.plot(line["simulator"], place, "|", color="k", markersize=10, markeredgewidth=1.5)
    ax.plot([], [], "|", color="k", markersize=8, markeredgewidth=1.5, label="simulator")
    ax.set_yticks(range(len(lines)), [str(line["region"]) for line in lines], fontsize=7)
    ax.set_xlabel("weekly sales, all budgets as planned (thousands)")
    ax.set_title("Plan in each region, 90% bands")
    legend(ax, loc="upper left", bbox_to_anchor=(0, 0.94))


def draw_response(
    ax: Axes,
    fits: dict[str, bi.Posterior],
    panel: MarketingPanel,
    frame: pd.DataFrame,
    plan: np.ndarray,
) -> None:
    """Plot average sales against tv spend, the other budgets as planned, for both fits."""
    along = np.linspace(*frame.loc[frame["experiment"] == "tv", "tv"].quantile([0.05, 0.95]), 60)
    points = np.tile(plan, (60, 1))
    points[:, 0] = along
    for (name, posterior), shade in zip(fits.items(), ("C0", "C3"), strict=True):
        draws = posterior.joint_effect(points).to_numpy().reshape(-1, 60)
        draw_bands(ax, along, draws, (0.9,), shade)
        ax.lines[-1].set_label(f"{name}, 90% band")
    ax.plot(along, truth(panel, frame, points), "k--", linewidth=1.2, label="simulator")
    ax.set_xlabel("tv spend in a region and week (thousands)")
    ax.set_ylabel("average weekly sales, all budgets set (thousands)")
    ax.set_title("Response to tv, radio and search as planned")
    headroom(ax, 0.15)
    legend(ax, handles=ax.lines, loc="upper left")


def main() -> None:
    """Run from the command line."""
    args = story_arguments(__doc__, "geo_experiments").parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    file = args.output / "geo_experiments.parquet"
    panel = MarketingPanel.random(len(CHANNELS), seed=PANEL)
    write_data(file, panel, 0.4 if args.quick else 1, args.seed)
    print(f"Data written to {file}")

    # The analyst's work; from here on the simulator supplies true effects only.
    frame = pd.read_parquet(file)
    roles = {"outcome": "sales", "regime": "experiment"}
    data = bi.RegimeData.from_frame(
        frame, CHANNELS, **roles, covariates=["week"], groups=["region"]
    )
    print(data)
    size = {"draws": 100, "warmup": 100, "chains": 2} if args.quick else {}
    posterior, seconds = timed(lambda: bi.fit(data, seed=args.seed, **size))
    print(f"Fitted in {seconds:.0f} s")
    plain = bi.RegimeData.from_frame(frame, CHANNELS, **roles)
    ignoring, seconds = timed(lambda: bi.fit(plain, seed=args.seed, **size))
    print(f"Regions and season ignored, for comparison: {seconds:.0f} s")

    today = frame.loc[frame["experiment"] == "", CHANNELS].median().to_numpy()
    plan = (today * PLAN)[None]
    print("\nWeekly sales when all budgets are set as planned, never seen together in the data:")
    lines = in_regions(posterior, panel, frame, plan)
    table = args.output / "geo_experiments_regions.csv"
    publish_table(table, lines, "python analyses/geo_experiments.py")
    low, high = np.quantile(ignoring.joint_effect(plan).to_numpy(), [0.05, 0.95])
    print(f"Average if regions and season are ignored: {low:.1f} to {high:.1f}")

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5.2), layout="constrained")
    draw_regions(left, lines)
    fits = {"with regions and season": posterior, "ignoring them": ignoring}
    draw_response(right, fits, panel, frame, plan)
    save_figure(figure, args.output / "geo_experiments")
    print(f"\nFigure and table are in {args.output}")


if __name__ == "__main__":
    main()
