"""Swaps of two hyperparameters: moves between modes, from one of which NUTS seldom finds the other.

Rows may tell that one of two contributions bends, but not which of them. The posterior of their
scales then has two modes, in each of which one of the scales is large. A Metropolis step that
exchanges both values moves between them. It preserves volume and is its own inverse, so that the
ratio of the densities alone decides. Few posteriors need such moves: they begin where NUTS needs
many draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.models.terms import Decomposition

# Expected number of draws per chain from which on hyperparameters are swapped.
MIN_DRAWS_EXPECTED = 1000
# Maximum correlation of hyperparameters that are swapped: that of most pairs without two modes is
# larger.
MAX_CORRELATION = -0.3

# Position z with unit posterior covariance, potential, and its gradient.
type Point = tuple[jax.Array, jax.Array, jax.Array]


def pairs_of_scales(terms: Decomposition, positions: Sequence[int] | Array) -> NDArray[np.int_]:
    """Pairs of scales of functions of the same inputs, between which the rows may not decide.

    Parameters
    ----------
    terms : Decomposition
    positions : sequence of int
        Positions of all scales in flat vectors.

    Returns
    -------
    ndarray of int, shape (pair, 2)
    """
    inputs = [term.inputs for term in terms.terms if term.fixed_sd is None]
    every = combinations(zip(inputs, positions, strict=True), 2)
    pairs = [(i, j) for (one, i), (other, j) in every if one == other]
    return np.array(pairs, dtype=int).reshape(-1, 2)


def correlated_pairs(draws: Array, pairs: NDArray[np.int_]) -> NDArray[np.int_]:
    """Pairs of sites that are negatively correlated, as they are if there are two modes.

    Parameters
    ----------
    draws : ndarray, shape (..., D)
    pairs : ndarray of int, shape (pair, 2)
        Positions of sites.

    Examples
    --------
    >>> one, other = np.array([0.0, 1.0, 2.0, 0.0]), np.array([0.0, 1.0, 0.0, 2.0])
    >>> correlated_pairs(np.stack([one, one, other], axis=1), np.array([[0, 1], [0, 2]]))
    array([[0, 2]])
    """
    flat = draws.reshape(-1, draws.shape[-1])
    one, other = (flat - flat.mean(axis=0))[:, pairs.T].swapaxes(0, 1)
    # Sites that do not vary have no correlation.
    limit = MAX_CORRELATION * np.sqrt(np.sum(one**2, axis=0) * np.sum(other**2, axis=0))
    return pairs[np.sum(one * other, axis=0) < limit]


def swapped(
    potential: Callable[[jax.Array], jax.Array],
    root: jax.Array,
    point: Point,
    pair: jax.Array,
    uniform: jax.Array,
) -> Point:
    """Propose to swap two sites, and accept or reject.

    Parameters
    ----------
    potential : callable
        Of z.
    root : Array, shape (D, D)
        Lower triangular; flat vectors of the sites are ``root @ z``.
    point : tuple
    pair : Array of int, shape (2,)
        Positions of the sites.
    uniform : Array, shape ()
        Random number in (0, 1).
    """
    flat = root @ point[0]
    flat = flat.at[pair].set(flat[pair[::-1]])
    z = solve_triangular(root, flat, lower=True)
    proposal = z, *jax.value_and_grad(potential)(z)
    accepted = jnp.log(uniform) < point[1] - proposal[1]
    result: Point = jax.tree.map(lambda a, b: jnp.where(accepted, a, b), proposal, point)
    return result
