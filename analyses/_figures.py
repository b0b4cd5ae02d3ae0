"""Parts that the figures of several analyses share: scales, error bars, legends and files."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib

# Figures are only written to files.
matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator


def column(lines: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """Numbers of one column of a table."""
    return np.array([float(line[name]) for line in lines])


def error_bars(
    ax: Axes,
    lines: Sequence[Mapping[str, Any]],
    x: str,
    mean: str = "mean",
    error: str = "standard error",
    **style: Any,
) -> None:
    """Plot column ``mean`` with its standard errors against column ``x``."""
    ax.errorbar(column(lines, x), column(lines, mean), column(lines, error), capsize=3, **style)


def log_scale(ax: Axes, which: Literal["x", "y"], ticks: Iterable[float] | None = None) -> None:
    """Logarithmic scale with plain numbers at these ticks, by default at 1, 2, 5, 10, ..."""
    ax.set(**{f"{which}scale": "log"})
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if ticks is None else FixedLocator([*ticks]))
    axis.set_major_formatter("{x:,.10g}")
    axis.set_minor_locator(NullLocator())


def legend(ax: Axes, *entries: Any, **placement: Any) -> None:
    """Small legend without a frame."""
    ax.legend(*entries, frameon=False, fontsize=8, **placement)


def headroom(ax: Axes, share: float) -> None:
    """Extend the y axis by a share of its range, for a legend at the top."""
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + share * (high - low))


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG and SVG, and close it."""
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_suffix(suffix), dpi=150)
    plt.close(figure)
