"""What a page needs to compute joint effects itself, for any positions of its sliders.

In every draw the joint effect is ``c + sum_k phi_k(a_k)``, and the relative variance under it
``e(a) exp(d(a) / e(a))`` with ``e = e_0 + sum_k e_k(a_k)`` and ``d = d_0 + sum_k d_k(a_k)``
(:meth:`bayes_intgen.noise.Spread.drawn`). A slider stops at the steps of a grid, on which the
functions of one action are a small matrix times the draws of their coefficients: with both the
page computes what Python does, up to rounding, from every draw.
"""

import base64
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayes_intgen.bases import Array
from bayes_intgen.categories import centres
from bayes_intgen.effects import supported
from bayes_intgen.noise import Spread
from bayes_intgen.prediction import Prediction

if TYPE_CHECKING:
    from bayes_intgen.posterior import Posterior

# A page with more draws would take long to load, and gain less than their Monte Carlo error.
MOST_DRAWS = 2000
# Steps of a slider, at most.
STEPS = 250


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


def explorer_data(posterior: "Posterior") -> dict[str, Any]:
    """Grids, functions and draws, ready for JSON: arrays as base64 of little-endian float64.

    Parameters
    ----------
    posterior : Posterior
        Of an additive model.

    Returns
    -------
    dict
        ``level_of_draws``: c, shape (draws,). For every action ``values`` (steps,), ``start``
        (the step nearest the median), ``functions`` (steps, P_k), ``coefficients`` (draws, P_k)
        and ``supported`` (steps,), 0 where no rows would answer; where the spread is fitted
        ``hats`` (steps, 7), ``heights`` (7,) and ``deviations`` (draws, 7), too. ``noise``:
        ``sd`` (draws,) and either ``quantiles`` or ``df`` (draws,), and where the spread is
        fitted ``height`` and ``deviation`` (draws,).

    Examples
    --------
    >>> [action["name"] for action in explorer_data(posterior)["actions"]]
    ['red', 'green']
    """
    prediction, terms = thinned(posterior.prediction), posterior.terms
    draws = prediction.coefficients[0]
    levels = [terms.columns[t.name] for t in terms.terms if t.role == "intercept"]
    spread, deviations = prediction.spread, prediction.deviations
    noise: dict[str, Any] = {"sd": packed(prediction.sd[0])}
    if prediction.df is None:
        noise["quantiles"] = packed(prediction.quantiles)
    else:
        noise["df"] = packed(prediction.df[0])
    if isinstance(spread, Spread) and deviations is not None:
        noise |= spread_data(spread, deviations[0])
    actions = []
    for k, name in enumerate(terms.names):
        own_levels = terms.categories[k]
        grid = (
            round_grid(terms.coordinates[k].low, terms.coordinates[k].high)
            if own_levels is None
            else np.array(own_levels.codes)
        )
        own = [t for t in terms.terms if t.role == "unconfounded" and t.action == k]
        columns = np.concatenate([np.arange(terms.size)[terms.columns[t.name]] for t in own])
        functions = np.concatenate([t.part.basis.matrix(grid[:, None]) for t in own], axis=1)
        action = {
            "name": name,
            "values": packed(grid),
            "start": int(np.abs(grid - terms.coordinates[k].centre).argmin()),
            "functions": packed(functions),
            "coefficients": packed(draws[:, columns]),
            "supported": packed(_supported(posterior, k, grid)),
        }
        if isinstance(spread, Spread) and deviations is not None:
            action |= part_data(spread, deviations[0], k, grid)
        actions.append(action)
    return {
        "outcome": posterior.outcome_name,
        "draws": len(draws),
        "level_of_draws": packed(draws[:, levels[0]][:, 0] + terms.centre),
        "noise": noise,
        "actions": actions,
    }


def _supported(posterior: "Posterior", action: int, grid: Array) -> NDArray[np.bool_]:
    """Whether the joint effect is supported along an action, the others at their medians.

    Contributions add up, so that any positions of the sliders are supported where each of them
    is in this sense; that the medians are linked themselves is part of it.
    """
    medians = [c.centre for c in posterior.terms.coordinates]
    middle = np.array([centres(medians, posterior.categories)])
    points = np.tile(middle, (len(grid), 1))
    points[:, action] = grid
    everything = np.ones(len(posterior.actions), dtype=bool)
    verdict = posterior.verdict(points, everything)
    own = supported(posterior, points, posterior.actions)[:, action]
    if verdict is None:
        return own
    near = verdict.close[:, action] & verdict.separated[:, action]
    linked = posterior.linked(np.concatenate([points, middle]), everything)
    return np.asarray(near & linked[:-1] & linked[-1])


def spread_data(spread: Spread, deviations: Array) -> Mapping[str, Any]:
    """What all actions share of the relative variance."""
    return {"height": float(spread.heights[0]), "deviation": packed(deviations[:, 0])}


def part_data(spread: Spread, deviations: Array, action: int, grid: Array) -> Mapping[str, Any]:
    """One action's part of the relative variance along its grid."""
    points = np.tile([c.centre for c in spread.coordinates], (len(grid), 1))
    points[:, action] = grid
    columns = spread.columns_where_set(action)
    features = spread.features(points, np.ones(points.shape, dtype=bool))
    return {
        "hats": packed(features[:, columns]),
        "heights": packed(spread.heights[columns]),
        "deviations": packed(deviations[:, columns]),
    }


def packed(values: NDArray[Any]) -> str:
    """An array as base64 of its numbers, row by row."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()
