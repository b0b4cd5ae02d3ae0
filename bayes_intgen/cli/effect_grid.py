"""Joint effects along several actions as a grid of panels."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

from bayes_intgen._arguments import probability
from bayes_intgen.basis.categories import Label, short_label
from bayes_intgen.errors import PointsError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayes_intgen.api.posterior import Posterior

MAX_COLUMNS = 3
# Size of a panel and minimum width of the figure, in inches.
PANEL_WIDTH, PANEL_HEIGHT, MIN_WIDTH = 4.4, 3.6, 6.4
# Characters of the title per panel, and their minimum number per line.
TITLE_WIDTH, MIN_TITLE_WIDTH = 58, 84


def plot_effect_grid(
    posterior: "Posterior",
    actions: Sequence[str],
    at: Mapping[str, Label],
    *,
    level: float = 0.9,
) -> "Figure":
    """Plot the joint effect along each of some actions, with one legend.

    Parameters
    ----------
    posterior : Posterior
    actions : sequence of str
        One panel each.
    at : mapping from action to value
        Values of all actions; each panel replaces that of its own action.
    level : float
        Probability of the outer band and of the band of outcomes.

    Examples
    --------
    >>> figure = plot_effect_grid(posterior, ["red", "green"], {"red": 0.0, "green": 0.5})
    >>> [ax.get_xlabel() for ax in figure.axes]
    ['red', 'green']
    """
    import matplotlib.pyplot as plt

    level = probability(level, "level", PointsError)
    columns = min(len(actions), MAX_COLUMNS)
    rows = -(-len(actions) // columns)
    size = max(PANEL_WIDTH * columns, MIN_WIDTH), PANEL_HEIGHT * rows + 0.6
    figure, axes = plt.subplots(
        rows, columns, figsize=size, layout="constrained", squeeze=False, sharey=True
    )
    for ax, name in zip(axes.flat, actions, strict=False):
        others = {other: value for other, value in at.items() if other != name}
        posterior.plot_joint_effect(
            name, others, levels=sorted({0.5, level}),
            predictive=level, ax=ax,
        )  # fmt: skip
        ax.set_title("")
        ax.get_legend().remove()
        ax.set_ylabel("")
    for ax in axes.flat[len(actions) :]:
        ax.remove()
    _add_legend(figure, columns)
    figure.supylabel(
        f"mean of {posterior.outcome_name}, all actions set", fontsize=10, parse_math=False
    )
    width, title = max(TITLE_WIDTH * columns, MIN_TITLE_WIDTH), ""
    fixed = {name: value for name, value in at.items() if [name] != list(actions)}
    if fixed:
        values = ", ".join(f"{name} = {short_label(value)}" for name, value in fixed.items())
        title = fill(f"Values of actions that are not on the axis: {values}", width)
    over = posterior.averages.description
    if title or over:
        title = "\n".join(filter(None, [title, fill(over and f"Population: {over}", width)]))
        figure.suptitle(title, fontsize=9, x=0.01, ha="left", parse_math=False)
    return figure


def _add_legend(figure: "Figure", columns: int) -> None:
    """Add one legend of the elements of all panels, which differ in hatching."""
    handles = {
        label: handle
        for ax in figure.axes
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    ncols = 5 if columns > 1 else 3
    figure.legend(handles.values(), handles, loc="outside lower left", ncols=ncols, frameon=False)
