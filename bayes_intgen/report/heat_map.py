"""Coordinates of heat maps over two actions, for a template that draws them as SVG.

Colours are transparent near zero, so that they suit a light and a dark page.
"""

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import xarray as xr
from matplotlib.image import imsave

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import short_label
from bayes_intgen.plots.interaction import (
    cell_edges,
    largest_supported,
    runs_of_cells,
    supported_cells,
)
from bayes_intgen.report.charts import CHARACTER_WIDTH, MIN_LEFT, Tick, scale, shortened, ticks
from bayes_intgen.text.number_format import format_number

WIDTH, HEIGHT = 320, 250
TOP, BOTTOM = 24, 44
# Maximum number of characters of a label of the vertical axis, and of the title of an axis.
MAX_LABEL, MAX_TITLE = 12, 30
# Width of the colour bar, and its distances from the map and to its labels, in pixels.
BAR_WIDTH, BAR_GAP, LABEL_GAP = 10, 10, 5
# Colours of positive and negative values, and of widths; the style sheet has the same for the bars.
POSITIVE, NEGATIVE, WIDE = (206, 74, 62), (58, 122, 204), (132, 100, 186)


@dataclass(frozen=True)
class HeatMap:
    """A heat map of 320 by 250 pixels, with a colour bar on the right.

    Attributes
    ----------
    left, right : int
        Ends of the map.
    image : str
        Picture of the cells, as the address of a PNG within the page.
    kind : {"diverging", "sequential"}
        Gradient of the colour bar.
    x_ticks, y_ticks, bar_ticks : tuple of Tick
    x_title, y_title : str
    beyond : str
        Path around the points that are not supported, empty if all are.
    """

    left: int
    right: int
    image: str
    kind: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    bar_ticks: tuple[Tick, ...]
    x_title: str
    y_title: str
    beyond: str


def draw_heat_map(surface: xr.Dataset, name: str) -> HeatMap:
    """Draw one variable of a surface from `interaction_surface`, ``mean`` or ``half_width``.

    Examples
    --------
    >>> surface = xr.Dataset(
    ...     {"mean": (("x", "y"), [[-1.0, 0.5, 1.0], [2.0, 0.0, 1.0]])},
    ...     coords={"x": [0.0, 1.0], "y": [0.0, 1.0, 2.0]},
    ...     attrs={"first": "red", "second": "green"},
    ... )
    >>> [tick.label for tick in draw_heat_map(surface, "mean").bar_ticks][2:]
    ['0', '1', '2']
    """
    values, reach = surface[name].to_numpy(), largest_supported(surface, name)
    low = -reach if name == "mean" else 0.0
    bar = {v: format_number(v) for v in ticks(low, reach, 5)}
    bar_labels = round(CHARACTER_WIDTH * max(map(len, bar.values())))
    right = WIDTH - BAR_GAP - BAR_WIDTH - LABEL_GAP - bar_labels
    labels = _labels(surface, "y")
    longest = max(min(len(label), MAX_LABEL) for label in labels.values())
    left = max(MIN_LEFT, round(14 + CHARACTER_WIDTH * longest))
    (x_low, *_, x_high), (y_low, *_, y_high) = edges = [cell_edges(surface, d) for d in "xy"]
    x, y = scale(x_low, x_high, left, right), scale(y_low, y_high, HEIGHT - BOTTOM, TOP)
    along = _labels(surface, "x")
    room = int((right - left) / len(along) / CHARACTER_WIDTH)
    runs = runs_of_cells(x(edges[0]), y(edges[1]), ~supported_cells(surface))
    at = scale(low, reach, HEIGHT - BOTTOM, TOP)
    return HeatMap(
        left,
        right,
        _image(values / reach, signed=name == "mean"),
        "diverging" if name == "mean" else "sequential",
        tuple(Tick(float(x(v)), shortened(t, max(room, 2)), t) for v, t in along.items()),
        tuple(Tick(float(y(v)), shortened(t, MAX_LABEL), t) for v, t in labels.items()),
        tuple(Tick(float(at(v)), label) for v, label in bar.items()),
        shortened(surface.attrs["first"], MAX_TITLE),
        shortened(surface.attrs["second"], MAX_TITLE),
        "".join(f"M{a:.1f} {c:.1f}H{b:.1f}V{d:.1f}H{a:.1f}Z" for a, b, c, d in runs),
    )


def _labels(surface: xr.Dataset, dim: str) -> dict[float, str]:
    """Labels along an axis: of its levels, or at round values."""
    if f"{dim}_label" in surface.coords:
        names = surface[f"{dim}_label"].to_numpy().tolist()
        return {float(i): short_label(name) for i, name in enumerate(names)}
    values = surface[dim].to_numpy()
    return {v: format_number(v) for v in ticks(float(values[0]), float(values[-1]), 4)}


def _image(shares: Array, *, signed: bool) -> str:
    """PNG with a pixel for each cell, opaque where a share of the largest value is one."""
    colours = np.where((shares > 0)[..., None], POSITIVE if signed else WIDE, NEGATIVE)
    opacity = 255 * np.minimum(np.abs(shares), 1.0)[..., None]
    pixels = np.concatenate([colours, opacity], axis=-1).round().astype(np.uint8)
    file = BytesIO()
    # Rows of a picture run down.
    imsave(file, np.ascontiguousarray(pixels.swapaxes(0, 1)[::-1]), format="png")
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"
