"""Pictures of the joint effect: along an action, its mechanisms, sensitivity, contributions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_intgen._arguments import probabilities
from bayes_intgen.basis.categories import Categories, short_label
from bayes_intgen.errors import PointsError
from bayes_intgen.plots.bands import (
    LEVELS,
    add_legend,
    draw_bands,
    effect_label,
    name_levels,
    name_levels_of,
    number_axes,
    on_axis,
    shade_unsupported,
    values_in_words,
    with_population,
)
from bayes_intgen.text.formats import format_level

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Kinds of mechanisms as labels.
WORDS = {"unconfounded": "where set", "confounded": "where observed"}


def plot_effect(
    curve: xr.Dataset, levels: Sequence[float], color: str, ax: "Axes | None"
) -> "Axes":
    """Draw a curve from `effect_along`; see :meth:`bayes_intgen.Posterior.plot_joint_effect`."""
    import matplotlib.pyplot as plt

    levels = probabilities(levels, "levels", PointsError)
    draws = curve["effect"].to_numpy().reshape(-1, curve.sizes["point"])
    along, draws = on_axis(curve, draws)
    figure = None
    if ax is None:
        figure, ax = plt.subplots(layout="constrained")
    draw_bands(ax, along, draws, levels, color)
    if "outcome" in curve:
        _, ends = on_axis(curve, curve["outcome"].to_numpy())
        label = f"{format_level(curve.attrs['predictive'])} of outcomes"
        lines = ax.plot(along, ends.T, color=color, linestyle=":", linewidth=1.2, label="_")
        lines[0].set_label(label)
    why = np.repeat(curve["why"].to_numpy(), len(along) // curve.sizes["point"])
    shade_unsupported(ax, along, why)
    _label_axes(ax, curve)
    # In a figure of the user's other panels may have the same.
    if figure is not None:
        add_legend(figure)
    return ax


def _label_axes(ax: "Axes", curve: xr.Dataset) -> None:
    """Name the action, the effect, and the values of the other actions."""
    actions, name = curve["action"].to_numpy().tolist(), curve.attrs["along"]
    number_axes(ax)
    name_levels_of(ax, curve)
    # Names are no formulas, whatever dollar signs they have.
    ax.set_xlabel(name, parse_math=False)
    ax.set_ylabel(effect_label(curve.attrs), parse_math=False)
    if curve.attrs.get("outside_0_1"):
        for bound in (0, 1):
            ax.axhline(bound, color="0.4", linestyle="--", linewidth=0.8, zorder=0.5)
    at = dict(zip(actions, curve["value"].to_numpy()[:, 0].tolist(), strict=True))
    at.pop(name)
    title = with_population(values_in_words(at, 72), curve, 72)
    ax.set_title(title, fontsize="medium", parse_math=False)


def plot_bias(bias: xr.Dataset, levels: Categories | None, ax: "Axes | None") -> "Axes":
    """Draw the result of `bias_of_rows`; see :meth:`bayes_intgen.Posterior.plot_bias`."""
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    action, control, values = (bias[name].to_numpy() for name in ("action", "control", "bias"))
    # White is zero, and equal distances from zero are equally dark.
    largest = float(np.abs(values).max()) or 1.0
    dots = ax.scatter(action, control, 12, values, cmap="RdBu_r", vmin=-largest, vmax=largest)
    dots.set(edgecolor="0.6", linewidth=0.2)
    number_axes(ax)
    bar = ax.figure.colorbar(dots, ax=ax)
    number_axes(bar.ax, "y")
    bar.set_label(f"bias of {bias.attrs['outcome']}", parse_math=False)
    ax.set_xlabel(bias.attrs["action"], parse_math=False)
    ax.set_ylabel(f"control variable of {bias.attrs['action']}", parse_math=False)
    if levels is not None:
        name_levels(ax, levels.codes, levels.labels)
    return ax


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
        ax.set_ylabel(f"{WORDS[kind]}\n({curves[0].attrs['outcome']})", parse_math=False)
    return _finished(figure, curves[0], 40 * len(curves))


def _finished(figure: "Figure", curve: xr.Dataset, width: int) -> "Figure":
    """Say over whom the effects of a figure are averaged, and add a legend."""
    if population := with_population("", curve, width):
        figure.suptitle(population, fontsize=9, parse_math=False)
    add_legend(figure)
    return figure


def _draw_mechanism(ax: "Axes", curve: xr.Dataset) -> None:
    """Draw the prior in grey, the posterior over it, and the ratio of their widths as text."""
    draws = curve["posterior"].to_numpy().reshape(-1, curve.sizes["point"])
    # The posterior sets the axis; the prior may be far wider.
    least, most = np.quantile(draws, [0.05, 0.95], axis=0)
    reach = most.max() - least.min()
    ax.set_ylim(least.min() - reach, most.max() + reach)
    ends = (curve[name].to_numpy() for name in ("prior_low", "prior_high"))
    along, draws, low, high = on_axis(curve, draws, *ends)
    ax.fill_between(along, low, high, color="0.85", linewidth=0, label="90% of the prior")
    draw_bands(ax, along, draws, LEVELS, "C0")
    ax.text(
        0.03, 0.04, f"{float(curve['share']):.1%} of the prior's width", transform=ax.transAxes,
        fontsize=8, color="0.3",
        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1},
    )  # fmt: skip
    ax.margins(x=0.05 if "label" in curve.coords else 0)
    number_axes(ax)


def plot_sensitivity(correlated: xr.Dataset, independent: xr.Dataset) -> "Figure":
    """Draw `sensitivity`, a panel per point; see :meth:`bayes_intgen.Posterior.plot_sensitivity`.

    ``independent`` has the same points at ``rho = 0``.
    """
    import matplotlib.pyplot as plt

    count = correlated.sizes["point"]
    figure, panels = plt.subplots(
        1, count, squeeze=False, sharey=True, layout="constrained", figsize=(2.4 + 3 * count, 4.2)
    )
    for point, ax in enumerate(panels[0]):
        _draw_point(ax, correlated.isel(point=point), independent.isel(point=point, rho=0))
    panels[0, 0].set_ylabel(effect_label(correlated.attrs), parse_math=False)
    return _finished(figure, correlated, 40 * count + 20)


def _draw_point(ax: "Axes", correlated: xr.Dataset, independent: xr.Dataset) -> None:
    """Draw the bounds at one point."""
    along, effect = correlated["rho"].to_numpy(), float(correlated["effect"])
    ax.fill_between(
        along, correlated["low"], correlated["high"], color="C1", alpha=0.3, linewidth=0,
        label=f"{format_level(correlated.attrs['level'])} band, widened by the bound",
    )  # fmt: skip
    ax.fill_between(
        along, effect - correlated["above"], effect + correlated["below"], color="C1", alpha=0.45,
        linewidth=0, label="posterior mean, widened by the bound",
    )  # fmt: skip
    for end in (float(independent["low"]), float(independent["high"])):
        ax.axhline(end, color="C0", linewidth=1, linestyle=":")
    ax.axhline(effect, color="C0", label="posterior mean and band, causes independent")
    columns = (correlated[name].to_numpy().tolist() for name in ("action", "value"))
    title = values_in_words(dict(zip(*columns, strict=True)), 44)
    ax.set_title(title, fontsize=9, parse_math=False)
    ax.set_xlabel("maximum correlation of any two hidden causes")
    ax.margins(x=0)
    number_axes(ax)


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
    _draw_intervals(left, table, "contribution", "supported")
    left.set_xlabel(f"change of {outcome}", parse_math=False)
    left.set_title("what it brings", fontsize="medium")
    _draw_intervals(right, table, "next_cost" if per_cost else "next_unit", "next_supported")
    of, unit, title = "change", "unit of cost" if per_cost else "unit", "what its next unit brings"
    if "value" in table.attrs and per_cost:
        of, title = "value", f"{title} (dotted: what it costs)"
        right.axvline(1.0, color="0.3", linestyle=":", linewidth=1)
    right.set_xlabel(f"{of} of {outcome} per {unit}", parse_math=False)
    right.set_title(title, fontsize="medium")
    title = f"At the baseline; {format_level(table.attrs['level'])} intervals"
    if not (table["supported"] & table["next_supported"]).all():
        title += "; hollow where not supported"
    figure.suptitle(with_population(title, table, 110), fontsize=10, parse_math=False)
    return figure


def _draw_intervals(ax: "Axes", table: xr.Dataset, name: str, supported: str) -> None:
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
