"""Picture of prior and posterior of every mechanism."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import xarray as xr

from bayes_intgen.plots.bands import draw_bands, name_levels_of, on_axis, with_population

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_contraction(curves: Sequence[xr.Dataset]) -> "Figure":
    """Draw curves from `mechanism_curves`; see :meth:`bayes_intgen.Posterior.plot_contraction`.

    Each curve has a column of panels; each kind of mechanism has a row.
    """
    import matplotlib.pyplot as plt

    kinds = curves[0]["mechanism"].to_numpy().tolist()
    figure, panels = plt.subplots(
        len(kinds), len(curves), squeeze=False, sharex="col", layout="constrained",
        figsize=(1.2 + 3 * len(curves), 0.2 + 2.5 * len(kinds)),
    )  # fmt: skip
    for column, curve in zip(panels.T, curves, strict=True):
        for ax, kind in zip(column, kinds, strict=True):
            _draw_mechanism(ax, curve.sel(mechanism=kind))
        column[0].set_title(curve.attrs["along"], parse_math=False)
        name_levels_of(column[-1], curve)
        column[-1].set_xlabel(curve.attrs["along"], parse_math=False)
    for ax, kind in zip(panels[:, 0], kinds, strict=True):
        ax.set_ylabel(f"{kind} ({curves[0].attrs['outcome']})", parse_math=False)
    population = with_population("", curves[0], 40 * len(curves))
    if population:
        figure.supxlabel(population, fontsize=9, parse_math=False)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=4, frameon=False, fontsize=8)
    return figure


def _draw_mechanism(ax: "Axes", curve: xr.Dataset) -> None:
    """Draw the prior in grey, the posterior over it, and the ratio of their widths as text."""
    draws = curve["posterior"].to_numpy().reshape(-1, curve.sizes["point"])
    ends = (curve[name].to_numpy() for name in ("prior_low", "prior_high"))
    along, draws, low, high = on_axis(curve, draws, *ends)
    ax.fill_between(along, low, high, color="0.85", linewidth=0, label="prior, 68%")
    draw_bands(ax, along, draws, (0.683, 0.95), "C0")
    ax.text(
        0.03, 0.04, f"{float(curve['share']):.1%} of the prior's width", transform=ax.transAxes,
        fontsize=8, color="0.3",
        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1},
    )  # fmt: skip
    ax.margins(x=0.05 if "label" in curve.coords else 0)
