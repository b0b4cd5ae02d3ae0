"""What a page needs to compute joint effects itself, for any positions of its sliders.

In every draw the joint effect is ``c + sum_k phi_k(a_k)``, and the relative variance under it
``e(a) exp(d(a) / e(a))`` with ``e = e_0 + sum_k e_k(a_k)`` and ``d = d_0 + sum_k d_k(a_k)``
(`drawn`). A slider stops at the steps of a grid, on which the
functions of one action are a small matrix times the draws of their coefficients: with both the
page computes what Python does, up to rounding, from every draw.
"""

import base64
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import short_label
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.models.variance_function import VarianceFunction
from bayes_intgen.posterior.defaults import default_point, levels_of
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of
from bayes_intgen.posterior.effects import supported

# A page with more draws would take long to load, and gain less than their Monte Carlo error.
MOST_DRAWS = 2000
# Steps of a slider, at most.
STEPS = 250
# Why a position is not supported: the first that applies to it.
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
    """Multiples of a round step within a range, at most 251 of them.

    Examples
    --------
    >>> round_grid(0.013, 1.02)[[0, 1, -1]]
    array([0.015, 0.02 , 1.02 ])
    """
    least = (high - low) / STEPS
    exponent = int(np.floor(np.log10(least)))
    digit = next(d for d in (1, 2, 5, 10) if d * 10.0**exponent >= least * (1 - 1e-9))
    step = Decimal(digit).scaleb(exponent)
    first, last = (int(Decimal(end) / step) for end in (low, high))
    every = [float(step * i) for i in range(first - 1, last + 2)]
    return np.array([value for value in every if low <= value <= high])


def thinned(prediction: Prediction, most: int = MOST_DRAWS) -> Prediction:
    """The same with at most so many draws, evenly spaced, in one chain."""
    total = prediction.sd.size
    chosen = np.linspace(0, total - 1, min(most, total)).astype(int)

    def flat(draws: Array) -> Array:
        return np.asarray(draws.reshape(total, *draws.shape[2:])[chosen][None])

    return replace(
        prediction,
        coefficients=flat(prediction.coefficients),
        sd=flat(prediction.sd),
        deviations=None if prediction.deviations is None else flat(prediction.deviations),
        df=None if prediction.df is None else flat(prediction.df),
    )


def explorer_data(posterior: PosteriorDraws) -> dict[str, Any]:
    """Grids, functions and draws, ready for JSON: arrays as base64 of little-endian float64.

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
        name, 0 where the step is supported, and for levels ``labels``; where the spread is fitted
        ``hats`` (steps, 7), ``knot_values`` (7,) and ``deviations`` (draws, 7), too. ``noise``:
        ``sd`` (draws,) and either ``quantiles`` or ``df`` (draws,), and where the spread is
        fitted ``height`` and ``deviation`` (draws,).

    Examples
    --------
    >>> [action["name"] for action in explorer_data(posterior)["actions"]]
    ['red', 'green']
    """
    prediction, terms = thinned(prediction_of(posterior)), posterior.terms
    draws = prediction.coefficients[0]
    levels = [terms.columns[t.name] for t in terms.terms if t.role == "intercept"]
    spread, deviations = prediction.spread, prediction.deviations
    noise: dict[str, Any] = {"sd": packed(prediction.sd[0])}
    if prediction.df is None:
        noise["quantiles"] = packed(prediction.quantiles)
    else:
        noise["df"] = packed(prediction.df[0])
    if isinstance(spread, VarianceFunction) and deviations is not None:
        noise |= spread_data(spread, deviations[0])
    actions, default = [], default_point(posterior)
    for k, (name, own_levels) in enumerate(zip(terms.names, levels_of(posterior), strict=True)):
        grid = (
            round_grid(terms.coordinates[k].low, terms.coordinates[k].high)
            if own_levels is None
            else np.array(own_levels.codes)
        )
        own = [t for t in terms.terms if t.role == "unconfounded" and t.action == k]
        columns = np.concatenate([np.arange(terms.size)[terms.columns[t.name]] for t in own])
        functions = np.concatenate([t.component.basis.matrix(grid[:, None]) for t in own], axis=1)
        reasons = _reasons(posterior, default, k, grid)
        action = {
            "name": name,
            "values": packed(grid),
            "start": _start(grid, default[k], reasons == 0),
            "functions": packed(functions),
            "coefficients": packed(draws[:, columns]),
            "reasons": packed(reasons),
        }
        if own_levels is not None:
            action["labels"] = [short_label(label) for label in own_levels.labels]
        if isinstance(spread, VarianceFunction) and deviations is not None:
            action |= part_data(spread, deviations[0], k, grid)
        actions.append(action)
    return {
        "outcome": posterior.outcome_name,
        "draws": len(draws),
        "level_of_draws": packed(draws[:, levels[0]][:, 0] + terms.centre),
        "noise": noise,
        "reasons": list(REASONS),
        "actions": actions,
    }


def _start(grid: Array, value: float, within: NDArray[np.bool_]) -> int:
    """The step nearest to a value, among supported ones if there are any."""
    gaps = np.abs(grid - value)
    return int(np.where(within, gaps, np.inf).argmin() if within.any() else gaps.argmin())


def _reasons(
    posterior: PosteriorDraws, default: Array, action: int, grid: Array
) -> NDArray[np.int_]:
    """Why the joint effect is not supported along an action, the others at the default point.

    Contributions add up, so that any positions of the sliders are supported where each of them
    is in this sense; that the default point is linked itself is part of it.

    Returns
    -------
    ndarray of int, shape (steps,)
        Positions in :data:`REASONS`; 0 where it is supported.
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
    was_set = [rows[:, action] for rows, mask in regimes if mask[action]]
    values = np.concatenate(was_set) if was_set else np.array([np.inf, -np.inf])
    outside = (grid < values.min()) | (grid > values.max())
    linked = support.linked(np.concatenate([points, default[None]]), all_set)
    failed = (
        np.full(len(grid), not was_set),
        ~verdict.close[:, action] & (levels_of(posterior)[action] is not None),
        ~verdict.close[:, action] & outside,
        ~verdict.close[:, action],
        ~verdict.separated[:, action] & ~verdict.without_setting[:, action],
        ~verdict.separated[:, action],
        ~(linked[:-1] & linked[-1]),
    )
    return np.select(failed, range(1, len(REASONS)), 0)


def spread_data(spread: VarianceFunction, deviations: Array) -> Mapping[str, Any]:
    """What all actions share of the relative variance."""
    return {"height": float(spread.knot_values[0]), "deviation": packed(deviations[:, 0])}


def part_data(
    spread: VarianceFunction, deviations: Array, action: int, grid: Array
) -> Mapping[str, Any]:
    """One action's part of the relative variance along its grid."""
    points = np.tile([c.centre for c in spread.coordinates], (len(grid), 1))
    points[:, action] = grid
    columns = spread.columns_where_set(action)
    features = spread.features(points, np.ones(points.shape, dtype=bool)).toarray()
    return {
        "hats": packed(features[:, columns]),
        "heights": packed(spread.knot_values[columns]),
        "deviations": packed(deviations[:, columns]),
    }


def packed(values: NDArray[Any]) -> str:
    """An array as base64 of its numbers, row by row."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()
