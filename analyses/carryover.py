"""Carry-over in panels of regions and weeks: coverage of sustained effects, with and without it.

    python analyses/carryover.py [--models 24] [--seed 40000] [--kinds fresh persistent]

Panels of 24 regions over 104 weeks and three actions, each of which is set in 16 weeks of six
regions; six regions have history only. Actions act for eight weeks, with geometric weights of rate
0, 0.3 or 0.6; settings are held for one week or for eight. The hidden causes of an action are new
in each week (``fresh``), or have an autocorrelation of 0.8, as the noise has (``persistent``). The
question is the effect of actions that are held, at 200 joint settings drawn like those of the
experiments, and changes between pairs of these. Compared are fits with rates that are estimated,
with the true ones, and without carry-over. Coverage is that of 90% intervals; results are saved one
by one, and an interrupted run resumes.
"""

import argparse
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr

import bayes_intgen as bi

from _figures import column, error_bars, legend, save_figure
from _scores import coverage, mean_and_error, rms
from _study import Row, add_kinds, arguments, command_of, options, publish_study

ACTIONS = ("tv", "radio", "print")
RATES, HELD = (0.0, 0.3, 0.6), (1, 8)
KINDS = {"fresh": 0.0, "persistent": 0.8}
FITS = ("estimated rate", "true rate", "no carry-over")
COLUMNS = ("coverage of effects", "coverage of changes", "error of effects", "error of changes")
LENGTH, WEEKS, EXPERIMENT = 8, 104, 16
POINTS, LEVEL = 200, 0.9


def panel(seed: int, rate: float, held: int, persistence: float, weeks: int) -> pd.DataFrame:
    """A row per region and week; six regions for each experiment, and six with history only."""
    rng = np.random.default_rng(seed)
    shape = (6 * (len(ACTIONS) + 1), weeks + LENGTH, len(ACTIONS))
    causes = autocorrelated(rng.normal(size=shape), persistence)
    actions, regime = causes + rng.normal(size=shape), np.full(shape[:2], "", dtype=object)
    for region in range(shape[0]):
        k = region % (len(ACTIONS) + 1)
        if k < len(ACTIONS):
            start = rng.integers(LENGTH, shape[1] - EXPERIMENT + 1)
            settings = np.repeat(1.5 * rng.normal(size=EXPERIMENT // held), held)
            actions[region, start : start + EXPERIMENT, k] = settings
            regime[region, start : start + EXPERIMENT] = ACTIONS[k]
    weights = bi.Adstock(rate, length=LENGTH).weights
    carried = sum(w * np.roll(actions, lag, axis=1) for lag, w in enumerate(weights))
    noise = autocorrelated(rng.normal(size=shape[:2]), persistence)
    outcome = joint_effect(carried) + 0.8 * causes.sum(axis=-1) + 0.7 * noise
    region, week = np.indices((shape[0], weeks)).reshape(2, -1)
    columns = dict(zip(ACTIONS, np.moveaxis(actions, -1, 0), strict=True))
    cells = {"y": outcome, "regime": regime, **columns}
    table = pd.DataFrame({name: own[:, LENGTH:].ravel() for name, own in cells.items()})
    return table.assign(region=region.astype(str), week=week)


def autocorrelated(steps: np.ndarray, correlation: float) -> np.ndarray:
    """Series along the second axis with unit variance, from independent steps."""
    out = steps.copy()
    for t in range(1, out.shape[1]):
        out[:, t] = correlation * out[:, t - 1] + np.sqrt(1 - correlation**2) * steps[:, t]
    return out


def joint_effect(actions: np.ndarray) -> np.ndarray:
    """Mean outcome of actions that are held, shape (..., 3)."""
    tv, radio, leaflets = np.moveaxis(actions, -1, 0)
    return np.asarray(np.tanh(tv) + 0.5 * radio + 0.4 * np.sin(1.2 * leaflets) + 0.2 * leaflets)


def score(seed: int, kind: str, rate: float, held: int, quick: bool) -> list[Row]:
    """Coverage and errors of three fits of a panel."""
    frame = panel(seed, rate, held, KINDS[kind], 40 if quick else WEEKS)
    order = {"unit": "region", "time": "week"}
    data = bi.RegimeData.from_frame(frame, ACTIONS, "y", "regime", **order)
    points = 1.5 * np.random.default_rng(seed + 10_000).normal(size=(POINTS, len(ACTIONS)))
    rows = []
    for fit, adstock in zip(FITS, (bi.Adstock(), bi.Adstock(rate), None), strict=True):
        own = None if adstock is None else dict.fromkeys(ACTIONS, adstock)
        model = bi.models.additive(carryover=own)
        posterior = bi.fit(data, model, method="laplace", progress=False)
        effects, truth = posterior.joint_effect(points), joint_effect(points)
        of_fit = (*scores(effects, truth), *scores(halves(effects), halves(truth)))
        names = (COLUMNS[0], COLUMNS[2], COLUMNS[1], COLUMNS[3])
        rates = [adstock.rate for adstock in posterior.terms.carryover.values()]
        rows.append(
            {"seed": seed, "kind": kind, "rate": rate, "held": held, "quick": quick, "fit": fit}
            | {name: f"{value:.5f}" for name, value in zip(names, of_fit, strict=True)}
            | {"rates": " ".join(map(str, rates))}
        )
    return rows


def halves(values: xr.DataArray | np.ndarray) -> np.ndarray:
    """Changes from every second point to the one after it."""
    values = np.asarray(values)
    return values[..., 1::2] - values[..., ::2]


def scores(draws: xr.DataArray | np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Coverage of intervals, and root mean square error of means."""
    draws = np.asarray(draws)
    return coverage(draws, truth, LEVEL), rms(draws.mean(axis=(0, 1)) - truth)


def summary(rows: list[dict[str, str]]) -> list[Row]:
    """Means over panels of each kind, rate and duration of settings, for each fit."""
    lines = []
    for kind, rate, held, fit in dict.fromkeys(map(_setting, rows)):
        own = [row for row in rows if _setting(row) == (kind, rate, held, fit)]
        line: Row = {"kind": kind, "rate": rate, "held": held, "fit": fit, "panels": len(own)}
        for name in COLUMNS:
            values = column(own, name).tolist()
            mean, error = mean_and_error(values) if len(own) > 1 else (values[0], np.nan)
            line |= {name: f"{mean:.3f}", f"standard error of {name}": f"{error:.3f}"}
        lines.append(line)
    return lines


def _setting(row: dict[str, str]) -> tuple[str, str, str, str]:
    return row["kind"], row["rate"], row["held"], row["fit"]


def plot(lines: Sequence[Row], path: Path) -> None:
    """Coverage of effects and changes against the rate."""
    panels = list(dict.fromkeys((line["kind"], line["held"]) for line in lines))
    figure, axes = plt.subplots(
        2, len(panels), figsize=(3 * len(panels), 5), sharex=True, sharey=True, squeeze=False
    )
    for (kind, held), of_panel in zip(panels, axes.T, strict=True):
        for name, ax in zip(COLUMNS[:2], of_panel, strict=True):
            for fit in FITS:
                own = [x for x in lines if (x["kind"], x["held"], x["fit"]) == (kind, held, fit)]
                error_bars(ax, own, "rate", name, f"standard error of {name}", fmt="o-", label=fit)
            ax.axhline(LEVEL, color="0.7", zorder=0)
            ax.set(ylim=(0, 1))
        of_panel[0].set(title=f"{kind} causes,\nsettings held {held} weeks")
        of_panel[1].set(xlabel="rate of carry-over")
    axes[0, 0].set(ylabel="effects: coverage of 90%")
    axes[1, 0].set(ylabel="changes: coverage of 90%")
    legend(axes[0, 0], loc="lower left")
    figure.tight_layout()
    save_figure(figure, path)


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; a quick run has few and short panels."""
    parser = arguments(__doc__, models=24)
    add_kinds(parser, KINDS)
    parser.add_argument("--seed", type=int, default=40_000, help="of the first panel")
    args = parser.parse_args(words)
    args.models = 1 if args.quick else args.models
    return args


def jobs_of(args: argparse.Namespace) -> list[Row]:
    """All settings of each panel, by seed, so that an interrupted run has some of every kind."""
    settings = product(args.kinds or KINDS, RATES[::2] if args.quick else RATES, HELD)
    every = [dict(zip(("kind", "rate", "held"), own, strict=True)) for own in settings]
    return [
        {"seed": args.seed + i, **own, **options(args, "quick")}
        for i in range(args.models)
        for own in every
    ]


def main() -> None:
    """Run from the command line."""
    args = parse_arguments()
    command = command_of("carryover", args, "models", "seed")
    _, lines = publish_study("carryover", args, score, jobs_of(args), command, summary)
    plot(lines, args.output / "carryover")


if __name__ == "__main__":
    main()
