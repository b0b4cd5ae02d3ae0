"""Data of the explorer, from which the page computes joint effects at any slider positions.

In every draw the joint effect is ``c + sum_k phi_k(a_k)``, and the relative variance under it
``e(a) exp(d(a) / e(a))`` with ``e = e_0 + sum_k e_k(a_k)`` and ``d = d_0 + sum_k d_k(a_k)``
(`VarianceFunction`). Sliders stop at the steps of a grid, on which the functions of one action are
a small basis matrix times the draws of their coefficients. From both, the page reproduces the
computation in Python up to rounding.
"""

import base64
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories, short_label
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.models.variance_function import VarianceFunction
from bayes_intgen.posterior.defaults import default_point, levels_of
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of
from bayes_intgen.posterior.effects import supported

# Maximum number of draws: more would make the page slow to load for little precision.
MAX_DRAWS = 2000
# Maximum number of steps of a slider.
MAX_STEPS = 250
# Reasons why a position is not supported; the first that applies is shown.
REASONS = (
    "",
    "never set in an experiment",
    "no experiment sets this level",
    "outside the range of its experiments",
    "between the values of its experiments",
    "not observed there without being set",
    "too few regimes reach this value",
    "no regimes reach it together with the other values",
)


def round_grid(low: float, high: float) -> Array:
    """At most 251 multiples of a round step within a range.

    Examples
    --------
    >>> round_grid(0.013, 1.02)[[0, 1, -1]]
    array([0.015, 0.02 , 1.02 ])
    """
    min_step = (high - low) / MAX_STEPS
    exponent = int(np.floor(np.log10(min_step)))
    digit = next(d for d in (1, 2, 5, 10) if d * 10.0**exponent >= min_step * (1 - 1e-9))
    step = Decimal(digit).scaleb(exponent)
    first, last = (int(Decimal(end) / step) for end in (low, high))
    multiples = [float(step * i) for i in range(first - 1, last + 2)]
    return np.array([value for value in multiples if low <= value <= high])


def thinned(prediction: Prediction, max_draws: int = MAX_DRAWS) -> Prediction:
    """Thin predictions to evenly spaced draws in one chain."""
    total = prediction.sd.size
    positions = np.linspace(0, total - 1, min(max_draws, total)).astype(int)

    def flat(draws: Array) -> Array:
        return np.asarray(draws.reshape(total, *draws.shape[2:])[positions][None])

    return replace(
        prediction,
        coefficients=flat(prediction.coefficients),
        sd=flat(prediction.sd),
        deviations=None if prediction.deviations is None else flat(prediction.deviations),
        df=None if prediction.df is None else flat(prediction.df),
    )


def explorer_data(posterior: PosteriorDraws) -> dict[str, Any]:
    """Collect grids, functions and draws for JSON: arrays as base64 of little-endian float64.

    Parameters
    ----------
    posterior : PosteriorDraws
        Of an additive model.

    Returns
    -------
    dict
        ``level_of_draws``: c, shape (draws,). For every action ``values`` (steps,), ``start``
        (the step nearest the default point, supported if any is), ``functions`` (steps, P_k),
        ``coefficients`` (draws, P_k), ``reasons`` (steps,), positions in the list of the same
        name, 0 where the step is supported, and for levels ``labels``; with a fitted variance
        function also ``hats`` (steps, 7), ``knot_values`` (7,) and ``deviations`` (draws, 7).
        ``noise``: ``sd`` (draws,), either ``quantiles`` or ``df`` (draws,), and with a fitted
        variance function ``knot_value`` and ``deviation`` (draws,).

    Examples
    --------
    >>> [action["name"] for action in explorer_data(posterior)["actions"]]
    ['red', 'green']
    """
    prediction, terms = thinned(prediction_of(posterior)), posterior.terms
    draws = prediction.coefficients[0]
    intercepts = [terms.columns[t.name] for t in terms.terms if t.role == "intercept"]
    default, levels = default_point(posterior), levels_of(posterior)
    return {
        "outcome": posterior.outcome_name,
        "draws": len(draws),
        "level_of_draws": packed(draws[:, intercepts[0]][:, 0] + terms.centre),
        "noise": _noise_data(prediction),
        "reasons": list(REASONS),
        "actions": [
            _action_data(posterior, prediction, default, k, own) for k, own in enumerate(levels)
        ],
    }


def _noise_data(prediction: Prediction) -> dict[str, Any]:
    """Noise of all draws, and its part of the relative variance that all actions share."""
    noise: dict[str, Any] = {"sd": packed(prediction.sd[0])}
    if prediction.df is None:
        noise["quantiles"] = packed(prediction.quantiles)
    else:
        noise["df"] = packed(prediction.df[0])
    spread, deviations = prediction.spread, prediction.deviations
    if isinstance(spread, VarianceFunction) and deviations is not None:
        noise["knot_value"] = float(spread.knot_values[0])
        noise["deviation"] = packed(deviations[0][:, 0])
    return noise


def _action_data(
    posterior: PosteriorDraws,
    prediction: Prediction,
    default: Array,
    k: int,
    levels: Categories | None,
) -> dict[str, Any]:
    """Grid, functions and coefficients of one action, and its part of the relative variance."""
    terms = posterior.terms
    coordinate = terms.coordinates[k]
    grid = round_grid(coordinate.low, coordinate.high) if levels is None else np.array(levels.codes)
    own = [t for t in terms.terms if t.role == "unconfounded" and t.action == k]
    columns = np.concatenate([np.arange(terms.size)[terms.columns[t.name]] for t in own])
    functions = np.concatenate([t.component.basis.matrix(grid[:, None]) for t in own], axis=1)
    reasons = _reasons(posterior, default, k, grid)
    action = {
        "name": terms.names[k],
        "values": packed(grid),
        "start": _start(grid, default[k], reasons == 0),
        "functions": packed(functions),
        "coefficients": packed(prediction.coefficients[0][:, columns]),
        "reasons": packed(reasons),
    }
    if levels is not None:
        action["labels"] = [short_label(label) for label in levels.labels]
    spread, deviations = prediction.spread, prediction.deviations
    if isinstance(spread, VarianceFunction) and deviations is not None:
        action |= _variance_data(spread, deviations[0], k, grid)
    return action


def _start(grid: Array, value: float, within: NDArray[np.bool_]) -> int:
    """Step nearest to a value, among the supported ones if there are any."""
    gaps = np.abs(grid - value)
    return int(np.where(within, gaps, np.inf).argmin() if within.any() else gaps.argmin())


def _reasons(
    posterior: PosteriorDraws, default: Array, action: int, grid: Array
) -> NDArray[np.int_]:
    """Reasons against support of the joint effect along an action, the others at the default.

    Contributions add up, so slider positions are supported together if each is supported beside
    the default point and the default point itself is linked.

    Returns
    -------
    ndarray of int, shape (steps,)
        Positions in :data:`REASONS`; 0 where the effect is supported.
    """
    points = np.tile(default, (len(grid), 1))
    points[:, action] = grid
    all_set = np.ones(len(posterior.actions), dtype=bool)
    support = support_of(posterior)
    reference, verdict = support.reference, support.verdict(points, all_set)
    if reference is None or verdict is None:
        own = supported(posterior, points, posterior.actions)[:, action]
        return np.where(own, 0, REASONS.index("outside the range of its experiments"))
    regimes = zip(reference.rows, reference.masks, strict=True)
    settings = [rows[:, action] for rows, mask in regimes if mask[action]]
    values = np.concatenate(settings) if settings else np.array([np.inf, -np.inf])
    outside = (grid < values.min()) | (grid > values.max())
    linked = support.linked(np.concatenate([points, default[None]]), all_set)
    applies = (
        np.full(len(grid), not settings),
        ~verdict.close[:, action] & (levels_of(posterior)[action] is not None),
        ~verdict.close[:, action] & outside,
        ~verdict.close[:, action],
        ~verdict.separated[:, action] & ~verdict.without_setting[:, action],
        ~verdict.separated[:, action],
        ~(linked[:-1] & linked[-1]),
    )
    return np.select(applies, range(1, len(REASONS)), 0)


def _variance_data(
    spread: VarianceFunction, deviations: Array, action: int, grid: Array
) -> dict[str, Any]:
    """One action's part of the relative variance along its grid."""
    points = np.tile([c.centre for c in spread.coordinates], (len(grid), 1))
    points[:, action] = grid
    columns = spread.columns_where_set(action)
    features = spread.features(points, np.ones(points.shape, dtype=bool)).toarray()
    return {
        "hats": packed(features[:, columns]),
        "knot_values": packed(spread.knot_values[columns]),
        "deviations": packed(deviations[:, columns]),
    }


def packed(values: NDArray[Any]) -> str:
    """Encode an array as base64 of its numbers in row-major order."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()
