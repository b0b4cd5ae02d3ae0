"""Picture of the values of each action in each regime."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import MAX_DISTINCT, Categories
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.plots.bands import add_legend, name_levels, number_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours of set and of observed actions.
SET_COLOR, OBSERVED_COLOR = "C1", "C0"
# Maximum range of an action with a linear axis, in robust standard deviations.
MAX_LINEAR_RANGE = 15.0
# Area of a dot for all rows of a regime, in square points.
MAX_DOT_AREA = 160.0
# Intervals of the rows of a regime, and the widths of their lines in points.
INTERVALS = {0.99: 1, 0.9: 4, 0.5: 9}


def plot_overlap(
    names: Sequence[str],
    categories: Sequence[Categories | None],
    actions: Array,
    intervened: NDArray[np.bool_],
    regimes: Mapping[tuple[bool, ...], str],
    points: Array | None = None,
) -> "Figure":
    """Draw the values of each action in each regime: a panel per action, a line per regime.

    Parameters
    ----------
    names : sequence of str, length K
    categories : sequence of Categories or None, length K
    actions, intervened : ndarray, shape (N, K)
        Actions of all rows, and whether they were set.
    regimes : mapping from mask to label
    points : ndarray, shape (M, K), optional
        Points to mark by lines across the panels.

    Examples
    --------
    >>> labels = {mask: data.label(mask) for mask in data.regimes}
    >>> rows = data.actions, data.intervened
    >>> figure = plot_overlap(data.names, data.categories, *rows, labels)
    >>> [ax.get_xlabel() for ax in figure.axes]
    ['red', 'green']
    """
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(
        1, len(names), squeeze=False, sharey=True, layout="constrained",
        figsize=(1.6 + 2.4 * len(names), 1.6 + 0.36 * len(regimes)),
    )  # fmt: skip
    heights = range(len(regimes))[::-1]
    members = {mask: (intervened == mask).all(axis=1) for mask in regimes}
    for k, (ax, name, levels) in enumerate(zip(panels[0], names, categories, strict=True)):
        if levels is None:
            _scale_axis(ax, Coordinate.of(actions[:, k]))
        for height, (mask, rows) in zip(heights, members.items(), strict=True):
            color = SET_COLOR if mask[k] else OBSERVED_COLOR
            _draw_regime(ax, actions[rows, k], height, color, levels is not None)
        for value in () if points is None else np.unique(points[:, k]):
            ax.axvline(value, color="k", linestyle=":", linewidth=1)
        if levels is None:
            number_axes(ax, "x")
        else:
            name_levels(ax, levels.codes, levels.labels)
        ax.set_xlabel(name, parse_math=False)
        ax.margins(0.05 if levels is None else 0.15, 0.12)
    panels[0, 0].set_yticks(heights, regimes.values(), parse_math=False)
    has_dots = any(ax.collections for ax in figure.axes)
    _add_legend(figure, has_dots=has_dots, has_points=points is not None)
    return figure


def _scale_axis(ax: "Axes", coordinate: Coordinate) -> None:
    """Use the scale of the action in the model if its tails are long."""
    if coordinate.high - coordinate.low > MAX_LINEAR_RANGE * coordinate.spread:
        ax.set_xscale("function", functions=(coordinate.transform, coordinate.inverse_transform))
        at = coordinate.inverse_transform(np.linspace(*coordinate.ends, 3))
        ax.set_xticks([float(f"{value:.1g}") for value in at], minor=False)


def _draw_regime(ax: "Axes", values: Array, height: float, color: str, dots: bool) -> None:
    """Draw one action in one regime: a dot per distinct value if they are few, else intervals."""
    distinct, counts = np.unique(values, return_counts=True)
    if dots or len(distinct) <= MAX_DISTINCT:
        area = MAX_DOT_AREA * counts / len(values)
        ax.scatter(distinct, np.full(len(distinct), height), area, color=color, linewidth=0)
        return
    for share, width in INTERVALS.items():
        ends = np.quantile(values, [(1 - share) / 2, (1 + share) / 2])
        ax.plot(ends, [height] * 2, color=color, linewidth=width, solid_capstyle="butt")
    ax.plot(np.median(values), height, marker="|", color="white", markersize=9)


def _add_legend(figure: "Figure", *, has_dots: bool, has_points: bool) -> None:
    from matplotlib.lines import Line2D

    colors = {"set": SET_COLOR, "observed": OBSERVED_COLOR}
    handles = {name: Line2D([], [], color=color, linewidth=6) for name, color in colors.items()}
    if has_points:
        handles["points"] = Line2D([], [], color="k", linestyle=":")
    add_legend(figure, handles)
    title = "50, 90 and 99% of the rows of each regime"
    if has_dots:
        title += ";\nfor levels and few values, dot area is the share of rows"
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
