"""Picture of the interaction of two actions."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import short_label
from bayes_intgen.plots.bands import (
    HATCHES,
    add_legend,
    name_levels,
    number_axes,
    runs,
    with_population,
)
from bayes_intgen.text.formats import format_level

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Grey over points that are not supported, so that their colours are pale.
VEIL = (0.94, 0.94, 0.94, 0.65)


def plot_interaction(surface: xr.Dataset) -> "Figure":
    """Draw `interaction_surface`; see :meth:`bayes_intgen.Posterior.plot_interaction`.

    The colours are scaled to the points that are supported; the others are pale.
    """
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, layout="constrained", figsize=(9.6, 4.2))
    largest, widest = (largest_supported(surface, name) for name in ("mean", "half_width"))
    # White is zero, and equal distances from zero are equally dark.
    _draw_panel(panels[0], surface, "mean", "posterior mean", ("RdBu_r", -largest, largest))
    words = f"half the width of the {format_level(surface.attrs['level'])} interval"
    _draw_panel(panels[1], surface, "half_width", words, ("viridis", 0.0, widest))
    title = f"Interaction of {surface.attrs['first']} and {surface.attrs['second']}"
    if (surface["why"] != "").any():
        title += "; pale where not supported"
        add_legend(figure)
    figure.suptitle(with_population(title, surface, 90), fontsize="medium", parse_math=False)
    return figure


def largest_supported(surface: xr.Dataset, name: str) -> float:
    """Largest absolute value at supported points, or anywhere if none is supported.

    Examples
    --------
    >>> cells = {"mean": [[-2.0, 1.0]], "why": [["", "outside the rows"]]}
    >>> surface = xr.Dataset({name: (("x", "y"), values) for name, values in cells.items()})
    >>> largest_supported(surface, "mean")
    2.0
    """
    values, supported = np.abs(surface[name].to_numpy()), surface["why"].to_numpy() == ""
    return float(values[supported].max() if supported.any() else values.max()) or 1.0


def _draw_panel(
    ax: "Axes", surface: xr.Dataset, name: str, title: str, colours: tuple[str, float, float]
) -> None:
    """Draw a surface with a colour bar, and cover what is not supported."""
    (x, y), (cmap, low, high) = (cell_edges(surface, dim) for dim in "xy"), colours
    values = surface[name].to_numpy()
    mesh = ax.pcolormesh(x, y, values.T, cmap=cmap, vmin=low, vmax=high)
    below, above = values.min() < low, values.max() > high
    extend = (("neither", "max"), ("min", "both"))[int(below)][int(above)]
    number_axes(ax)
    bar = ax.figure.colorbar(mesh, ax=ax, extend=extend)
    number_axes(bar.ax, "y")
    bar.set_label(surface.attrs["outcome"], parse_math=False)
    for words in HATCHES:
        _cover(ax, x, y, surface["why"].to_numpy() == words, words)
    if "x_label" in surface.coords:
        name_levels(ax, range(len(x) - 1), surface["x_label"].to_numpy().tolist())
    if "y_label" in surface.coords:
        names = [short_label(own) for own in surface["y_label"].to_numpy().tolist()]
        ax.set_yticks(range(len(names)), names, parse_math=False)
    ax.set_xlabel(surface.attrs["first"], parse_math=False)
    ax.set_ylabel(surface.attrs["second"], parse_math=False)
    ax.set_title(title, fontsize="medium")


def runs_of_cells(
    x: Array, y: Array, selected: NDArray[np.bool_]
) -> list[tuple[float, float, float, float]]:
    """Rectangles (left, right, low, high) of selected cells, shape (x, y), joined along y.

    Examples
    --------
    >>> runs_of_cells(np.arange(2.0), np.arange(3.0), np.array([[True, True]]))
    [(0.0, 1.0, 0.0, 2.0)]
    """
    return [
        (float(x[i]), float(x[i + 1]), float(y[first]), float(y[last]))
        for i, column in enumerate(selected)
        for first, last in runs(column)
    ]


def _cover(ax: "Axes", x: Array, y: Array, selected: NDArray[np.bool_], words: str) -> None:
    """Cover cells, shape (x, y), with a pale veil, which may be hatched."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if not selected.any():
        return
    cells = [
        Path([(a, c), (b, c), (b, d), (a, d), (a, c)], closed=True)
        for a, b, c, d in runs_of_cells(x, y, selected)
    ]
    # One path, so that the hatching runs through.
    ax.add_patch(
        PathPatch(
            Path.make_compound_path(*cells), facecolor=VEIL, edgecolor="0.7", hatch=HATCHES[words],
            linewidth=0, label=words,
        )
    )  # fmt: skip


def cell_edges(surface: xr.Dataset, dim: str) -> Array:
    """Ends of the cells along an axis, halfway between the values; levels are evenly spaced.

    Examples
    --------
    >>> cell_edges(xr.Dataset(coords={"x": [0.0, 1.0, 4.0]}), "x").tolist()
    [-0.5, 0.5, 2.5, 5.5]
    """
    values = surface[dim].to_numpy()
    if f"{dim}_label" in surface.coords:
        values = np.arange(len(values), dtype=float)
    inner = (values[1:] + values[:-1]) / 2
    half = np.diff(values)[[0, -1]] / 2 if len(values) > 1 else np.array([0.5, 0.5])
    return np.concatenate([values[:1] - half[0], inner, values[-1:] + half[1]])
