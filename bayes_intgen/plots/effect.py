"""Picture of the joint effect along one action."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_intgen._arguments import probabilities
from bayes_intgen.basis.categories import short_label
from bayes_intgen.errors import PointsError
from bayes_intgen.plots.bands import (
    draw_bands,
    hatch_unsupported,
    name_levels_of,
    on_axis,
    with_population,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_effect(
    curve: xr.Dataset,
    *,
    levels: Sequence[float] = (0.5, 0.9),
    color: str = "C0",
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw a curve from `effect_along`; see :meth:`bayes_intgen.Posterior.plot_joint_effect`."""
    import matplotlib.pyplot as plt

    levels = probabilities(levels, "levels", PointsError)
    draws = curve["effect"].to_numpy().reshape(-1, curve.sizes["point"])
    along, draws = on_axis(curve, draws)
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    draw_bands(ax, along, draws, levels, color)
    if "outcome" in curve:
        _, ends = on_axis(curve, curve["outcome"].to_numpy())
        label = f"{curve.attrs['predictive']:.0%} of outcomes"
        lines = ax.plot(along, ends.T, color=color, linestyle=":", linewidth=1.2, label="_")
        lines[0].set_label(label)
    if "supported" in curve:
        supported = curve["supported"].to_numpy()
        hatch_unsupported(ax, along, np.repeat(supported, len(along) // len(supported)))
    _label_axes(ax, curve)
    return ax


def _label_axes(ax: "Axes", curve: xr.Dataset) -> None:
    """Name the action, the effect, and the values of the other actions."""
    actions, name = curve["action"].to_numpy().tolist(), curve.attrs["along"]
    name_levels_of(ax, curve)
    # Names are no formulas, whatever dollar signs they have.
    ax.set_xlabel(name, parse_math=False)
    # The mean of zeros and ones is the probability of a one.
    given = f"| do({', '.join(actions)})"
    binary = curve.attrs.get("outcome_kind") == "binary"
    effect = (
        f"P({curve.attrs['outcome']} = 1 {given})"
        if binary
        else (f"E[{curve.attrs['outcome']} {given}]")
    )
    ax.set_ylabel(effect, parse_math=False)
    if curve.attrs.get("outside_0_1"):
        for bound in (0, 1):
            ax.axhline(bound, color="0.4", linestyle="--", linewidth=0.8, zorder=0.5)
    values = zip(actions, curve["value"].to_numpy()[:, 0].tolist(), strict=True)
    title = ", ".join(f"{n} = {short_label(value)}" for n, value in values if n != name)
    ax.set_title(with_population(title, curve, 72), fontsize="medium", parse_math=False)
    # Opaque enough to be readable over hatching.
    ax.legend(framealpha=0.85, edgecolor="none")
