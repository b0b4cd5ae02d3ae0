"""Pictures of effects with Matplotlib."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayes_intgen.bases import Array
from bayes_intgen.errors import PointsError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayes_intgen.posterior import Posterior


def plot_joint_effect(
    posterior: "Posterior",
    action: str,
    at: Mapping[str, float] | None = None,
    *,
    levels: Sequence[float] = (0.5, 0.9),
    predictive: float | None = None,
    size: int = 100,
    color: str = "C0",
    ax: "Axes | None" = None,
) -> "Axes":
    """As ``Posterior.plot_joint_effect``, of which this is the body.

    Examples
    --------
    >>> plot_joint_effect(posterior, "red", levels=[0.9]).get_ylabel()
    'E[intensity | do(red, green)]'
    """
    import matplotlib.pyplot as plt

    at = dict(at or {})
    for name in (action, *at):
        if name not in posterior.actions:
            raise PointsError(
                f"{name!r} is no action; the actions are {', '.join(map(repr, posterior.actions))}"
            )
    if action in at:
        raise PointsError(f"{action!r} runs along the axis and cannot be held in at")
    given = [*levels, *([] if predictive is None else [predictive])]
    if not levels or not all(0 < level < 1 for level in given):
        raise PointsError("levels and predictive must be probabilities between 0 and 1")

    coordinates = dict(zip(posterior.actions, posterior.terms.coordinates, strict=True))
    others = [name for name in posterior.actions if name != action]
    held = {name: float(at.get(name, coordinates[name].centre)) for name in others}
    along = np.linspace(coordinates[action].low, coordinates[action].high, size)
    points = np.stack(
        [along if name == action else np.full(size, held[name]) for name in posterior.actions],
        axis=1,
    )
    effect = posterior.joint_effect(points)
    draws = effect.stack(sample=("chain", "draw")).transpose("sample", "point").to_numpy()

    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    draw_bands(ax, along, draws, levels, color)
    if predictive is not None:
        # One noise for all points: the lines then show the bands and not the draws' chance.
        prediction, everything = posterior.prediction, np.ones(points.shape, dtype=bool)
        noise = prediction.standard_noise((*effect.shape[:2], 1), np.random.default_rng(0))
        outcomes = effect.to_numpy() + prediction.noise_sd(points, everything) * noise
        tails = [(1 - predictive) / 2, (1 + predictive) / 2]
        ends = np.quantile(outcomes, tails, axis=(0, 1))
        label = f"{predictive:.0%} of outcomes"
        for end in ends:
            ax.plot(along, end, color=color, linestyle=":", linewidth=1.2, label=label)
            label = "_"
    ax.set_xlabel(action)
    ax.set_ylabel(f"E[{effect.attrs['outcome']} | do({', '.join(posterior.actions)})]")
    if held:
        ax.set_title(", ".join(f"{name} = {value:.4g}" for name, value in held.items()))
    ax.legend(frameon=False)
    return ax


def draw_bands(ax: "Axes", along: Array, draws: Array, levels: Sequence[float], color: str) -> None:
    """The mean of draws, shape (sample, point), as a line with central bands.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> _, ax = plt.subplots()
    >>> draw_bands(ax, np.arange(3.0), np.zeros((10, 3)), [0.5, 0.9], "C0")
    >>> [text.get_label() for text in ax.collections]
    ['90% band', '50% band']
    >>> plt.close()
    """
    for i, level in enumerate(sorted(levels, reverse=True)):
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        # Inner bands are darker, in the legend too.
        alpha = 0.2 + 0.25 * i / max(len(levels) - 1, 1)
        ax.fill_between(
            along, low, high, color=color, alpha=alpha, linewidth=0, label=f"{level:.0%} band"
        )
    ax.plot(along, draws.mean(axis=0), color=color, label="posterior mean")
