"""Pictures of effects with Matplotlib."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayes_intgen.advice import MAX_DISTINCT
from bayes_intgen.bases import Array
from bayes_intgen.categories import Categories, Label, decoded_table, short_label
from bayes_intgen.coordinate import Coordinate
from bayes_intgen.defaults import levels_of
from bayes_intgen.errors import ModelError, PointsError, SupportWarning
from bayes_intgen.questions import checked_points, checked_value, named_points
from bayes_intgen.rows import Observations

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bayes_intgen.posterior import Posterior

# Colours of actions that were set, and of those that were not.
SET, OBSERVED = "C1", "C0"
# Range of an action in robust standard deviations from which on its tail is drawn in.
LONG = 15.0
# Area in points of a dot that stands for all rows of a regime.
LARGEST_DOT = 160.0
# Half the width of a level's stretch, as a share of the gap to the next level, and its points.
HALF_WIDTH, STEP = 0.3, 3


def plot_joint_effect(
    posterior: "Posterior",
    action: str,
    at: Mapping[str, Label] | None = None,
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
    _refuse_unknown((action, *at), posterior)
    if action in at:
        raise PointsError(f"{action!r} runs along the axis and cannot be held in at")
    given = [*levels, *([] if predictive is None else [predictive])]
    if not levels or not all(0 < level < 1 for level in given):
        raise PointsError("levels and predictive must be probabilities between 0 and 1")

    held = _held(posterior, at)
    del held[action]
    along, points = _along(posterior, action, held, size)
    # Without a warning: unsupported stretches are hatched.
    everything = np.ones(points.shape, dtype=bool)
    prediction = posterior.prediction
    draws, sd = prediction.mean(points, everything), prediction.noise_sd(points, everything)
    verdict = posterior.verdict(points, everything[0])
    supported = None if verdict is None else verdict.supported
    own_levels = levels_of(posterior)[posterior.actions.index(action)]
    if own_levels is not None:
        along, draws, sd = stepped(along, draws, sd)
        supported = None if supported is None else np.repeat(supported, STEP)

    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    draw_bands(ax, along, draws.reshape(-1, len(along)), levels, color)
    if predictive is not None:
        # One noise for all points: the lines then show the bands and not the draws' chance.
        noise = prediction.standard_noise((*draws.shape[:2], 1), np.random.default_rng(0))
        outcomes = draws + sd * noise
        tails = [(1 - predictive) / 2, (1 + predictive) / 2]
        ends = np.quantile(outcomes, tails, axis=(0, 1))
        label = f"{predictive:.0%} of outcomes"
        for end in ends:
            ax.plot(along, end, color=color, linestyle=":", linewidth=1.2, label=label)
            label = "_"
    if supported is not None:
        hatch_unsupported(ax, along, supported)
    name_levels(ax, own_levels)
    ax.set_xlabel(action)
    ax.set_ylabel(f"E[{posterior.outcome_name} | do({', '.join(posterior.actions)})]")
    if held:
        first = decoded_table(points[:1], posterior.categories).tolist()[0]
        values = dict(zip(posterior.actions, first, strict=True))
        ax.set_title(", ".join(f"{name} = {short_label(values[name])}" for name in held))
    # Readable over hatching.
    ax.legend(framealpha=0.85, edgecolor="none")
    return ax


def _refuse_unknown(names: Iterable[str], posterior: "Posterior") -> None:
    for name in names:
        if name not in posterior.actions:
            raise PointsError(
                f"{name!r} is no action; the actions are {', '.join(map(repr, posterior.actions))}"
            )


def _held(posterior: "Posterior", at: Mapping[str, Label]) -> dict[str, float]:
    """Where each action is held: at the default point, unless ``at`` says."""
    default = posterior.default_point.tolist()
    columns = zip(posterior.actions, posterior.categories, default, strict=True)
    return {
        name: checked_value(at[name], name, levels) if name in at else value
        for name, levels, value in columns
    }


def _along(
    posterior: "Posterior", action: str, held: Mapping[str, float], size: int
) -> tuple[Array, Array]:
    """Values of an action over its observed range, or its levels, and points, the others held."""
    k = posterior.actions.index(action)
    seen, levels = posterior.terms.coordinates[k], levels_of(posterior)[k]
    along = np.linspace(seen.low, seen.high, size) if levels is None else np.array(levels.codes)
    columns = [along if n == action else np.full(len(along), held[n]) for n in posterior.actions]
    return along, np.stack(columns, axis=1)


def stepped(along: Array, *columns: Array) -> tuple[Array, ...]:
    """Levels and values at them, shape (..., n), as short stretches with gaps between.

    Each level becomes three points: the ends of its stretch, and NaN, which breaks a line.

    Examples
    --------
    >>> along, values = stepped(np.array([0.0, 1.0]), np.array([5.0, 7.0]))
    >>> along.round(2).tolist()
    [-0.3, 0.3, 0.5, 0.7, 1.3, 1.5]
    >>> values.tolist()
    [5.0, 5.0, nan, 7.0, 7.0, nan]
    """
    gap = float(np.diff(along).min()) if len(along) > 1 else 1.0
    steps = gap * np.array([-HALF_WIDTH, HALF_WIDTH, 0.5])
    broken = [np.repeat(column, STEP, axis=-1).astype(float) for column in columns]
    for column in broken:
        column[..., STEP - 1 :: STEP] = np.nan
    return (along[:, None] + steps).ravel(), *broken


def name_levels(ax: "Axes", levels: Categories | None) -> None:
    """Put ticks at the levels of the action along the horizontal axis, where it has some.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> _, ax = plt.subplots()
    >>> name_levels(ax, Categories.of_labels(["off", "on"], ordered=True))
    >>> [text.get_text() for text in ax.get_xticklabels()]
    ['off', 'on']
    >>> plt.close()
    """
    if levels is not None:
        names = [short_label(label) for label in levels.labels]
        ax.set_xticks(levels.codes, names)


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


def hatch_unsupported(ax: "Axes", along: Array, supported: NDArray[np.bool_]) -> None:
    """Hatch the stretches of an axis where rows do not identify the answer.

    Each runs to the middle between its last point and the first that is supported.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> _, ax = plt.subplots()
    >>> hatch_unsupported(ax, np.arange(4.0), np.array([True, True, False, False]))
    >>> ax.patches[0].get_label(), float(ax.patches[0].get_x())
    ('beyond support', 1.5)
    >>> plt.close()
    """
    edges = np.concatenate([along[:1], (along[1:] + along[:-1]) / 2, along[-1:]])
    turns = np.flatnonzero(np.diff(np.concatenate([[True], supported, [True]])))
    label = "beyond support"
    for first, last in turns.reshape(-1, 2):
        ax.axvspan(
            edges[first], edges[last], facecolor="none", edgecolor="0.6", hatch="///",
            linewidth=0, zorder=0, label=label,
        )  # fmt: skip
        label = "_"


def plot_support(data: Observations, points: Any = None) -> "Figure":
    """As ``RegimeData.plot_support``, of which this is the body.

    Examples
    --------
    >>> [ax.get_xlabel() for ax in plot_support(data).axes]
    ['red', 'green']
    """
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    from bayes_intgen.support import regime_quantiles

    asked = None if points is None else checked_points(points, data.names, data.categories)
    found = regime_quantiles(data.names, data.actions, data.intervened, list(data.regimes))
    labels, names = list(found["regime"].to_numpy()), list(data.names)
    figure, panels = plt.subplots(
        1, len(names), squeeze=False, sharey=True, layout="constrained",
        figsize=(1.6 + 2.4 * len(names), 1.4 + 0.36 * len(labels)),
    )  # fmt: skip
    heights = np.arange(len(labels))[::-1]
    few = False
    for k, (ax, name) in enumerate(zip(panels[0], names, strict=True)):
        coordinate, known = Coordinate.of(data.actions[:, k]), data.categories[k]
        if known is None and coordinate.high - coordinate.low > LONG * coordinate.spread:
            # Where a tail is long, the scale on which the action enters the model.
            ax.set_xscale("function", functions=(coordinate.squashed, coordinate.unsquashed))
            at = coordinate.unsquashed(np.linspace(*coordinate.ends, 5))
            ax.set_xticks([float(f"{value:.1g}") for value in at], minor=False)
            ax.xaxis.set_major_formatter("{x:g}")
        for i, (mask, height) in enumerate(zip(data.regimes, heights, strict=True)):
            color = SET if mask[k] else OBSERVED
            own = data.actions[(data.intervened == mask).all(axis=1), k]
            values, counts = np.unique(own, return_counts=True)
            if known is not None or len(values) <= MAX_DISTINCT:
                ax.scatter(values, np.full(len(values), height), LARGEST_DOT * counts / len(own),
                           color=color, linewidth=0)  # fmt: skip
                few = True
                continue
            low, inner_low, lower, middle, upper, inner_high, high = found["quantile"][i, k]
            for left, right, width in (
                (low, high, 1), (inner_low, inner_high, 4), (lower, upper, 9)
            ):  # fmt: skip
                ax.plot([left, right], [height] * 2, color=color, linewidth=width,
                        solid_capstyle="butt")  # fmt: skip
            ax.plot(middle, height, marker="|", color="white", markersize=9)
        for value in () if asked is None else np.unique(asked[:, k]):
            ax.axvline(value, color="k", linestyle=":", linewidth=1)
        name_levels(ax, known)
        ax.set_xlabel(name)
        ax.margins(0.05 if known is None else 0.15, 0.12)
    panels[0, 0].set_yticks(
        heights, [f"{label}  ({n})" for label, n in zip(labels, found["rows"].values, strict=True)]
    )
    handles = [
        Line2D([], [], color=SET, linewidth=6, label="set"),
        Line2D([], [], color=OBSERVED, linewidth=6, label="observed"),
    ]
    if asked is not None:
        handles.append(Line2D([], [], color="k", linestyle=":", label="asked"))
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), frameon=False)
    title = "50, 90 and 99% of the rows of each regime"
    if few:
        title += ";\nof levels and few values, area is the share of rows"
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure


def plot_contraction(posterior: "Posterior", at: Mapping[str, Label] | None = None) -> "Figure":
    """As ``Posterior.plot_contraction``, of which this is the body.

    Examples
    --------
    >>> [ax.get_title() for ax in plot_contraction(posterior).axes[:2]]
    ['red', 'green']
    """
    import matplotlib.pyplot as plt

    from bayes_intgen.contraction import ENDS, KINDS, prior_prediction, widths

    at = dict(at or {})
    _refuse_unknown(at, posterior)
    if any(term.role == "regression" for term in posterior.terms.terms):
        raise ModelError("a plain regression has no mechanisms to draw; see plot_joint_effect")
    prior, names = prior_prediction(posterior), posterior.actions
    figure, panels = plt.subplots(
        2, len(names), squeeze=False, sharex="col", layout="constrained",
        figsize=(1.2 + 3 * len(names), 5.2),
    )  # fmt: skip
    for k, (name, own_levels) in enumerate(zip(names, levels_of(posterior), strict=True)):
        along, points = _along(posterior, name, _held(posterior, at), 80)
        before, after = (p.contributions(points) for p in (prior, posterior.prediction))
        for i, ax in enumerate(panels[:, k]):
            # Confounded contributions have the bias too.
            first, second = (part[0] + i * part[1] for part in (before, after))
            first, second = first[:, :, k], second[:, :, k]
            share = float(np.median(widths(second) / widths(first)))
            at_points = along
            if own_levels is not None:
                at_points, first, second = stepped(along, first, second)
            low, high = np.quantile(first, ENDS, axis=(0, 1))
            ax.fill_between(at_points, low, high, color="0.85", linewidth=0, label="prior, 68%")
            draw_bands(ax, at_points, second.reshape(-1, len(at_points)), (0.683, 0.95), "C0")
            ax.text(
                0.03, 0.04, f"{share:.1%} of the prior's width", transform=ax.transAxes,
                fontsize=8, color="0.3",
                bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1},
            )  # fmt: skip
            ax.margins(x=0 if own_levels is None else 0.05)
        panels[0, k].set_title(name)
        name_levels(panels[1, k], own_levels)
        panels[1, k].set_xlabel(name)
    outcome = posterior.tree.attrs["outcome"]
    for ax, kind in zip(panels[:, 0], KINDS, strict=True):
        ax.set_ylabel(f"{kind} ({outcome})")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=4, frameon=False, fontsize=8)
    return figure


def plot_sensitivity(
    posterior: "Posterior", points: Any, rho: Sequence[float], *, level: float = 0.9
) -> "Figure":
    """As ``Posterior.plot_sensitivity``, of which this is the body.

    Examples
    --------
    >>> len(plot_sensitivity(posterior, [[0.1, 0.2], [0.3, 0.1]], [0, 0.1]).axes)
    2
    """
    import matplotlib.pyplot as plt

    if points is None:
        default = posterior.default_point[None]
        points = named_points(default, posterior.actions, posterior.categories)
    moved = posterior.sensitivity(points, rho, level=level)
    with warnings.catch_warnings():
        # Said once already.
        warnings.simplefilter("ignore", SupportWarning)
        unmoved = posterior.sensitivity(points, 0.0, level=level)
    count = moved.sizes["point"]
    figure, panels = plt.subplots(
        1, count, squeeze=False, sharey=True, layout="constrained", figsize=(1.4 + 3 * count, 3.6)
    )
    along = moved["rho"].to_numpy()
    for point, ax in enumerate(panels[0]):
        here, before = moved.isel(point=point), unmoved.isel(point=point, rho=0)
        effect = float(here["effect"])
        ax.fill_between(
            along, here["low"], here["high"], color="C1", alpha=0.3, linewidth=0,
            label=f"{level:.0%} band, moved by the bound",
        )  # fmt: skip
        ax.fill_between(
            along, effect - here["above"], effect + here["below"], color="C1", alpha=0.45,
            linewidth=0, label="posterior mean, moved by the bound",
        )  # fmt: skip
        for end in (float(before["low"]), float(before["high"])):
            ax.axhline(end, color="C0", linewidth=1, linestyle=":")
        ax.axhline(effect, color="C0", label="posterior mean and band, causes independent")
        values = zip(posterior.actions, here["value"].to_numpy().tolist(), strict=True)
        title = ", ".join(f"{name} = {short_label(value)}" for name, value in values)
        ax.set_title(title, fontsize=9)
        ax.set_xlabel("correlation of any two hidden causes, up to")
        ax.margins(x=0)
    panels[0, 0].set_ylabel(f"E[{moved.attrs['outcome']} | do({', '.join(posterior.actions)})]")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", frameon=False, fontsize=8)
    return figure
