"""Joint effects along several actions as a grid of panels."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

from bayes_intgen._arguments import probability
from bayes_intgen.basis.categories import Label
from bayes_intgen.errors import PointsError
from bayes_intgen.plots.bands import LEVELS, add_legend, values_in_words

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
    outcomes: bool = False,
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
    outcomes : bool
        Draw a band of single outcomes too, dotted.

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
            name, others, levels=sorted({LEVELS[0], level}),
            predictive=level if outcomes else None, ax=ax,
        )  # fmt: skip
        ax.set_title("")
        label, _ = ax.get_ylabel(), ax.set_ylabel("")
    for ax in axes.flat[len(actions) :]:
        ax.remove()
    add_legend(figure)
    figure.supylabel(label, fontsize=10, parse_math=False)
    width, title = max(TITLE_WIDTH * columns, MIN_TITLE_WIDTH), ""
    fixed = {name: value for name, value in at.items() if [name] != list(actions)}
    if fixed:
        title = values_in_words(fixed, width)
        title = f"Values of actions that are not on the axis:\n{title}"
    over = posterior.averages.description
    if title or over:
        title = "\n".join(filter(None, [title, fill(over and f"Population: {over}", width)]))
        figure.suptitle(title, fontsize=9, x=0.01, ha="left", parse_math=False)
    return figure
