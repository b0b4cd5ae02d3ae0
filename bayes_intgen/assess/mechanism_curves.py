"""Prior and posterior of mechanisms along one action."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from bayes_intgen._typing import Array
from bayes_intgen.assess.contraction import ENDS, KINDS, prior_prediction, widths
from bayes_intgen.basis.categories import Label
from bayes_intgen.errors import ModelError
from bayes_intgen.models.contributions import contributions
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.posterior.curves import fixed_values, labelled_points, points_along
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of
from bayes_intgen.posterior.standardisation import Standardisation

# Number of points along an action.
N_POINTS = 80


def mechanism_curves(
    posterior: PosteriorDraws,
    default: Array,
    at: Mapping[str, Label] | None = None,
    *,
    given: Mapping[str, Any] | None = None,
    population: Any = None,
) -> list[xr.Dataset]:
    """Prior and posterior of the mechanisms of each action, along the action.

    Returns
    -------
    list of Dataset, length K
        ``posterior`` (mechanism, chain, draw, point); ``prior_low`` and ``prior_high``
        (mechanism, point), the central 68% interval; ``share`` (mechanism), the median ratio of
        the widths of posterior and prior. Coordinates as of :func:`effect_along`.

    Examples
    --------
    >>> red, green = mechanism_curves(posterior, posterior.default_point)
    >>> bool((red.share < 1).all())
    True
    """
    fixed = fixed_values(posterior, default, at)
    if any(term.role == "regression" for term in posterior.terms.terms):
        raise ModelError("a plain regression has no mechanisms to draw; see plot_joint_effect")
    averages = support_of(posterior).standardisation(given, population)
    predictions = (
        prior_prediction(posterior, averages=averages),
        prediction_of(posterior, averages),
    )
    return [
        _mechanism_curve(posterior, predictions, k, fixed, averages)
        for k in range(len(posterior.actions))
    ]


def _mechanism_curve(
    posterior: PosteriorDraws,
    predictions: tuple[Prediction, Prediction],
    k: int,
    fixed: Array,
    averages: Standardisation,
) -> xr.Dataset:
    points = points_along(posterior, k, fixed, N_POINTS)
    before_data, after_data = (
        np.stack([unconfounded[:, :, k], (unconfounded + bias)[:, :, k]])
        for unconfounded, bias in (contributions(prediction, points) for prediction in predictions)
    )
    low, high = np.quantile(before_data, ENDS, axis=(1, 2))
    pairs = zip(before_data, after_data, strict=True)
    share = [np.median(widths(b) / widths(a)) for a, b in pairs]
    dims = ("mechanism", "point")
    return (
        labelled_points(posterior, k, points, averages)
        .assign_coords(mechanism=list(KINDS))
        .assign(
            posterior=(("mechanism", "chain", "draw", "point"), after_data),
            prior_low=(dims, low),
            prior_high=(dims, high),
            share=("mechanism", share),
        )
        .assign_attrs(outcome=posterior.predictor_name)
    )
