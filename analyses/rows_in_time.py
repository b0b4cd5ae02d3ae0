"""Rows in time: coverage with and without what says which rows follow which, and what drifts.

    python analyses/rows_in_time.py [--models 16] [--seed 40000] [--kinds "shift, apart"]

Panels of 24 regions over 104 weeks and three channels, each of which is set in 16 weeks of six
regions; six regions have history only (``bi.simulators.WeeklyPanel``).

- drift: a step of the outcome by a third of its standard deviation, a slope of as much a year, or
  effects that grow by 30% a year, with history beside the experiments or the year before them.
- dependence: regions differ, and noise, or noise and hidden causes, are autocorrelated. Compared
  are fits with regions and weeks as group and covariate, and those that are also told that they
  are units and times.
- alike regions: the same without differences between regions, and without any of these columns.
- carry-over: actions act with geometric weights. Compared are fits that leave it out, and those
  with rates that are estimated, and with the true ones.

The question is the effect of actions that are held, at 200 joint settings drawn like those of the
experiments, and changes between pairs of these. Coverage is that of 90% intervals; results are
saved one by one, and an interrupted run resumes. The figure shows one panel with everything at
once, the first of the study, answered without these columns and with them.
"""

import argparse
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

import bayes_intgen as bi
from bayes_intgen.simulators import MarketingPanel, WeeklyPanel

from _figures import column, save_figure
from _scores import coverage, mean_and_error, rms
from _study import Row, add_kinds, arguments, command_of, options, publish_study

POINTS, LEVEL = 200, 0.9
# Columns that say how rows differ, and which follow which.
LEVELS = {"covariates": ["week"], "groups": ["region"]}
ORDER = {"unit": "region", "time": "week"}
# Words of the report of a fit about levels that rest on a trend, and about dependent rows.
WORDS = ("rests on", "resemble each other", "allow for a correlation")
COLUMNS = (
    "coverage of effects",
    "coverage of changes",
    "error of effects",
    "error of changes",
    "width of effects",
    "width of changes",
    "coverage of supported effects",
    "coverage of supported changes",
    "supported",
    "reported",
)


class Fit(NamedTuple):
    """Columns that a fit is told of, and its carry-over; the rate is the true one if it is known.

    Attributes
    ----------
    columns : mapping
    carryover : bool
    known : bool
    """

    columns: Mapping[str, Any]
    carryover: bool = False
    known: bool = False


FITS = {
    "drift": {"without": Fit({}), "with": Fit(LEVELS | ORDER)},
    "dependence": {"without": Fit(LEVELS), "with": Fit(LEVELS | ORDER)},
    "alike regions": {"without": Fit({}), "with": Fit(ORDER)},
    "carry-over": {
        "without": Fit(ORDER),
        "with": Fit(ORDER, carryover=True),
        "true rate": Fit(ORDER, carryover=True, known=True),
    },
}


def kinds() -> dict[str, tuple[str, dict[str, Any]]]:
    """Topic and options of the panels of each kind; a shift and a slope in the outcome's sds."""
    every: dict[str, tuple[str, dict[str, Any]]] = {}
    drifts = {"no drift": {}, "shift": {"shift": 1 / 3}, "slope": {"slope": 1 / 3}}
    for (name, drift), beside in product((drifts | {"growth": {"growth": 0.3}}).items(), (1, 0)):
        place = "beside" if beside else "apart"
        every[f"{name}, {place}"] = "drift", {**drift, "concurrent": bool(beside)}
    dependence = {"independent": (0.0, 0.0)}
    for size in (0.5, 0.8):
        dependence |= {f"noise {size}": (size, 0.0), f"noise and causes {size}": (size, size)}
    for (name, (noise, causes)), hold in product(dependence.items(), (1, 4)):
        own = {"noise": noise, "causes": causes, "hold": hold}
        every[f"{name}, held {hold}"] = "dependence", own
        if noise == causes and hold == 1:
            every[f"{name}, alike regions"] = "alike regions", own
    persistence = {"": 0.0, ", persistent causes": 0.8}
    for (name, size), rate, hold in product(persistence.items(), (0.0, 0.3, 0.6), (1, 8)):
        own = {"carryover": rate, "hold": hold, "noise": size, "causes": size}
        every[f"carry-over {rate}, held {hold}{name}"] = "carry-over", own
    return every


KINDS = kinds()
QUICK_KINDS = ("shift, beside", "shift, apart", "noise 0.8, held 4", "carry-over 0.6, held 8")


def world(kind: str, seed: int, quick: bool) -> WeeklyPanel:
    """A random panel; in a quick run with few regions and weeks."""
    topic, own = KINDS[kind]
    regions = MarketingPanel.random(
        3, seed, regions=12 if quick else 24, differences=float(topic == "dependence")
    )
    size = {"weeks": 40} if quick else {}
    panel = WeeklyPanel(regions, **size, **own)
    sd = float(replace(panel, shift=0.0, slope=0.0).frame(seed)["outcome"].std())
    return replace(panel, shift=panel.shift * sd, slope=panel.slope * sd)


def fitted(table: pd.DataFrame, panel: WeeklyPanel, how: Fit) -> bi.Posterior:
    """Fit a table of a panel."""
    data = bi.RegimeData.from_frame(table, panel.names, "outcome", "regime", **how.columns)
    rate = float(np.max(panel.carryover)) if how.known else None
    lasting = dict.fromkeys(panel.names if how.carryover else (), bi.Adstock(rate))
    model = bi.models.additive(carryover=lasting)
    return bi.fit(data, model, method="laplace", progress=False)


def score(seed: int, kind: str, quick: bool) -> list[Row]:
    """Coverage, errors and widths of the fits of a panel, and what they report."""
    panel, rows = world(kind, seed, quick), []
    table, base = panel.frame(seed), panel.panel.base
    points, _ = base.sample(panel.names, POINTS, np.random.default_rng(seed + 10_000))
    truth = panel.joint_effect(points)
    for name, how in FITS[KINDS[kind][0]].items():
        posterior = fitted(table, panel, how)
        rates = [adstock.rate for adstock in posterior.terms.carryover.values()]
        numbers = map("{:.5g}".format, answers(posterior, points, truth))
        rows.append(
            {"seed": seed, "kind": kind, "quick": quick, "fit": name}
            | dict(zip(COLUMNS, numbers, strict=True))
            | {"rates": " ".join(map(str, rates))}
        )
    return rows


def answers(posterior: bi.Posterior, points: np.ndarray, truth: np.ndarray) -> list[float]:
    """Numbers of ``COLUMNS``."""
    effects = np.asarray(posterior.joint_effect(points))
    known = np.asarray(posterior.support(points)["supported"])
    each = [
        (effects, truth, known),
        (
            effects[..., 1::2] - effects[..., ::2],
            truth[1::2] - truth[::2],
            known[1::2] & known[::2],
        ),
    ]
    report = str(posterior).replace("\n    ", " ")
    return [
        *(coverage(draws, true, LEVEL) for draws, true, _ in each),
        *(rms(draws.mean(axis=(0, 1)) - true) for draws, true, _ in each),
        *(float(draws.std(axis=(0, 1)).mean()) for draws, *_ in each),
        *(coverage(draws[..., own], true[own], LEVEL) for draws, true, own in each),
        float(known.mean()),
        float(any(words in report for words in WORDS)),
    ]


def summary(rows: list[dict[str, str]]) -> list[Row]:
    """Means over the panels of each kind for each fit; errors and widths over those without."""
    lines = []
    for kind, fit in dict.fromkeys((row["kind"], row["fit"]) for row in rows):
        own, without = (
            [row for row in rows if (row["kind"], row["fit"]) == (kind, one)]
            for one in (fit, "without")
        )
        line: Row = {"topic": KINDS[kind][0], "kind": kind, "fit": fit, "panels": len(own)}
        for name in COLUMNS[:2]:
            values = column(own, name).tolist()
            mean, error = mean_and_error(values) if len(own) > 1 else (values[0], np.nan)
            line |= {name: f"{mean:.3f}", f"standard error of {name}": f"{error:.3f}"}
        for name in COLUMNS[2:6]:
            ratio = np.exp(np.mean(np.log(column(own, name) / column(without, name))))
            line[f"{name}, ratio"] = f"{ratio:.3f}"
        # A panel may have no supported point.
        line |= {name: f"{np.nanmean(column(own, name)):.3f}" for name in COLUMNS[6:9]}
        rates = [float(rate) for row in own for rate in row["rates"].split()]
        line["reported"] = f"{column(own, 'reported').mean():.2f}"
        line["mean rate"] = f"{np.mean(rates):.2f}" if rates else ""
        lines.append(line)
    return lines


# One panel for the figure: its sales drift, depend on those of the week before, and last.
STORY = {"hold": 4, "noise": 0.8, "causes": 0.5, "carryover": 0.5}
ANSWERS = {
    "Rows as they come": Fit({}),
    "Regions, weeks, carry-over": Fit(LEVELS | ORDER, carryover=True),
}
BUDGETS = np.linspace(0.5, 1.5, 11)


def plot(seed: int, path: Path) -> None:
    """Sales at multiples of all budgets: a panel answered without what is known of rows, and with.

    Parameters
    ----------
    seed : int
    path : Path
    """
    panel = WeeklyPanel(MarketingPanel.random(3, seed), **STORY)
    table = panel.frame(seed)
    usual = table.loc[table["regime"] == "", list(panel.names)].mean().to_numpy()
    points = BUDGETS[:, None] * usual
    with plt.rc_context({"font.size": 15, "axes.titlesize": 15}):
        figure, axes = plt.subplots(1, 2, figsize=(1280 / 150, 4.6), sharex=True, sharey=True)
        for (title, how), ax in zip(ANSWERS.items(), axes, strict=True):
            with warnings.catch_warnings():
                # Without the columns it warns that neighbouring rows resemble each other.
                warnings.simplefilter("ignore", bi.BayesIntgenWarning)
                _answer(ax, np.asarray(fitted(table, panel, how).joint_effect(points)))
            ax.plot(BUDGETS, panel.joint_effect(points), "k--", lw=2.5, label="truth")
            ax.set(title=title, xlabel="all budgets, times the usual", xticks=(0.5, 1, 1.5))
        axes[0].set(ylabel="sales of a region and week")
        axes[0].legend(loc="lower right", frameon=False, fontsize=14)
        figure.tight_layout()
        save_figure(figure, path)


def _answer(ax: Axes, draws: np.ndarray) -> None:
    low, middle, high = np.quantile(draws, [0.05, 0.5, 0.95], axis=(0, 1))
    ax.fill_between(BUDGETS, low, high, alpha=0.3, lw=0, label="90% interval")
    ax.plot(BUDGETS, middle, lw=2.5)


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; a quick run has few kinds of few and short panels."""
    parser = arguments(__doc__, models=16)
    add_kinds(parser, KINDS)
    parser.add_argument("--seed", type=int, default=40_000, help="of the first panel")
    args = parser.parse_args(words)
    args.models = 1 if args.quick else args.models
    return args


def main() -> None:
    """Run from the command line."""
    args = parse_arguments()
    chosen = args.kinds or (QUICK_KINDS if args.quick else KINDS)
    jobs: list[Row] = [
        {"seed": args.seed + i, "kind": kind, **options(args, "quick")}
        for i in range(args.models)
        for kind in chosen
    ]
    command = command_of("rows_in_time", args, "models", "seed")
    publish_study("rows_in_time", args, score, jobs, command, summary)
    plot(args.seed, args.output / "rows_in_time")


if __name__ == "__main__":
    main()
