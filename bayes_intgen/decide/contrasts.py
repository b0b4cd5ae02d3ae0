"""Contrasts, ratios and slopes of effects, as labelled draws."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._arguments import items, probability, real_number
from bayes_intgen._labelled import labelled_dataset
from bayes_intgen._typing import Array
from bayes_intgen.data.queries import (
    checked_actions,
    checked_points,
    point_labels,
)
from bayes_intgen.errors import PointsError
from bayes_intgen.models.laws import Link
from bayes_intgen.posterior.carryover import restated
from bayes_intgen.posterior.draws import (
    PosteriorDraws,
    coordinates,
    prediction_of,
    statistics_of,
    support_of,
)
from bayes_intgen.posterior.effects import change_attrs
from bayes_intgen.posterior.fit_support import Query
from bayes_intgen.posterior.population import Standardisation
from bayes_intgen.text.formats import frame_along, shorter_number

# Step of central differences, in an action's usual spread: the functions are smooth, and rounding
# is far smaller.
STEP = 1e-3
# Distance of these differences from their ends, relative to the step.
INSET = 0.01
# Minimum distance of a denominator from zero, in posterior standard deviations: nearer to zero a
# ratio has no useful interval.
MIN_DISTANCE = 4.0


class Contrast(xr.DataArray):  # type: ignore[no-untyped-call]
    """Draws of a contrast, ratio or slope, dims (chain, draw, point), in labelled form.

    An xarray DataArray that summarises its draws.
    """

    __slots__ = ()

    def summary(
        self, level: float = 0.9, equivalent: tuple[float, float] | None = None
    ) -> xr.Dataset:
        """Summarise the draws per point.

        Parameters
        ----------
        level : float
            Probability of the central intervals.
        equivalent : (float, float), optional
            Region of practical equivalence, in the units of the draws.

        Returns
        -------
        Dataset, dims (point)
            ``mean``, ``sd``, ``low``, ``high``, ``above_zero``, the probability of a positive
            value (of a ratio ``above_one``), and with ``equivalent`` the probabilities ``below``,
            ``within`` and ``above`` that region.

        Raises
        ------
        PointsError
            If ``level`` is not a probability, or ``equivalent`` is not an interval.

        Examples
        --------
        >>> change = posterior.contrast([[0.5, 0.5]], [[0.0, 0.0]])
        >>> bool(change.summary(equivalent=(-0.1, 0.1)).above > 0.9)
        True
        """
        level = probability(level, "level", PointsError)
        draws = self.transpose("chain", "draw", "point").to_numpy().reshape(-1, self.sizes["point"])
        columns = statistics_of(draws, level)
        name, start = ("above_one", 1) if self.name == "ratio" else ("above_zero", 0)
        columns[name] = (draws > start).mean(axis=0)
        if equivalent is not None:
            columns |= _equivalence(draws, equivalent)
        own = self.coords.items()
        coords = {str(name): ("point", c.values) for name, c in own if c.dims == ("point",)}
        table = {name: ("point", column) for name, column in columns.items()}
        return labelled_dataset(table, coords, {**self.attrs, "level": level})

    def to_dataframe(
        self,
        name: Hashable | None = None,
        dim_order: Sequence[Hashable] | None = None,
        *,
        level: float = 0.9,
    ) -> pd.DataFrame:
        """Table with a row per point: :meth:`summary`, with ``estimate`` for ``mean``.

        Parameters
        ----------
        name, dim_order
            As of xarray's method, which converts what is left of the draws, such as their mean.
        level : float
            Probability of the central intervals.

        Examples
        --------
        >>> change = posterior.contrast([[0.5, 0.5]], [[0.0, 0.0]])
        >>> [*change.to_dataframe()]
        ['estimate', 'sd', 'low', 'high', 'above_zero', 'red', 'green', 'from red', 'from green', \
'supported']
        """
        if {*self.dims} != {"chain", "draw", "point"}:
            return super().to_dataframe(name, dim_order)
        frame = frame_along(self.summary(level), "point").set_index("point")
        return frame.rename(columns={"mean": "estimate"})


def _equivalence(draws: Array, region: tuple[float, float]) -> dict[str, Array]:
    """Probabilities that draws lie below, within and above a region."""
    ends = items(region, "equivalent", "two numbers", PointsError)
    numbers = [real_number(end, "an end of equivalent", PointsError) for end in ends]
    if len(numbers) != 2 or numbers[0] >= numbers[1]:
        raise PointsError(f"equivalent must be an interval (low, high), not {region!r}")
    below, above = (draws < numbers[0]).mean(axis=0), (draws > numbers[1]).mean(axis=0)
    return {"below": below, "within": 1 - below - above, "above": above}


def quotient(posterior: PosteriorDraws, mean: Array, before: Array) -> Array:
    """Ratio of draws of means, shape (chain, draw, n); refused where the start is near zero."""
    middle, sd = before.mean(axis=(0, 1)), before.std(axis=(0, 1))
    near_zero = np.flatnonzero(np.abs(middle) < MIN_DISTANCE * sd)
    # Under a log link no mean is zero.
    if posterior.model.link == "identity" and near_zero.size:
        i = near_zero[0]
        raise PointsError(
            f"the mean of {posterior.outcome_name!r} at point {i} of the start is "
            f"{shorter_number(middle[i], 3)} with a posterior standard deviation of "
            f"{shorter_number(sd[i], 2)}, too near to zero for a ratio; use differences, or "
            "models.multiplicative() for a positive outcome"
        )
    return np.asarray(mean / before)


class Quantity(NamedTuple):
    """What is estimated at points, averaged over rows, and combined.

    Attributes
    ----------
    name : str
    evaluate : callable
        Draws of one or two quantities, each (chain, draw, n), from predictions, masks and points.
    link : Link or None
        Link under which it is a change of sums of terms; None for levels.
    combine : callable
        Draws of the estimate from a posterior and the averages of these.
    """

    name: str
    evaluate: Callable[..., tuple[Array, ...]]
    link: Link | None
    combine: Callable[..., Array] = lambda posterior, own: own


LEVEL = Quantity("prediction", lambda own, mask, at: (own.mean(at, mask),), None)
DIFFERENCE = Quantity(
    "difference", lambda own, mask, start, end: (own.change(start, end, mask),), "identity"
)
RATIO = Quantity(
    "ratio",
    lambda own, mask, start, end: (own.mean(end, mask), own.mean(start, mask[: len(start)])),
    "log",
    quotient,
)
CONTRAST = DIFFERENCE._replace(name="contrast")
# One action alone differs.
SLOPE = Quantity(
    "slope",
    lambda own, mask, below, above: (
        own.change(below, above, mask) / (above - below).sum(axis=1, where=above > below),
    ),
    "identity",
)


def slope(
    posterior: PosteriorDraws, action: str, at: Any, intervened: Sequence[str] | None
) -> Contrast:
    """Draws of the derivative of an effect; see :meth:`bayes_intgen.Posterior.slope`."""
    (name,) = checked_actions([action], posterior.actions)
    k = position_of_slope(posterior, name)
    query = support_of(posterior).query(at, intervened)
    ends, supported = either_side(posterior, k, query.values), query.verdict.supported
    draws = _labelled(posterior, SLOPE, ends, query, supported, {"": query.values})
    return draws.assign_attrs(action=name)


def between(
    posterior: PosteriorDraws,
    quantity: Quantity,
    to: Any,
    start: Any,
    intervened: Sequence[str] | None,
    periods: int | None = None,
) -> Contrast:
    """Draws of a contrast or a ratio; see :meth:`bayes_intgen.Posterior.contrast`."""
    actions, categories = posterior.actions, posterior.categories
    ends, starts = (checked_points(points, actions, categories) for points in (to, start))
    if len(starts) != len(ends) and 1 not in (len(starts), len(ends)):
        raise PointsError(
            f"a contrast to {len(ends)} points from {len(starts)}; give as many of both, or one"
        )
    one_end = len(ends) == 1 != len(starts)
    labels = point_labels(start if one_end else to, len(starts if one_end else ends))
    ends = np.broadcast_to(ends, (len(labels), len(actions)))
    shown = {"": ends, "from ": np.broadcast_to(starts, ends.shape)}
    # One query, so that there is one warning.
    together = np.concatenate([ends, starts])
    query = support_of(posterior).query_at(together, intervened, periods=periods)
    ends, starts = np.split(query.values, [len(ends)])
    supported = query.verdict.supported
    within = supported[: len(ends)] & supported[len(ends) :]
    query = query._replace(labels=labels)
    change = _labelled(posterior, quantity, (starts, ends), query, within, shown, periods)
    return change.assign_attrs(restated(change.attrs, posterior.terms, periods))


def _labelled(
    posterior: PosteriorDraws,
    quantity: Quantity,
    both: tuple[Array, Array],
    query: Query,
    supported: NDArray[np.bool_],
    shown: Mapping[str, Array],
    periods: int | None = None,
) -> Contrast:
    """Draws of a change from starts to ends, shape (1 or M, K) and (M, K)."""
    starts, ends = both
    changed = np.flatnonzero((ends != starts).any(axis=0)).tolist()
    warn_of_effects(posterior, changed, query.intervened, posterior.averages, quantity.link)
    prediction = prediction_of(posterior, periods=periods)
    parts = quantity.evaluate(prediction, query.mask[: len(ends)], starts, ends)
    coords = coordinates(posterior, query.labels, supported, shown)
    attrs = {"intervened": ", ".join(query.intervened), "outcome": posterior.outcome_name}
    attrs |= change_attrs(posterior, changed, query.intervened, quantity.link)
    draws = quantity.combine(posterior, *parts)
    return Contrast(draws, coords, ("chain", "draw", "point"), quantity.name, attrs)


def warn_of_effects(
    posterior: PosteriorDraws,
    changed: Sequence[int],
    intervened: Sequence[str],
    averages: Standardisation,
    link: Link | None = "identity",
) -> None:
    """Warn of changes of some actions, by the link under which they are sums of terms."""
    support = support_of(posterior)
    if link != posterior.model.link:
        # Neither a difference of products nor a ratio of sums is a change alone.
        support.warn_of_level(intervened, averages)
    else:
        support.warn_of_change(changed, intervened, averages)


def position_of_slope(posterior: PosteriorDraws, name: str) -> int:
    """Position of an action that has slopes; raises PointsError for levels."""
    k = posterior.actions.index(name)
    if posterior.categories[k] is not None:
        raise PointsError(f"{name!r} has levels, and so no slope; use posterior.comparisons")
    return k


def either_side(posterior: PosteriorDraws, k: int, values: Array) -> tuple[Array, Array]:
    """Points just below and above values of action ``k``, for its derivative, shape (M, K)."""
    coordinate = posterior.terms.coordinates[k]
    # Far outside the range, numbers that differ by less are the same.
    step = np.maximum(STEP * coordinate.spread, np.spacing(np.abs(values[:, k])))
    below, above = values.copy(), values.copy()
    # One-sided at the ends of the observed range, beyond which functions are constant.
    inside = (values[:, k] >= coordinate.low) & (values[:, k] <= coordinate.high)
    low, high = np.where(inside, coordinate.low, -np.inf), np.where(inside, coordinate.high, np.inf)
    below[:, k] = np.maximum(values[:, k] - step, low)
    above[:, k] = np.minimum(values[:, k] + step, high)
    # Neither end is at a value with an effect of its own, such as no spend at all.
    inset = INSET * (above - below)
    return below + inset, above - inset
