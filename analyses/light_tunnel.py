"""Main workflow, end to end, on a real sensor: from one colour at a time to both together.

    python analyses/light_tunnel.py [--quick] [--output FOLDER]

The light tunnel of `bi.datasets` is a real device with red, green and blue light and an infrared
sensor. Red and green are the actions. In the history both follow parts of the blue light, which
also reaches the sensor, and is hidden; in an experiment one of them was set at random. No row of
the data counts as one in which both were set. But the rows are a selection of measurements in which
everything was set at random: all of these together show what the sensor reads when red and green
are set together, beside the estimates.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

import bayes_intgen as bi

from _figures import headroom, legend, save_figure
from _scores import rms, timed
from _study import story_arguments
from _tables import publish_table

COLOURS = ["red", "green"]
NAIVE = "0.45"
# Half of a 90% interval, in standard errors.
Z90 = 1.645


def estimates(posterior: bi.Posterior, known: bi.datasets.Dataset) -> list[dict[str, str]]:
    """Joint effects with intervals, beside the measured answer and the mean of the history."""
    settings = known.joint[COLOURS]
    effect = posterior.joint_effect(settings)
    low, high = effect.quantile([0.05, 0.95], ("chain", "draw")).to_numpy()
    history = posterior.effect(settings, intervened=[]).mean(("chain", "draw"))
    columns = {
        "joint effect": effect.mean(("chain", "draw")).to_numpy(),
        "low": low,
        "high": high,
        "measured": known.joint["effect"],
        "standard error": known.joint["standard_error"],
        "history": history.to_numpy(),
    }
    cells = {name: [f"{value:.0f}" for value in values] for name, values in columns.items()}
    lights = {colour: settings[colour].astype(str) for colour in COLOURS}
    return [dict(zip([*lights, *cells], row, strict=True))
            for row in zip(*lights.values(), *cells.values(), strict=True)]  # fmt: skip


def draw_along(posterior: bi.Posterior, known: bi.datasets.Dataset, k: int, ax: Axes) -> None:
    """Plot the joint effect along one colour, the other at its median, and the measured answer."""
    colour, other = COLOURS[k], COLOURS[1 - k]
    middle = float(known.joint[other].median())
    posterior.plot_joint_effect(colour, at={other: middle}, color=f"tab:{colour}", ax=ax)
    measured = known.joint[known.joint[other] == middle]
    points = np.full((100, 2), middle)
    points[:, k] = np.linspace(measured[colour].min(), measured[colour].max(), len(points))
    history = posterior.effect(points, intervened=[]).mean(("chain", "draw"))
    ax.plot(points[:, k], history, color=NAIVE, linestyle=":", label="mean of the history")
    ax.errorbar(
        measured[colour], measured["effect"], Z90 * measured["standard_error"],
        fmt="ko", markersize=4, capsize=2, label="measured, both set",
    )  # fmt: skip
    ax.set_xlabel(f"{colour} light ({other} set to {middle:g})")
    ax.set(ylabel="infrared reading" if k == 0 else "", title="")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    legend(ax, loc="lower right")


def draw_settings(lines: list[dict[str, str]], ax: Axes) -> None:
    """Plot the estimates at all settings, less the measured answers."""
    columns = {name: np.array([float(line[name]) for line in lines]) for name in lines[0]}
    measured, middle = columns["measured"], columns["joint effect"]
    ends = np.stack([middle - columns["low"], columns["high"] - middle])
    ax.axhline(0, color="k", linewidth=1)
    ax.errorbar(measured, middle - measured, ends, fmt="o", color="C0", markersize=4, capsize=2,
                label="joint effect, 90% interval")  # fmt: skip
    ax.plot(measured, columns["history"] - measured, "s", color=NAIVE, markersize=4, mfc="none",
            label="mean of the history")  # fmt: skip
    ax.set_xlabel("measured reading, both colours set")
    ax.set_ylabel("estimate less measured")
    ax.xaxis.set_major_locator(MaxNLocator(4))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:,.0f}")
    legend(ax, loc="upper left")
    headroom(ax, 0.2)


def main() -> None:
    """Run from the command line."""
    args = story_arguments(__doc__, "light_tunnel").parse_args()
    args.output.mkdir(parents=True, exist_ok=True)

    known = bi.datasets.light_tunnel(rows=150 if args.quick else None)
    print(known.data)
    settings = {"draws": 100, "warmup": 100} if args.quick else {}
    posterior, seconds = timed(lambda: bi.fit(known.data, seed=args.seed, **settings))
    print(f"Fitted in {seconds:.0f} s")

    print("\nInfrared reading when both colours are set, which no row of the data has:")
    lines = estimates(posterior, known)
    publish_table(
        args.output / "light_tunnel_effects.csv", lines, "python analyses/light_tunnel.py"
    )
    posterior.save(args.output / "light_tunnel.nc")
    columns = {name: np.array([float(line[name]) for line in lines]) for name in lines[0]}
    errors = {n: rms(columns[n] - columns["measured"]) for n in ("joint effect", "history")}
    print(
        f"\nRoot mean square error: {errors['joint effect']:.0f}; "
        f"mean of the history: {errors['history']:.0f}"
    )

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    for k, ax in enumerate(axes[:2]):
        draw_along(posterior, known, k, ax)
    draw_settings(lines, axes[2])
    save_figure(figure, Path(args.output) / "light_tunnel")
    print(f"\nPosterior, figure and table are in {args.output}")


if __name__ == "__main__":
    main()
