"""Picture of the graph over the actions."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_intgen._typing import Array
from bayes_intgen.text.edges import (
    LIKELY,
    edges_from,
    format_edge_probability,
    is_learned,
    pairs_without_evidence,
    shows_edges,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

# Padding of a name in font sizes; bend of an arrow, so that the two directions of a pair do not
# overlap; position of the probability along it, so that those of crossing arrows do not overlap.
_PADDING, _BEND, _LABEL_AT = 0.45, 0.12, 0.4


def plot_graph(graph: xr.DataArray, *, threshold: float, ax: "Axes | None" = None) -> "Axes":
    """Draw the edges, the actions on a circle; see :meth:`bayes_intgen.Posterior.plot_graph`."""
    import matplotlib.pyplot as plt

    names = graph["action"].to_numpy().tolist()
    # Two actions side by side, more with the first at the top.
    start, top = (np.pi, 0.4) if len(names) == 2 else (np.pi / 2, 1.3)
    if ax is None:
        size = 3.2 + 0.25 * len(names)
        _, ax = plt.subplots(figsize=(size + 0.8, size * top / 1.3), layout="constrained")
    angles = start - 2 * np.pi * np.arange(len(names)) / len(names)
    at = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    labels = [
        ax.text(
            x, y, name, ha="center", va="center", zorder=3, parse_math=False,
            bbox={"boxstyle": f"round,pad={_PADDING}", "facecolor": "white", "edgecolor": "0.4"},
        )
        for (x, y), name in zip(at, names, strict=True)
    ]  # fmt: skip
    edges, unknown = edges_from(graph, threshold), pairs_without_evidence(graph)
    for edge in edges:
        j, k = names.index(edge.parent), names.index(edge.action)
        _draw_edge(ax, labels[j], labels[k], at[j], at[k], edge.probability)
    title = f"Probability that one action moves another (from {threshold:g})"
    if unknown and not edges and not shows_edges(graph):
        title = "These experiments do not show\nwhich action moves which"
    else:
        for one, other in unknown:
            ends = at[[names.index(one), names.index(other)]]
            ax.plot(*ends.T, color="0.55", linestyle=":", zorder=1)
        if unknown:
            title += "\nDotted: these experiments do not show it"
        elif not edges and not is_learned(graph):
            title = "The graph was given: no action moves another"
        elif not edges:
            title = f"No action is likely to move another\n(probabilities below {threshold:g})"
    ax.set(xlim=(-1.35, 1.35), ylim=(-top, top), aspect="equal")
    ax.set_axis_off()
    ax.set_title(title, fontsize=10)
    return ax


def _draw_edge(
    ax: "Axes", source: "Text", target: "Text", start: Array, end: Array, probability: float
) -> None:
    """Draw one edge as an arrow, with its probability."""
    likely = probability >= LIKELY
    color = "C0" if likely else "0.55"
    ax.annotate(
        "", tuple(end.tolist()), tuple(start.tolist()), zorder=4,
        arrowprops={
            "arrowstyle": "-|>", "mutation_scale": 14, "color": color,
            "linewidth": 0.8 + 1.4 * probability, "linestyle": "-" if likely else "--",
            "connectionstyle": f"arc3,rad={_BEND}", "shrinkA": 1, "shrinkB": 2,
            "patchA": source.get_bbox_patch(), "patchB": target.get_bbox_patch(),
        },
    )  # fmt: skip
    # Bezier curve of matplotlib's "arc3": the control point is beside the middle of the line.
    across = end - start
    control = (start + end) / 2 + _BEND * np.array([across[1], -across[0]])
    t = _LABEL_AT
    x, y = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
    ax.text(
        x, y, format_edge_probability(probability), ha="center", va="center", fontsize=8,
        color=color if likely else "0.35", zorder=5,
        bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"},
    )  # fmt: skip
