"""Picture of the sensitivity of the joint effect to correlated hidden causes."""

from typing import TYPE_CHECKING

import xarray as xr

from bayes_intgen.basis.categories import short_label
from bayes_intgen.plots.bands import with_population

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_sensitivity(correlated: xr.Dataset, independent: xr.Dataset) -> "Figure":
    """Draw `sensitivity`, a panel per point; see :meth:`bayes_intgen.Posterior.plot_sensitivity`.

    ``independent`` has the same points at ``rho = 0``.
    """
    import matplotlib.pyplot as plt

    count = correlated.sizes["point"]
    figure, panels = plt.subplots(
        1, count, squeeze=False, sharey=True, layout="constrained", figsize=(1.4 + 3 * count, 3.6)
    )
    for point, ax in enumerate(panels[0]):
        _draw_point(ax, correlated.isel(point=point), independent.isel(point=point, rho=0))
    names = ", ".join(correlated["action"].to_numpy())
    panels[0, 0].set_ylabel(f"E[{correlated.attrs['outcome']} | do({names})]", parse_math=False)
    population = with_population("", correlated, 40 * count + 20)
    if population:
        figure.suptitle(population, fontsize=9, parse_math=False)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", frameon=False, fontsize=8)
    return figure


def _draw_point(ax: "Axes", correlated: xr.Dataset, independent: xr.Dataset) -> None:
    """Draw the bounds at one point."""
    along, effect = correlated["rho"].to_numpy(), float(correlated["effect"])
    ax.fill_between(
        along, correlated["low"], correlated["high"], color="C1", alpha=0.3, linewidth=0,
        label=f"{correlated.attrs['level']:.0%} band, widened by the bound",
    )  # fmt: skip
    ax.fill_between(
        along, effect - correlated["above"], effect + correlated["below"], color="C1", alpha=0.45,
        linewidth=0, label="posterior mean, widened by the bound",
    )  # fmt: skip
    for end in (float(independent["low"]), float(independent["high"])):
        ax.axhline(end, color="C0", linewidth=1, linestyle=":")
    ax.axhline(effect, color="C0", label="posterior mean and band, causes independent")
    point = zip(
        correlated["action"].to_numpy(), correlated["value"].to_numpy().tolist(), strict=True
    )
    title = ", ".join(f"{name} = {short_label(value)}" for name, value in point)
    ax.set_title(title, fontsize=9, parse_math=False)
    ax.set_xlabel("maximum correlation of any two hidden causes")
    ax.margins(x=0)
