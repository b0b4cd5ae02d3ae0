"""Data of the explorer, from which the page computes joint effects at any slider positions.

In every draw the joint effect is ``c + sum_k phi_k(a_k) + sum_(j<k) psi_jk(a_j, a_k)``, and the
relative variance under it ``e(a) exp(d(a) / e(a))`` with ``e = e_0 + sum_k e_k(a_k)`` and
``d = d_0 + sum_k d_k(a_k)`` (`VarianceFunction`). Sliders stop at the steps of a grid, on which the
functions of one action are a small basis matrix times the draws of their coefficients; those of
two actions are sums of products (`bayes_intgen.report.pairs`). From them the page reproduces the
computation in Python up to rounding. With covariates or groups, c and phi_k are averages over the
population, and single outcomes are those of one of its units in every draw, whose differences from
the average are functions of the same form.
"""

import base64
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories, short_label
from bayes_intgen.basis.monomials import Atom
from bayes_intgen.models.log_prediction import LogPrediction
from bayes_intgen.models.noise_shape import (
    FREQUENCIES,
    LARGEST_MOVES,
    LEAST_EXPONENT,
    MAX_EXCESS,
    RATIOS,
    NoiseShape,
)
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.models.sinh_arcsinh import (
    BOUNDS,
    DAMPING,
    ITERATIONS,
    LARGEST_STEP,
    NODES,
    RIDGE,
    STEP_RATIO,
    WEIGHTS,
)
from bayes_intgen.models.terms import Term
from bayes_intgen.models.variance_function import VarianceFunction
from bayes_intgen.posterior.defaults import default_point, levels_of
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of
from bayes_intgen.posterior.standardisation import Standardisation
from bayes_intgen.report.pairs import Slider, pairs_of
from bayes_intgen.report.slider_support import (
    REASONS,
    linked_steps,
    reasons_against,
    starting_step,
)

# Maximum number of draws: more would make the page slow to load for little precision.
MAX_DRAWS = 2000
# Maximum number of steps of a slider.
MAX_STEPS = 250
# Singular values of the differences of units, relative to the largest, that are rounding.
RANK_TOLERANCE = 1e-12


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

    return prediction.map_draws(flat)


def has_explorer(posterior: PosteriorDraws, averages: Standardisation | None = None) -> bool:
    """Whether joint effects are computable from functions of one action, or of two.

    Not under a log link, if units of the population differ in the effect of an action: the mean
    over units of a product is no product of such functions.

    Examples
    --------
    >>> has_explorer(posterior)
    True
    """
    prediction = prediction_of(posterior, averages)
    return not (isinstance(prediction, LogPrediction) and prediction.factor_varies)


def explorer_data(
    posterior: PosteriorDraws, averages: Standardisation | None = None
) -> dict[str, Any]:
    """Collect grids, functions and draws for JSON: arrays as base64 of little-endian float64.

    Parameters
    ----------
    posterior : PosteriorDraws
        Of an additive model.
    averages : Standardisation, optional
        Population of the effects.

    Returns
    -------
    dict
        ``population``: its description. ``level_of_draws``: c, shape (draws,); ``unit_levels``:
        the same of a unit, relative to it. For every action ``values`` (steps,), ``start``
        (the step nearest the default point, supported if any is), ``functions`` (steps, P_k),
        ``coefficients`` (draws, P_k), ``unit_functions`` and ``unit_coefficients``, the same of
        a unit relative to the average, ``reasons`` (steps,), positions in the list of the same
        name, 0 where the step is supported beside the default point, ``linked`` (steps,), whether
        it is so beside all other linked steps, and for levels ``labels`` and ``named``, whether
        these are no numbers; with a fitted variance function also ``hats`` (steps, 7),
        ``knot_values`` (7,) and ``deviations`` (draws, 7).
        ``pairs``: for every interaction in the fit the fields of
        :class:`~bayes_intgen.report.pairs.PairData`.
        ``noise``: ``sd`` (draws,), either ``quantiles`` or ``df``, and with a fitted
        variance function ``knot_value`` and ``deviation`` (draws,). With the shape of the noise
        also ``shape_values`` (3,), ``shape_deviations`` (draws, 3), the same of every action with
        its hat functions (3, 7) and (draws, 3, 7), and ``law``: nodes and constants of
        :func:`bayes_intgen.models.sinh_arcsinh.match`. ``kind``: that of the outcome. ``link``:
        under a log link levels and functions include the difference of the log mean from that of
        normal noise; those of a unit subtract it.

    Examples
    --------
    >>> [action["name"] for action in explorer_data(posterior)["actions"]]
    ['red', 'green']
    """
    prediction, terms = thinned(prediction_of(posterior, averages)), posterior.terms
    default, levels = default_point(posterior), levels_of(posterior)
    everywhere = [t for t in terms.terms if t.action is None and t.role != "interaction"]
    functions, coefficients = _functions(prediction, default[None], everywhere, None)
    shift, unit = _deviations(prediction, default[None])
    level = coefficients @ functions[0] + terms.centre + shift[:, 0]
    unit_level = unit[:, 0]
    if isinstance(prediction, LogPrediction):
        shared = _shared_factor(prediction, default[None])
        level, unit_level = level + shared, unit_level - shared
    sliders = [_slider(posterior, default, k, own) for k, own in enumerate(levels)]
    pairs = pairs_of(posterior, prediction, default, [slider for slider, _ in sliders])
    return {
        "outcome": posterior.outcome_name,
        "kind": prediction.kind,
        "link": prediction.link,
        "population": averages.description if averages else "",
        "draws": prediction.sd.size,
        "level_of_draws": packed(level),
        "unit_levels": packed(unit_level),
        "noise": _noise_data(prediction),
        "reasons": list(REASONS),
        "actions": [
            _action_data(posterior, prediction, default, k, own, *sliders[k])
            for k, own in enumerate(levels)
        ],
        "pairs": [pair.packed(packed) for pair in pairs],
    }


def _slider(
    posterior: PosteriorDraws, default: Array, k: int, levels: Categories | None
) -> tuple[Slider, NDArray[np.int_]]:
    """Steps of an action, and the reasons against each."""
    coordinate = posterior.terms.coordinates[k]
    if levels is not None:
        grid = np.array(levels.codes)
    else:
        bases = [t.component.basis for t in posterior.terms.terms if t.action == k]
        atoms = [basis.value for basis in bases if isinstance(basis, Atom)]
        grid = np.union1d(round_grid(coordinate.low, coordinate.high), atoms)
    reasons = reasons_against(posterior, default, k, grid)
    return Slider(grid, starting_step(grid, default[k], reasons == 0), reasons == 0), reasons


def _noise_data(prediction: Prediction) -> dict[str, Any]:
    """Noise of all draws, and its part of the relative variance that all actions share."""
    law, sd = prediction.student_t, prediction.sd[0]
    if law is None:
        noise: dict[str, Any] = {"sd": packed(sd), "quantiles": packed(prediction.quantiles)}
    else:
        noise = {"sd": packed(law.relative_scale * sd), "df": law.df}
    if prediction.shape is not None:
        noise |= _law_data(prediction.shape)
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
    slider: Slider,
    reasons: NDArray[np.int_],
) -> dict[str, Any]:
    """Grid, functions and coefficients of one action, and its part of the relative variance."""
    terms, grid = posterior.terms, slider.values
    points = np.tile(default, (len(grid), 1))
    points[:, k] = grid
    own = [t for t in terms.terms if t.role != "bias" and t.action == k]
    functions, coefficients = _functions(prediction, points, own, k)
    at_default = _deviations(prediction, default[None])
    (shift, unit_functions), (of_shift, unit_coefficients) = zip(
        *(
            _factors(along - fixed)
            for along, fixed in zip(_deviations(prediction, points), at_default, strict=True)
        ),
        strict=True,
    )
    functions = np.concatenate([functions, shift], axis=1)
    coefficients = np.concatenate([coefficients, of_shift], axis=1)
    spread, deviations = prediction.spread, prediction.deviations
    if isinstance(prediction, LogPrediction) and isinstance(spread, VarianceFunction):
        hats, columns = _hats(spread, k, grid), spread.columns_where_set(k)
        values, moved = prediction.log_mean
        factor = values[columns] + moved[0][:, columns]
        functions = np.concatenate([functions, hats], axis=1)
        coefficients = np.concatenate([coefficients, factor], axis=1)
        # Single outcomes are on the scale of the predictor.
        unit_functions = np.concatenate([unit_functions, hats], axis=1)
        unit_coefficients = np.concatenate([unit_coefficients, -factor], axis=1)
    action = {
        "name": terms.names[k],
        "values": packed(grid),
        "start": slider.start,
        "functions": packed(functions),
        "coefficients": packed(coefficients),
        "unit_functions": packed(unit_functions),
        "unit_coefficients": packed(unit_coefficients),
        "reasons": packed(reasons),
        "linked": packed(linked_steps(posterior, default, k, grid)),
    }
    if levels is not None:
        action["labels"] = [short_label(label) for label in levels.labels]
        action["named"] = not levels.numeric
    if isinstance(spread, VarianceFunction) and deviations is not None:
        action |= _variance_data(spread, deviations[0], k, grid)
        if prediction.shape is not None:
            values, moved = prediction.shape
            columns = spread.columns_where_set(k)
            action["shape_values"] = packed(values[:, columns])
            action["shape_deviations"] = packed(moved[0][..., columns])
    return action


def _law_data(shape: NoiseShape) -> dict[str, Any]:
    """Part of the noise's shape that all actions share, and constants of matching laws."""
    return {
        "shape_values": packed(shape.values[:, 0]),
        "shape_deviations": packed(shape.deviations[0][..., 0]),
        "law": {
            "nodes": packed(NODES),
            "weights": packed(WEIGHTS),
            "bounds": packed(BOUNDS),
            "moves": list(LARGEST_MOVES),
            "frequencies": list(FREQUENCIES),
            "ratios": list(RATIOS),
            "least_exponent": LEAST_EXPONENT,
            "max_excess": MAX_EXCESS,
            "iterations": ITERATIONS,
            "damping": DAMPING,
            "largest_step": LARGEST_STEP,
            "step_ratio": STEP_RATIO,
            "ridge": RIDGE,
        },
    }


def _functions(
    prediction: Prediction, points: Array, own: Sequence[Term], action: int | None
) -> tuple[Array, Array]:
    """Functions of some terms at points in the population, (n, P), and coefficients, (draws, P).

    Includes the effects on ``action``, or on the level, of groups that are not in the data.
    """
    terms = prediction.terms
    columns = np.concatenate([np.arange(terms.size)[terms.columns[t.name]] for t in own])
    functions = [terms.functions(points, prediction.population)[:, columns]]
    coefficients = [prediction.coefficients[0][:, columns]]
    for group in prediction.unseen:
        if group.input == action:
            functions.append(group.share * group.functions(points))
            coefficients.append(group.draws[0])
    values, of_draws = np.concatenate(functions, axis=1), np.concatenate(coefficients, axis=1)
    # Functions of covariates average zero over the observational rows.
    used = values.any(axis=0)
    return values[:, used], of_draws[:, used]


def _deviations(prediction: Prediction, points: Array) -> tuple[Array, Array]:
    """Change of the mean in the population of each draw, and of its unit, (draws, n) each."""
    all_set = np.ones(points.shape, dtype=bool)
    shape = (prediction.sd.size, len(points))
    shift = np.broadcast_to(prediction.shift_of_population(points, all_set), (1, *shape))
    return shift[0], prediction.unit_deviations(points, all_set)[0]


def _factors(values: Array) -> tuple[Array, Array]:
    """Few functions, shape (n, r), and coefficients, (draws, r), whose products are the values."""
    if not values.any():
        return np.zeros((values.shape[1], 0)), np.zeros((len(values), 0))
    left, sizes, right = np.linalg.svd(values, full_matrices=False)
    # The others are rounding.
    used = sizes > RANK_TOLERANCE * sizes[0]
    return right[used].T, left[:, used] * sizes[used]


def _shared_factor(prediction: LogPrediction, default: Array) -> Array:
    """Logarithm of the mean minus the predictor, but for the noise's variance, shape (draws,).

    Without the part of it that depends on the actions.
    """
    all_set = np.ones(default.shape, dtype=bool)
    features = prediction.spread.dense_features(default, all_set)
    half = prediction.noise_sd(default, all_set) ** 2 / 2
    along = prediction.log_mean(features)
    values, moved = prediction.log_mean
    total = prediction.log_factor(default, all_set) - half - along
    return np.asarray(total[0, :, 0] + values[0] + moved[0][:, 0])


def _hats(spread: VarianceFunction, action: int, grid: Array) -> Array:
    """Hat functions of one action along its grid, shape (steps, 7)."""
    points = np.tile([c.centre for c in spread.coordinates], (len(grid), 1))
    points[:, action] = grid
    features = spread.dense_features(points, np.ones(points.shape, dtype=bool))
    return np.asarray(features[:, spread.columns_where_set(action)])


def _variance_data(
    spread: VarianceFunction, deviations: Array, action: int, grid: Array
) -> dict[str, Any]:
    """One action's part of the relative variance along its grid."""
    columns = spread.columns_where_set(action)
    return {
        "hats": packed(_hats(spread, action, grid)),
        "knot_values": packed(spread.knot_values[columns]),
        "deviations": packed(deviations[:, columns]),
    }


def packed(values: NDArray[Any]) -> str:
    """Encode an array as base64 of its numbers in row-major order."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()
