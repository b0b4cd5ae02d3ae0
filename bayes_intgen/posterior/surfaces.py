"""Functions of two coordinates in a fit: interactions of actions, and biases at the rows."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import xarray as xr

from bayes_intgen._arguments import whole_number
from bayes_intgen._typing import Array
from bayes_intgen.basis.control import ControlBasis
from bayes_intgen.data.rows import Rows
from bayes_intgen.errors import PointsError
from bayes_intgen.models.terms import Interaction
from bayes_intgen.posterior.curves import points_along
from bayes_intgen.posterior.defaults import levels_of, varied
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of, tails_of
from bayes_intgen.text.messages import quoted, refuse_unknown_actions

# Maximum number of rows in a picture.
DRAWN_ROWS = 5_000


def pair_of(posterior: PosteriorDraws, first: str, second: str) -> tuple[int, int]:
    """Positions of two actions whose interaction is in the fit, in the order of the names.

    Raises
    ------
    PointsError
        For unknown names, the same name twice, or a pair whose interaction is not in the fit.

    Examples
    --------
    >>> pair_of(posterior, "red", "red")
    Traceback (most recent call last):
    bayes_intgen.errors.PointsError: 'red' is named twice; an interaction is of two actions
    """
    refuse_unknown_actions((first, second), posterior.actions, PointsError)
    if first == second:
        raise PointsError(f"{first!r} is named twice; an interaction is of two actions")
    pair = (posterior.actions.index(first), posterior.actions.index(second))
    known = posterior.terms.interactions
    if pair not in known and pair[::-1] not in known:
        if not known:
            raise PointsError(
                "the fit has no interactions; bi.models.additive(interactions="
                f"[({first!r}, {second!r})]) puts this one into every fit"
            )
        pairs = [tuple(posterior.actions[i] for i in own) for own in known]
        raise PointsError(
            f"the fit has no interaction of {first!r} and {second!r}; it has those of "
            f"{quoted(pairs)}"
        )
    return pair


def interaction_surface(
    posterior: PosteriorDraws,
    first: str,
    second: str,
    default: Array,
    *,
    size: int = 40,
    level: float = 0.9,
) -> xr.Dataset:
    """Interaction of two actions over their ranges or levels.

    Parameters are those of ``Posterior.plot_interaction``; ``default``, shape (K,), has the values
    of the other actions, which matter for support only, and ``level`` is the probability of the
    interval.

    Returns
    -------
    Dataset
        ``mean`` (x, y): the posterior mean at values of the first and the second action, in the
        outcome's units. ``half_width`` (x, y): half the width of the central interval.
        ``why`` (x, y) the joint effect is not supported, in words, empty where it is. Coordinates:
        ``x`` and ``y``, the values; ``x_label`` and ``y_label`` if the action has levels.
        Attributes ``first``, ``second``, ``outcome``, ``level``, and ``population``, if there are
        covariates or groups.

    Raises
    ------
    PointsError
        As :func:`pair_of`.

    Examples
    --------
    >>> interaction_surface(posterior, "red", "green", posterior.default_point)
    Traceback (most recent call last):
    bayes_intgen.errors.PointsError: the fit has no interactions; \
bi.models.additive(interactions=[('red', 'green')]) puts this one into every fit
    """
    j, k = pair_of(posterior, first, second)
    size = whole_number(size, "size", 2, PointsError)
    x, y = (points_along(posterior, i, default, size)[:, i] for i in (j, k))
    points = varied(default, [j, k], np.array([*product(x, y)]))
    known, prediction = posterior.terms.interactions, prediction_of(posterior)
    own = (j, k) if (j, k) in known else (k, j)
    basis, columns = known[own]
    draws = prediction.coefficients[..., columns] @ basis.matrix(points[:, list(own)]).T
    low, high = np.quantile(draws, tails_of(level), axis=(0, 1))
    verdict = support_of(posterior).verdict(points, np.ones(points.shape[1], dtype=bool))
    cells = {"mean": draws.mean(axis=(0, 1)), "half_width": (high - low) / 2, "why": verdict.why}
    coords = {"x": ("x", x), "y": ("y", y)}
    for dim, i in (("x", j), ("y", k)):
        if (levels := levels_of(posterior)[i]) is not None:
            coords[f"{dim}_label"] = (dim, np.array(levels.labels, dtype=object))
    attrs = {"first": first, "second": second, "outcome": posterior.predictor_name}
    return xr.Dataset(
        {name: (("x", "y"), own.reshape(len(x), len(y))) for name, own in cells.items()},
        coords,
        {**attrs, "level": level, **posterior.averages.attrs},
    )


def bias_of_rows(posterior: PosteriorDraws, data: Rows, action: str) -> xr.Dataset:
    """Bias of an action at rows in which it was not set.

    Parameters are those of ``Posterior.plot_bias``.

    Returns
    -------
    Dataset, dim row
        ``bias``, the posterior mean in the outcome's units, ``action``, coded if it has levels, and
        its ``control`` variable. Attributes ``action`` and ``outcome``.

    Raises
    ------
    PointsError
        If the action is unknown, or its bias has no control variable.

    Examples
    --------
    >>> bias_of_rows(posterior, data, "red")
    Traceback (most recent call last):
    bayes_intgen.errors.PointsError: the bias of 'red' has no control variable: no observed cause \
is likely to move it
    """
    data = support_of(posterior).rows_of_fit(data).this_period
    refuse_unknown_actions([action], posterior.actions, PointsError)
    k, terms = posterior.actions.index(action), posterior.terms
    own = tuple(part for part in terms.parts if part.role == "bias" and part.action == k)
    bases = [(t.component.basis, list(t.inputs)) for t in own]
    controls = [(b.control, i) for b, i in bases if isinstance(b, ControlBasis)]
    if not controls:
        unlikely, named = "no observed cause is likely to move it", "its levels have no order"
        why = unlikely if terms.is_ordered(k) else named
        raise PointsError(f"the bias of {action!r} has no control variable: {why}")
    rows = data.in_memory.sample(DRAWN_ROWS)
    inputs = rows.inputs[~rows.intervened[:, k]]
    (control, of_control), *_ = controls
    functions = replace(terms, terms=own).matrix(inputs)
    mean = prediction_of(posterior).coefficients.mean(axis=(0, 1))
    of_bias = np.concatenate([mean[terms.columns[term.name]] for term in own])
    columns = {
        "bias": functions @ of_bias,
        "action": inputs[:, k],
        "control": control.matrix(inputs[:, of_control])[:, 0],
    }
    attrs = {"action": action, "outcome": posterior.predictor_name}
    return xr.Dataset({name: ("row", values) for name, values in columns.items()}, attrs=attrs)


def interaction_sd(
    posterior: PosteriorDraws, pairs: Mapping[tuple[int, int], Interaction] | None = None
) -> xr.Dataset:
    """Standard deviation of functions of two actions over the rows of the data.

    Rows are the reference rows of each regime, weighted by the number of rows of the regime.

    Parameters
    ----------
    posterior : PosteriorDraws
    pairs : mapping from pair of positions to Interaction, optional
        By default the interactions in the fit.

    Returns
    -------
    Dataset
        ``sd`` (chain, draw, pair), in the outcome's units; ``sd_of_mean`` (pair), the same of the
        posterior mean. Coordinate ``pair``, and ``first`` and ``second`` (pair), name the actions.

    Examples
    --------
    >>> interaction_sd(posterior).sd.dims
    ('chain', 'draw', 'pair')
    """
    terms, support = posterior.terms, support_of(posterior)
    prediction, reference = prediction_of(posterior), support.reference
    pairs = terms.interactions if pairs is None else pairs
    sd = np.empty((*prediction.sd.shape, len(pairs)))
    of_mean, rows = np.empty(len(pairs)), np.concatenate(reference.rows)
    shares = reference.shares(support.regimes)
    for i, ((j, k), (basis, columns)) in enumerate(pairs.items()):
        functions = basis.matrix(rows[:, [j, k]])
        centred = functions - shares @ functions
        covariance = (centred * shares[:, None]).T @ centred
        coefficients = prediction.coefficients[..., columns]
        sd[..., i] = _sd_of(coefficients, covariance)
        of_mean[i] = _sd_of(coefficients.mean(axis=(0, 1)), covariance)
    names = np.array([[terms.names[i] for i in pair] for pair in pairs], dtype=str).reshape(-1, 2)
    first, second = names.T
    return xr.Dataset(
        {"sd": (("chain", "draw", "pair"), sd), "sd_of_mean": ("pair", of_mean)},
        coords={
            "pair": np.array([", ".join(pair) for pair in names.tolist()], dtype=str),
            "first": ("pair", first),
            "second": ("pair", second),
        },
        attrs={"outcome": posterior.predictor_name},
    )


def _sd_of(coefficients: Array, covariance: Array) -> Array:
    """Standard deviation of functions, from the covariance of the basis functions over rows."""
    variance = ((coefficients @ covariance) * coefficients).sum(axis=-1)
    # Rounding may make the variance of a constant negative.
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))
