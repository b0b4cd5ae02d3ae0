"""Effects along one action, the other actions fixed."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from bayes_intgen._arguments import mapping, probability, whole_number
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Label
from bayes_intgen.data.queries import checked_value
from bayes_intgen.errors import PointsError
from bayes_intgen.posterior.defaults import levels_of, varied
from bayes_intgen.posterior.draws import (
    PosteriorDraws,
    labelled_points,
    prediction_of,
    shares_out_of_range,
    support_of,
    tails_of,
)
from bayes_intgen.text.messages import refuse_unknown_actions


def points_along(posterior: PosteriorDraws, k: int, fixed: Array, size: int) -> Array:
    """Points over the observed range of action ``k``, or its levels, the other actions fixed.

    ``size`` points over a range; the result has shape (n, K).

    Examples
    --------
    >>> points_along(posterior, 0, np.zeros(2), 5).shape
    (5, 2)
    """
    coordinate, levels = posterior.terms.coordinates[k], levels_of(posterior)[k]
    if levels is not None:
        return varied(fixed, k, np.array(levels.codes))
    return varied(fixed, k, np.linspace(coordinate.low, coordinate.high, size))


def effect_along(
    posterior: PosteriorDraws,
    action: str,
    default: Array,
    at: Mapping[str, Label] | None = None,
    *,
    size: int = 100,
    predictive: float | None = None,
) -> xr.Dataset:
    """Draws of the joint effect along one action.

    Parameters are those of ``Posterior.plot_joint_effect``; ``default``, shape (K,), has the
    values of actions that ``at`` leaves out.

    Returns
    -------
    Dataset
        ``effect`` (chain, draw, point); ``why`` (point) it is not supported, in words, empty where
        it is; ``outcome`` (bound, point), the ends of the predictive band, unless the outcome is
        binary. Coordinates: ``along`` (point), the action's values; ``label`` (point) if it has
        levels; ``value`` (action, point), of all actions. The attribute ``population`` says over
        whom it is averaged.

    Examples
    --------
    >>> effect_along(posterior, "red", posterior.default_point, size=5).sizes["point"]
    5
    """
    refuse_unknown_actions([action], posterior.actions, PointsError)
    fixed = fixed_values(posterior, default, at)
    if at is not None and action in at:
        raise PointsError(f"{action!r} varies along the axis, so at must not contain it")
    if predictive is not None:
        predictive = probability(predictive, "predictive", PointsError)
    size = whole_number(size, "size", 2, PointsError)
    k = posterior.actions.index(action)
    points = points_along(posterior, k, fixed, size)
    all_set = np.ones(points.shape, dtype=bool)
    prediction = prediction_of(posterior)
    effect = prediction.mean(points, all_set)
    curve = points_of_curve(posterior, k, points).assign(
        effect=(("chain", "draw", "point"), effect)
    )
    # No warning: pictures shade points that are not supported.
    curve["why"] = ("point", support_of(posterior).verdict(points, all_set[0]).why)
    curve.attrs |= {"outcome_kind": prediction.law.kind, **shares_out_of_range(prediction, effect)}
    if predictive is not None:
        single = prediction.outcome_summary(points, all_set, tails_of(predictive))
        # The effect on a binary outcome is the probability of a one already.
        if "outcome_low" in single:
            ends = np.array([single["outcome_low"], single["outcome_high"]])
            curve["outcome"] = (("bound", "point"), ends)
            curve.attrs["predictive"] = predictive
    return curve


def points_of_curve(posterior: PosteriorDraws, k: int, points: Array) -> xr.Dataset:
    """Coordinates of points along an action."""
    levels, coords = levels_of(posterior)[k], {"along": ("point", points[:, k])}
    if levels is not None:
        coords["label"] = ("point", np.array(levels.labels, dtype=object))
    table = labelled_points(posterior, points).assign_coords(coords)
    return table.assign_attrs(along=posterior.actions[k])


def fixed_values(
    posterior: PosteriorDraws, default: Array, at: Mapping[str, Label] | None
) -> Array:
    """Values of all actions, shape (K,): those in ``at``, the default ones elsewhere."""
    at = mapping(at, "at", "actions to values", PointsError)
    refuse_unknown_actions(at, posterior.actions, PointsError)
    values = default.astype(float)
    for name, value in at.items():
        k = posterior.actions.index(name)
        values[k] = checked_value(value, name, posterior.categories[k])
    return values
