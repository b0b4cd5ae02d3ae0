"""Picture of what each action brings, and of its next unit."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_intgen.basis.categories import short_label
from bayes_intgen.plots.bands import number_axes, with_population

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_contributions(table: xr.Dataset) -> "Figure":
    """Draw `contributions`; see :meth:`bayes_intgen.Posterior.plot_contributions`."""
    import matplotlib.pyplot as plt

    outcome, per_cost = table.attrs["outcome"], bool(table["next_cost"].notnull().any())
    figure, (left, right) = plt.subplots(
        1, 2, sharey=True, layout="constrained", figsize=(9.6, 1.6 + 0.5 * table.sizes["action"])
    )
    columns = (table[name].to_numpy().tolist() for name in ("action", "baseline", "reference"))
    labels = [
        f"{name}\n{short_label(now)}"
        + (", its lowest" if now == then else f" against {short_label(then)}")
        for name, now, then in zip(*columns, strict=True)
    ]
    left.set_yticks(range(len(labels)), labels, parse_math=False)
    left.set_ylim(len(labels) - 0.5, -0.5)
    _draw(left, table, "contribution", "supported")
    left.set_xlabel(f"change of {outcome}", parse_math=False)
    left.set_title("what it brings", fontsize="medium")
    _draw(right, table, "next_cost" if per_cost else "next_unit", "next_supported")
    of, unit, title = "change", "unit of cost" if per_cost else "unit", "what its next unit brings"
    if "value" in table.attrs and per_cost:
        of, title = "value", f"{title} (dotted: what it costs)"
        right.axvline(1.0, color="0.3", linestyle=":", linewidth=1)
    right.set_xlabel(f"{of} of {outcome} per {unit}", parse_math=False)
    right.set_title(title, fontsize="medium")
    title = f"At the baseline; {table.attrs['level']:.0%} intervals"
    if not (table["supported"] & table["next_supported"]).all():
        title += "; hollow where not supported"
    figure.suptitle(with_population(title, table, 110), fontsize=10, parse_math=False)
    return figure


def _draw(ax: "Axes", table: xr.Dataset, name: str, supported: str) -> None:
    """Draw a dot and an interval for each action that has a number."""
    middle, low, high = (table[f"{name}{end}"].to_numpy() for end in ("", "_low", "_high"))
    within, at = table[supported].to_numpy(), np.arange(len(middle))
    ax.axvline(0, color="0.6", linewidth=0.8)
    for shown, face in ((within, "C0"), (~within, "white")):
        ends = [(middle - low)[shown], (high - middle)[shown]]
        ax.errorbar(
            middle[shown], at[shown], xerr=ends, fmt="o", color="C0", mfc=face, elinewidth=2
        )
    number_axes(ax, "x")
