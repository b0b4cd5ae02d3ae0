"""Elements of pictures: bands of draws, segments at levels, and shading beyond support."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import short_label
from bayes_intgen.text.formats import format_level, format_number
from bayes_intgen.text.messages import BETWEEN, OUTSIDE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Probabilities of the bands of pictures.
LEVELS = (0.5, 0.9)
# Points that are not supported are pale, and hatched outside the rows.
HATCHES = {BETWEEN: "", OUTSIDE: "///"}
# Half the width of the segment at a level, as a share of the gap to the next level.
HALF_WIDTH = 0.3
# Maximum number of gaps between the ticks of a horizontal axis; characters of ticks and of legends
# per inch; characters of a vertical label.
MAX_GAPS, PER_INCH, SMALL_PER_INCH, LABEL_WIDTH = 4, 11, 14, 44


def on_axis(curve: xr.Dataset, *columns: Array) -> tuple[Array, ...]:
    """Positions along the axis and values there; separate segments for a curve over levels.

    Each level becomes three points: the ends of its segment, and NaN, which breaks a line.

    Parameters
    ----------
    curve : Dataset
        With the coordinate ``along`` and, over levels, ``label``.
    *columns : ndarray, shape (..., n)

    Examples
    --------
    >>> curve = xr.Dataset(coords={"along": ("point", [0.0, 1.0])})
    >>> [column.tolist() for column in on_axis(curve, np.array([5.0, 7.0]))]
    [[0.0, 1.0], [5.0, 7.0]]
    >>> curve = curve.assign_coords(label=("point", ["off", "on"]))
    >>> along, values = on_axis(curve, np.array([5.0, 7.0]))
    >>> along.round(2).tolist()
    [-0.3, 0.3, 0.5, 0.7, 1.3, 1.5]
    >>> values.tolist()
    [5.0, 5.0, nan, 7.0, 7.0, nan]
    """
    along = curve["along"].to_numpy()
    if "label" not in curve.coords:
        return along, *columns
    segments = [np.repeat(column, 3, axis=-1).astype(float) for column in columns]
    for column in segments:
        column[..., 2::3] = np.nan
    # Levels are evenly spaced, whatever numbers they are.
    offsets = np.array([-HALF_WIDTH, HALF_WIDTH, 0.5])
    return (np.arange(len(along))[:, None] + offsets).ravel(), *segments


def number_axes(ax: "Axes", which: str = "xy") -> None:
    """Write the numbers at the ticks of axes as texts do: 13,500 rather than 1.35e4.

    The horizontal axis has as many as do not run together, which Matplotlib does not see.
    """
    for name in which:
        axis = ax.xaxis if name == "x" else ax.yaxis
        axis.set_major_formatter(lambda value, _: format_number(value))
    is_linear = "x" in which and ax.get_xscale() == "linear"
    for gaps in range(MAX_GAPS, 0, -1) if is_linear else ():
        ax.locator_params(axis="x", nbins=gaps)
        low, high = sorted(ax.get_xlim())
        at = [float(value) for value in ax.get_xticks() if low <= value <= high]
        widest = max((len(format_number(value)) for value in at), default=0)
        between = np.diff(at).min(initial=high - low) / (high - low) * _room(ax)
        if widest < between:
            break


def name_levels(ax: "Axes", codes: Sequence[float], labels: Sequence[Any]) -> None:
    """Put ticks with the names of levels on the horizontal axis, aslant if they would overlap."""
    names = [short_label(label) for label in labels]
    style: dict[str, Any] = {}
    if len(names) * (1 + max(map(len, names))) > _room(ax):
        style = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(codes, names, parse_math=False, **style)


def name_levels_of(ax: "Axes", curve: xr.Dataset) -> None:
    """Put ticks at the levels of a curve over levels."""
    if "label" in curve.coords:
        name_levels(ax, range(curve.sizes["point"]), curve["label"].to_numpy().tolist())


def _room(ax: "Axes") -> float:
    """Number of characters that fit below axes."""
    return float(ax.get_window_extent().width / ax.figure.dpi * PER_INCH)


def effect_label(attrs: Mapping[str, Any]) -> str:
    """Label of an axis of the joint effect.

    Examples
    --------
    >>> effect_label({"outcome": "sales"})
    'mean of sales, all actions set'
    """
    # The mean of zeros and ones is the probability of a one.
    binary = attrs.get("outcome_kind") == "binary"
    of = f"P({attrs['outcome']} = 1)" if binary else f"mean of {attrs['outcome']}"
    return textwrap.fill(f"{of}, all actions set", LABEL_WIDTH)


def add_legend(figure: "Figure", handles: Mapping[str, Any] | None = None) -> None:
    """Add one legend below the panels of a figure, by default of what is in all of them."""
    handles = handles or {
        label: handle
        for ax in figure.axes
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    columns = int(figure.get_figwidth() * SMALL_PER_INCH / (6 + max(map(len, handles))))
    figure.legend(
        handles.values(), handles, loc="outside lower center", ncols=max(columns, 1),
        frameon=False, fontsize="small",
    )  # fmt: skip


def values_in_words(values: Mapping[str, Any], width: int) -> str:
    r"""Values of actions, in lines between which no value is broken.

    Examples
    --------
    >>> values_in_words({"red": 1.0, "green": 0.5}, 15)
    'red = 1,\ngreen = 0.5'
    """
    texts = (f"{name} = {short_label(value)}".replace(" ", "\0") for name, value in values.items())
    lines = textwrap.wrap(", ".join(texts), width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace("\0", " ")


def with_population(title: str, curve: xr.Dataset, width: int) -> str:
    r"""Add the population of an effect to a title, on lines of its own.

    Examples
    --------
    >>> with_population("red = 1", xr.Dataset(attrs={"population": "at age = 40"}), 60)
    'red = 1\nat age = 40'
    """
    words = textwrap.fill(curve.attrs.get("population", ""), width)
    return "\n".join(filter(None, [title, words]))


def draw_bands(ax: "Axes", along: Array, draws: Array, levels: Sequence[float], color: str) -> None:
    """Draw the mean of draws, shape (sample, point), as a line with central bands.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> _, ax = plt.subplots()
    >>> draw_bands(ax, np.arange(3.0), np.zeros((10, 3)), [0.5, 0.9], "C0")
    >>> [text.get_label() for text in ax.collections]
    ['90% band', '50% band']
    >>> plt.close()
    """
    for i, level in enumerate(sorted(levels, reverse=True)):
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        # Inner bands are darker, in the legend too.
        alpha = 0.2 + 0.25 * i / max(len(levels) - 1, 1)
        label = f"{format_level(level)} band"
        ax.fill_between(along, low, high, color=color, alpha=alpha, linewidth=0, label=label)
    ax.plot(along, draws.mean(axis=0), color=color, label="posterior mean")


def shade_unsupported(ax: "Axes", along: Array, why: NDArray[np.str_]) -> None:
    """Shade the intervals of an axis where rows do not identify the effect.

    Each interval ends halfway between its last point and the next one.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> _, ax = plt.subplots()
    >>> shade_unsupported(ax, np.arange(4.0), np.array(["", "", OUTSIDE, OUTSIDE]))
    >>> ax.patches[0].get_label(), float(ax.patches[0].get_x())
    ('outside the rows', 1.5)
    >>> plt.close()
    """
    for words, hatch in HATCHES.items():
        for i, (start, end) in enumerate(intervals_of(along, why == words)):
            ax.axvspan(
                start, end, facecolor="0.94", edgecolor="0.82", hatch=hatch, linewidth=0,
                zorder=0, label="_" if i else words,
            )  # fmt: skip


def intervals_of(along: Array, selected: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Find the ends of intervals of selected values, halfway to their neighbours.

    Examples
    --------
    >>> intervals_of(np.arange(4.0), np.array([False, False, True, True]))
    [(1.5, 3.0)]
    """
    edges = np.concatenate([along[:1], (along[1:] + along[:-1]) / 2, along[-1:]])
    return [(float(edges[first]), float(edges[last])) for first, last in runs(selected)]


def runs(selected: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First positions of runs of selected values, and those after their last ones.

    Examples
    --------
    >>> runs(np.array([False, True, True, False, True]))
    [(1, 3), (4, 5)]
    """
    ends = np.flatnonzero(np.diff(np.concatenate([[False], selected, [False]])))
    return [(first, last) for first, last in ends.reshape(-1, 2).tolist()]
