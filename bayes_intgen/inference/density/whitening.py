"""Reparameterisation in which weights and scales are nearly independent a posteriori.

With coefficients m + s w that the rows determine well, standard normal weights w and scales s trade
off sharply, and NUTS takes hundreds of small steps. A Gaussian approximation by blocks (`blocks`)
gives the conditional distribution of a block's weights, N(R^-T h, (R R')^-1) with
R R' = I + S G S. In the coordinates R' w - h the posterior is about standard normal for all
hyperparameters. The density remains that of the program, however good the approximation, times the
Jacobian 1 / det R.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from bayes_intgen._lazy import jax, jax_linalg, jnp, lax
from bayes_intgen._typing import Array
from bayes_intgen.inference.density.blocks import MAX_PRECISION_RATIO, block_statistics
from bayes_intgen.inference.density.expansion_point import ExpansionPoint
from bayes_intgen.inference.density.log_density import FlatLayout, Potential
from bayes_intgen.inference.density.nested import flatten, rebuild
from bayes_intgen.models.hyperpriors import Hyperpriors

if TYPE_CHECKING:
    from jax.typing import ArrayLike

# Minimum variance of whitened weights, below which rounding could make one negative.
MIN_VARIANCE = 1e-12


class Whitening(NamedTuple):
    """Gaussian approximation of G blocks of weights given the hyperparameters.

    Each block is padded with zeros to p coefficients, in units of their prior standard deviations
    at the expansion point.

    Attributes
    ----------
    priors : Hyperpriors
        Of the coefficients block by block, shape (G p,).
    precision : (G, p, p), information : (G, p)
        Data precision and information of each block under unit noise, with the other blocks
        marginalised.
    log_reference : (G, p)
        Log prior standard deviations at the expansion point, in units of the noise's.
    place : (P,) of int
        Position of each coefficient in the padded blocks.
    """

    priors: Hyperpriors
    precision: ArrayLike
    information: ArrayLike
    log_reference: ArrayLike
    place: ArrayLike

    @classmethod
    def of(
        cls,
        expansion: ExpansionPoint,
        blocks: list[NDArray[np.int_]],
        max_precision_ratio: float = MAX_PRECISION_RATIO,
    ) -> Self:
        """Approximate the weights by blocks; parameters are those of :func:`block_statistics`.

        Raises
        ------
        LinAlgError
            If rounding leaves a block's precision given the others not positive definite.
        """
        approximation = block_statistics(expansion, blocks, np.float64, max_precision_ratio)
        statistics = approximation.statistics
        precision, mean = np.asarray(statistics.precision), np.asarray(statistics.mean)
        information = mean + np.einsum("gij,gj->gi", precision, mean)
        place = np.empty(len(expansion.sd), dtype=int)
        for i, block in enumerate(blocks):
            place[block] = i * mean.shape[1] + np.arange(len(block))
        return cls(approximation.priors, precision, information, statistics.log_reference, place)

    @classmethod
    def none(cls, priors: Hyperpriors) -> Self:
        """Leave the weights as they are."""
        size = len(priors.mean)
        zeros = np.zeros((size, 1))
        return cls(priors, zeros[..., None], zeros, zeros, np.arange(size))

    def covariance(self, expansion: ExpansionPoint) -> Array:
        """Covariance of the whitened weights at the expansion point, shape (P, P)."""
        precision, place = np.asarray(self.precision), np.asarray(self.place)
        roots = block_diag(*np.linalg.cholesky(np.eye(precision.shape[1]) + precision))
        root = roots[np.ix_(place, place)]
        values, vectors = np.linalg.eigh(root.T @ expansion.covariance @ root)
        return np.asarray(vectors * np.clip(values, MIN_VARIANCE, None) @ vectors.T)

    def weights(self, sites: Mapping[str, Any]) -> tuple[jax.Array, jax.Array]:
        """Compute the weights, shape (P,), and log det R.

        Parameters
        ----------
        sites : mapping
            Logarithms of the hyperparameters, and whitened weights as site ``weights``.
        """
        shape = np.shape(self.log_reference)
        priors = {name: jnp.exp(sites[name]) for name in self.priors.sites}
        log_sd = self.priors.log_sd(priors, jnp).reshape(shape)
        ratio = jnp.exp(log_sd - sites["noise_sd"] - self.log_reference)
        one = jnp.eye(shape[1])
        factor = jnp.linalg.cholesky(one + self.precision * ratio[:, :, None] * ratio[:, None, :])
        information = ratio * self.information * jnp.exp(-sites["noise_sd"])
        half = jax_linalg.solve_triangular(factor, information[..., None], lower=True)
        white = jnp.zeros(np.prod(shape)).at[self.place].set(sites["weights"]).reshape(shape)
        weights = jax_linalg.solve_triangular(
            factor, half + white[..., None], lower=True, trans="T"
        )
        log_det = jnp.sum(jnp.log(jnp.diagonal(factor, axis1=1, axis2=2)))
        return weights.reshape(-1)[self.place], log_det


@lru_cache(maxsize=64)
def whitened(potential: Potential, layout: FlatLayout) -> Potential:
    """Potential over flat vectors with whitened weights in place of the weights.

    Its data are a pair: those of ``potential``, and a :class:`Whitening`.
    """

    def of_data(data: tuple[Any, Whitening]) -> Callable[[jax.Array], jax.Array]:
        arguments, whitening = data

        def at(flat: jax.Array) -> jax.Array:
            weights, log_det = whitening.weights(layout.sites(flat))
            return potential(arguments)(_with_weights(layout, flat, weights)) + log_det

        return at

    return of_data


def unwhitened(layout: FlatLayout, whitening: Whitening, flat: Array) -> Array:
    """Replace whitened weights in flat vectors (..., D) by the weights."""
    points = jnp.asarray(flat.reshape(-1, flat.shape[-1]))
    arrays, structure = flatten(whitening)
    return np.asarray(_unwhitened(layout, structure)(arrays, points)).reshape(flat.shape)


@lru_cache(maxsize=64)
def _unwhitened(layout: FlatLayout, structure: Any) -> Callable[[list[Any], jax.Array], jax.Array]:
    def unwhiten(arrays: list[Any], points: jax.Array) -> jax.Array:
        whitening = rebuild(structure, arrays)

        def one(flat: jax.Array) -> jax.Array:
            return _with_weights(layout, flat, whitening.weights(layout.sites(flat))[0])

        return jnp.asarray(lax.map(one, points))

    return jax.jit(unwhiten)


def _with_weights(layout: FlatLayout, flat: jax.Array, weights: jax.Array) -> jax.Array:
    return flat.at[layout.positions["weights"]].set(weights)
