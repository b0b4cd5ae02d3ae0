"""Coordinates of the written-out program in which its weights know nothing of their scales.

With coefficients m + s w, of which the rows know much, standard normal weights w and scales s trade
off sharply, and NUTS takes hundreds of small steps. Groups of coefficients
(`blocks`) with a Gaussian of about the rows' likelihood say what the weights of a
group are given the hyperparameters: N(R^-T h, (R R')^-1), with R R' = I + S G S. In the coordinates
R' w - h the posterior is about standard normal wherever the hyperparameters are. The density is the
program's, whatever the groups say of it, times the Jacobian of the change, 1 / det R.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.typing import ArrayLike
from numpy.typing import NDArray
from scipy.linalg import block_diag

from bayes_intgen._typing import Array
from bayes_intgen.inference.density.blocks import block_statistics
from bayes_intgen.inference.density.expansion_point import ExpansionPoint
from bayes_intgen.inference.density.log_density import FlatLayout, Potential
from bayes_intgen.models.hyperpriors import Hyperpriors

# Rounding leaves smaller variances of white numbers none.
LEAST_VARIANCE = 1e-12


class Whitening(NamedTuple):
    """What a Gaussian says of groups of p coefficients or zeros, given the hyperparameters.

    Coefficients are in units of their prior standard deviations at a reference point, themselves in
    units of the noise's.

    Attributes
    ----------
    priors : Hyperpriors
        Of the coefficients group by group, shape (G p,).
    precision : (G, p, p), information : (G, p)
        Of each group by the data, the others integrated out: of a noise of unit variance.
    log_reference : (G, p)
        Logarithms of the prior standard deviations at the reference point, in units of the noise.
    place : (P,) of int
        Where each coefficient stands.
    """

    priors: Hyperpriors
    precision: ArrayLike
    information: ArrayLike
    log_reference: ArrayLike
    place: ArrayLike

    @classmethod
    def of(cls, reference: ExpansionPoint, groups: list[NDArray[np.int_]]) -> Self:
        """From the coefficients at one point of the hyperparameters, and groups of them.

        Raises
        ------
        LinAlgError
            Where rounding leaves a group no distribution given the others.
        """
        found = block_statistics(reference, groups, np.float64)
        precision, mean = np.asarray(found.groups.precision), np.asarray(found.groups.mean)
        information = mean + np.einsum("gij,gj->gi", precision, mean)
        place = np.empty(len(reference.sd), dtype=int)
        for i, group in enumerate(groups):
            place[group] = i * mean.shape[1] + np.arange(len(group))
        return cls(found.priors, precision, information, found.groups.log_reference, place)

    @classmethod
    def none(cls, priors: Hyperpriors) -> Self:
        """Of nothing known: the white numbers are the weights."""
        size = len(priors.mean)
        one_each = np.zeros((size, 1))
        return cls(priors, one_each[..., None], one_each, one_each, np.arange(size))

    def covariance(self, reference: ExpansionPoint) -> Array:
        """Of the white numbers at the reference point, shape (P, P)."""
        precision, place = np.asarray(self.precision), np.asarray(self.place)
        of_groups = block_diag(*np.linalg.cholesky(np.eye(precision.shape[1]) + precision))
        root = of_groups[np.ix_(place, place)]
        values, vectors = np.linalg.eigh(root.T @ reference.covariance @ root)
        return np.asarray(vectors * np.clip(values, LEAST_VARIANCE, None) @ vectors.T)

    def weights(self, sites: Mapping[str, Any]) -> tuple[jax.Array, jax.Array]:
        """Weights, shape (P,), and log det R.

        Parameters
        ----------
        sites : mapping
            Logarithms of the hyperparameters, and white numbers where the weights would be.
        """
        shape = np.shape(self.log_reference)
        priors = {name: jnp.exp(sites[name]) for name in self.priors.sites}
        log_sd = self.priors.log_sd(priors, jnp).reshape(shape)
        wider = jnp.exp(log_sd - sites["noise_sd"] - self.log_reference)
        one = jnp.eye(shape[1])
        factor = jnp.linalg.cholesky(one + self.precision * wider[:, :, None] * wider[:, None, :])
        told = wider * self.information * jnp.exp(-sites["noise_sd"])
        half = solve_triangular(factor, told[..., None], lower=True)
        white = jnp.zeros(np.prod(shape)).at[self.place].set(sites["weights"]).reshape(shape)
        weights = solve_triangular(factor, half + white[..., None], lower=True, trans="T")
        log_det = jnp.sum(jnp.log(jnp.diagonal(factor, axis1=1, axis2=2)))
        return weights.reshape(-1)[self.place], log_det


@lru_cache(maxsize=64)
def whitened(potential: Potential, layout: FlatLayout) -> Potential:
    """A potential over flat vectors with white numbers in the place of the weights.

    Its data are those of ``potential`` and a :class:`Whitening`.
    """

    def of_data(data: tuple[Any, Whitening]) -> Callable[[jax.Array], jax.Array]:
        arguments, whitening = data

        def at(flat: jax.Array) -> jax.Array:
            weights, log_det = whitening.weights(layout.sites(flat))
            return potential(arguments)(_placed(layout, flat, weights)) + log_det

        return at

    return of_data


def coloured(layout: FlatLayout, whitening: Whitening, flat: Array) -> Array:
    """Flat vectors (..., D) with the weights in the place of white numbers."""
    points = jnp.asarray(flat.reshape(-1, flat.shape[-1]))
    return np.asarray(_coloured(layout, whitening, points)).reshape(flat.shape)


@partial(jax.jit, static_argnums=0)
def _coloured(layout: FlatLayout, whitening: Whitening, points: jax.Array) -> jax.Array:
    def one(flat: jax.Array) -> jax.Array:
        return _placed(layout, flat, whitening.weights(layout.sites(flat))[0])

    return jnp.asarray(jax.lax.map(one, points))


def _placed(layout: FlatLayout, flat: jax.Array, weights: jax.Array) -> jax.Array:
    return flat.at[layout.positions["weights"]].set(weights)
