"""Relative effects: ratios of mean outcomes under joint interventions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from bayes_intgen.errors import PointsError
from bayes_intgen.posterior.draws import PosteriorDraws

# Minimum distance of a denominator from zero, in posterior standard deviations: nearer to zero a
# ratio has no useful interval.
MIN_DISTANCE = 4.0


def ratio_of_effects(
    posterior: PosteriorDraws,
    to: Any,
    from_: Any,
    *,
    given: Mapping[str, Any] | None = None,
    population: Any = None,
) -> xr.DataArray:
    """Draws of E[Y | do(to)] / E[Y | do(from_)], as of ``Posterior.ratio``.

    Examples
    --------
    >>> same = ratio_of_effects(posterior, [[0.1, 0.2]], [[0.1, 0.2]])
    >>> float(same.min()), float(same.max())
    (1.0, 1.0)
    """
    over: dict[str, Any] = {"given": given, "population": population}
    after, before = (posterior.joint_effect(points, **over) for points in (to, from_))
    sizes = before.sizes["point"], after.sizes["point"]
    if sizes[0] not in (1, sizes[1]):
        raise PointsError(
            f"from_ has {sizes[0]} points and to has {sizes[1]}; give one in from_, or as many"
        )
    denominator = before.to_numpy()
    mean, sd = denominator.mean(axis=(0, 1)), denominator.std(axis=(0, 1))
    near_zero = np.flatnonzero(np.abs(mean) < MIN_DISTANCE * sd)
    if posterior.model.link == "identity" and near_zero.size:
        i = near_zero[0]
        raise PointsError(
            f"the mean of {posterior.outcome_name!r} at point {i} of from_ is {mean[i]:.3g} with a "
            f"posterior standard deviation of {sd[i]:.2g}, too near to zero for a ratio; compare "
            "differences of joint_effect, or use models.multiplicative() for a positive outcome"
        )
    out = after.copy(data=after.to_numpy() / denominator).rename("ratio")
    out.attrs.pop("outside_0_1", None)
    if "supported" in before.coords:
        supported = after["supported"].to_numpy() & before["supported"].to_numpy()
        out = out.assign_coords(supported=("point", supported))
    return out
