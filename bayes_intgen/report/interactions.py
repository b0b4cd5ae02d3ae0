"""Interactions in the report: heat maps over two actions, and a table of their sizes.

Colours are transparent near zero, so that they suit a light and a dark page.
"""

from base64 import b64encode
from io import BytesIO
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.image import imsave

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import short_label
from bayes_intgen.plots.bands import HATCHES
from bayes_intgen.plots.interaction import cell_edges, largest_supported, runs_of_cells
from bayes_intgen.posterior.draws import PosteriorDraws, central
from bayes_intgen.posterior.surfaces import interaction_sd, interaction_surface
from bayes_intgen.report.charts import CHARACTER_WIDTH, MIN_LEFT, Tick, scale, shortened, ticks
from bayes_intgen.text.formats import format_estimate, format_number

# Maximum number of pairs in the report, and number of values along each action.
MAX_PAIRS, N_POINTS = 6, 31
WIDTH, HEIGHT = 320, 250
TOP, BOTTOM = 24, 44
# Maximum number of characters of a label of the vertical axis, and of the title of an axis.
MAX_LABEL, MAX_TITLE = 12, 30
# Width of the colour bar, and its distances from the map and to its labels, in pixels.
BAR_WIDTH, BAR_GAP, LABEL_GAP = 10, 10, 5
# Colours of positive and negative values, and of widths; the style sheet has the same for the bars.
POSITIVE, NEGATIVE, WIDE = (206, 74, 62), (58, 122, 204), (132, 100, 186)


def interactions_of(posterior: PosteriorDraws, default: Array, level: float) -> dict[str, Any]:
    """Collect heat maps and sizes, the strongest interaction first.

    Parameters
    ----------
    posterior : PosteriorDraws
    default : ndarray, shape (K,)
        Values of the other actions where support is checked.
    level : float
        Probability of the bands.

    Examples
    --------
    >>> interactions_of(posterior, np.zeros(2), 0.9)
    {'pairs': [], 'more': 0, 'names': []}
    """
    sizes = interaction_sd(posterior)
    order = np.argsort(-sizes["sd_of_mean"].to_numpy(), kind="stable")
    first, second = (sizes[name].to_numpy()[order].tolist() for name in ("first", "second"))
    draws = np.concatenate(sizes["sd"].to_numpy()[..., order])
    mean, low, high = central(draws, level).values()
    pairs = []
    for i, (one, other) in enumerate(zip(first[:MAX_PAIRS], second[:MAX_PAIRS], strict=True)):
        surface = interaction_surface(posterior, one, other, default, size=N_POINTS, level=level)
        sd, band = format_estimate(mean[i], low[i], high[i])
        pairs.append(
            {
                "first": one,
                "second": other,
                "mean": draw_heat_map(surface, "mean"),
                "half_width": draw_heat_map(surface, "half_width"),
                "sd": sd,
                "band": band,
                "share": f"{mean[i] / posterior.terms.unit:.1%}",
            }
        )
    names = [f"{one} and {other}" for one, other in zip(first, second, strict=True)]
    return {"pairs": pairs, "more": max(len(order) - MAX_PAIRS, 0), "names": names}


def draw_heat_map(surface: xr.Dataset, name: str) -> dict[str, Any]:
    """Draw one variable of a surface from `interaction_surface`, ``mean`` or ``half_width``.

    Returns
    -------
    dict
        Of a map of 320 by 250 pixels with a colour bar on the right: ``left`` and ``right``, its
        ends; ``image``, a PNG as an address; ``kind``, the gradient of the bar; ticks and titles
        of the axes; ``beyond``, a path around unsupported points for each reason why.

    Examples
    --------
    >>> surface = xr.Dataset(
    ...     {
    ...         "mean": (("x", "y"), [[-1.0, 0.5, 1.0], [2.0, 0.0, 1.0]]),
    ...         "why": (("x", "y"), np.full((2, 3), "")),
    ...     },
    ...     coords={"x": [0.0, 1.0], "y": [0.0, 1.0, 2.0]},
    ...     attrs={"first": "red", "second": "green"},
    ... )
    >>> [tick.label for tick in draw_heat_map(surface, "mean")["bar_ticks"]][2:]
    ['0', '1', '2']
    """
    values, largest = surface[name].to_numpy(), largest_supported(surface, name)
    low = -largest if name == "mean" else 0.0
    bar = {v: format_number(v) for v in ticks(low, largest, 5)}
    bar_labels = round(CHARACTER_WIDTH * max(map(len, bar.values())))
    right = WIDTH - BAR_GAP - BAR_WIDTH - LABEL_GAP - bar_labels
    labels = _labels(surface, "y")
    longest = max(min(len(label), MAX_LABEL) for label in labels.values())
    left = max(MIN_LEFT, round(14 + CHARACTER_WIDTH * longest))
    (x_low, *_, x_high), (y_low, *_, y_high) = edges = [cell_edges(surface, d) for d in "xy"]
    x, y = scale(x_low, x_high, left, right), scale(y_low, y_high, HEIGHT - BOTTOM, TOP)
    along = _labels(surface, "x")
    room = max(int((right - left) / len(along) / CHARACTER_WIDTH), 2)
    why, ends = surface["why"].to_numpy(), (x(edges[0]), y(edges[1]))
    runs = {words: runs_of_cells(*ends, why == words) for words in HATCHES}
    at = scale(low, largest, HEIGHT - BOTTOM, TOP)
    return {
        "left": left,
        "right": right,
        "image": _image(values / largest, signed=name == "mean"),
        "kind": "diverging" if name == "mean" else "sequential",
        "x_ticks": [Tick(float(x(v)), shortened(t, room), t) for v, t in along.items()],
        "y_ticks": [Tick(float(y(v)), shortened(t, MAX_LABEL), t) for v, t in labels.items()],
        "bar_ticks": [Tick(float(at(v)), label) for v, label in bar.items()],
        "x_title": shortened(surface.attrs["first"], MAX_TITLE),
        "y_title": shortened(surface.attrs["second"], MAX_TITLE),
        "beyond": {
            words: "".join(f"M{a:.1f} {c:.1f}H{b:.1f}V{d:.1f}H{a:.1f}Z" for a, b, c, d in own)
            for words, own in runs.items()
            if own
        },
    }


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
