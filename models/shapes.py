"""Inequalities that the shape of an effect implies for the coefficients.

An effect increases if its differences between rising values of the action are not negative, and is
concave if it lies on or above all of its chords. Both are linear in the coefficients. The effect is
that of setting all actions, so that interactions are a part of it.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.models.mechanisms.mechanism import Shape
from bayes_intgen.models.terms import Decomposition

# Maximum number of values of an interacting action at which a shape holds.
TESTED = 5


class Inequalities(NamedTuple):
    """Linear functions of the coefficients that a shape makes non-negative.

    Attributes
    ----------
    action : int
    rising : bool
        Whether they are differences between two values; otherwise distances above a chord.
    matrix : ndarray, shape (C, P)
    ends : ndarray, shape (C, 2)
        First and last value of the action in each.
    """

    action: int
    rising: bool
    matrix: Array
    ends: Array


def inequalities(
    terms: Decomposition,
    shapes: Mapping[int, Shape],
    actions: Array,
    count: int,
    *,
    neighbours: bool,
) -> Iterator[Inequalities]:
    """List the inequalities of the shapes of actions.

    Parameters
    ----------
    terms : Decomposition
    shapes : mapping from position of an action to Shape
    actions : ndarray, shape (n, K)
        Of the rows.
    count : int
        Number of values of each action that are evenly spaced in its coordinate, and of quantiles;
        all tested values if these are no more.
    neighbours : bool
        Whether to list those of neighbouring values only, which imply all others.
    """
    for k, shape in shapes.items():
        values = _values(terms, k, actions[:, k], count)
        others = _backgrounds(terms, k, actions)
        points = np.repeat(others[:, None], len(values), axis=1)
        points[:, :, k] = values
        flat = points.reshape(-1, points.shape[-1])
        functions = terms.matrix(flat, np.ones(flat.shape, dtype=bool))
        functions = functions.reshape(*points.shape[:2], -1)
        for word in shape.split():
            weights, ends = _weights(values, word, neighbours)
            matrix = np.concatenate([weights @ at_others for at_others in functions])
            yield Inequalities(k, word != "concave", matrix, np.tile(ends, (len(others), 1)))


def _values(terms: Decomposition, k: int, tested: Array, count: int) -> Array:
    """Rising values of an action at which its shape is imposed."""
    coordinate, distinct = terms.coordinates[k], np.unique(tested)
    even = coordinate.inverse_transform(np.linspace(*coordinate.ends, count))
    own = np.quantile(tested, np.linspace(0, 1, count), method="nearest")
    if len(distinct) <= count:
        own = distinct
    values = np.unique(np.clip(np.append(even, own), coordinate.low, coordinate.high))
    # Values that differ by rounding are one.
    apart = np.diff(values, prepend=-np.inf) > 1e-9 * (values[-1] - values[0])
    return np.asarray(values[apart])


def _backgrounds(terms: Decomposition, k: int, actions: Array) -> Array:
    """Values of all actions with tested values of those that interact with one, shape (b, K)."""
    partners = sorted({i for pair in terms.interactions if k in pair for i in pair} - {k})
    tested = [np.unique(actions[:, i]) for i in partners]
    spread = [
        np.quantile(values, np.linspace(0, 1, min(len(values), TESTED)), method="nearest")
        for values in tested
    ]
    combined = np.array(list(product(*spread)))
    out = np.tile(np.median(actions, axis=0), (len(combined), 1))
    out[:, partners] = combined
    return out


def _weights(values: Array, word: str, neighbours: bool) -> tuple[Array, NDArray[np.float64]]:
    """Weights of values in each inequality, shape (C, n), and their ends, shape (C, 2)."""
    size = 3 if word == "concave" else 2
    at = np.array(list(combinations(range(len(values)), size)), dtype=int).reshape(-1, size)
    if neighbours:
        at = at[at[:, -1] - at[:, 0] == size - 1]
    first, last = values[at[:, 0]], values[at[:, -1]]
    weights, lines = np.zeros((len(at), len(values))), np.arange(len(at))
    if word == "concave":
        share = (values[at[:, 1]] - first) / (last - first)
        weights[lines, at[:, 0]], weights[lines, at[:, 2]] = share - 1, -share
        weights[lines, at[:, 1]] = 1
    else:
        sign = 1 if word == "increasing" else -1
        weights[lines, at[:, 0]], weights[lines, at[:, 1]] = -sign, sign
    return weights, np.stack([first, last], axis=1)
