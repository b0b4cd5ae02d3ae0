"""The posterior of the hyperparameters, coefficients integrated out, for given sums over rows."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayes_intgen.bases import Array
from bayes_intgen.decomposition import Decomposition
from bayes_intgen.gram import Sums, conditional_moments, draw_coefficients
from bayes_intgen.hyperpriors import Hyperpriors
from bayes_intgen.models import Model
from bayes_intgen.models.base import collapsed
from bayes_intgen.targets import Target


class Collapsed:
    """The posterior of the hyperparameters under a decomposition, given sums over rows.

    Padded to a multiple of 16 coefficients, so that fits of nearly equal size share what is
    compiled.
    """

    def __init__(self, model: Model, terms: Decomposition, sums: Sums) -> None:
        self.terms = terms
        size = -(-terms.size // 16) * 16
        self.sums = sums.padded(size)
        self.priors = model.hyperpriors(terms).padded(size)
        self.target = Target(collapsed, (self.priors, self.sums), self.priors.start)

    @property
    def prior_sd(self) -> Array:
        """Prior standard deviations of the unconstrained hyperparameters, shape (D,)."""
        return self.target.flat(self.priors.prior_sd)

    def point(self, sites: Mapping[str, Any], terms: Decomposition) -> Array:
        """Hyperparameters found for other terms, as a starting point of these, shape (D,).

        Those that have none there start at their prior medians.
        """
        start = self.target.start.copy()
        labels = {"scale": terms.scaled, "lengthscale": tuple(terms.lengthscales)}
        own = {"scale": self.terms.scaled, "lengthscale": tuple(self.terms.lengthscales)}
        for name, index in self.target.positions.items():
            if name not in labels:
                start[index] = np.log(sites[name])
                continue
            known = dict(zip(labels[name], np.log(sites.get(name, ())), strict=True))
            for i, label in zip(index, own[name], strict=True):
                start[i] = known.get(label, start[i])
        return start

    def moments(self, sites: dict[str, Array]) -> tuple[Array, Array]:
        """Mean and covariance of the coefficients given the hyperparameters."""
        mean, covariance = _moments(self.priors, self.sums, sites)
        size = self.terms.size
        return np.asarray(mean)[:size], np.asarray(covariance)[:size, :size]

    def draw(self, sites: Mapping[str, Any], keys: jax.Array) -> Array:
        """Coefficients for draws of the hyperparameters, shape (draw, P)."""
        drawn = _draw(self.priors, self.sums, dict(sites), keys)
        return np.asarray(drawn)[:, : self.terms.size]


@jax.jit
def _moments(
    priors: Hyperpriors, sums: Sums, sites: dict[str, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    return conditional_moments(sums, priors.mean, priors.log_sd_at(sites), sites["noise_sd"])


@jax.jit
def _draw(
    priors: Hyperpriors, sums: Sums, sites: dict[str, jax.Array], keys: jax.Array
) -> jax.Array:
    def one(item: tuple[dict[str, jax.Array], jax.Array]) -> jax.Array:
        sites, key = item
        log_sd = priors.log_sd_at(sites)
        return draw_coefficients(key, sums, priors.mean, log_sd, sites["noise_sd"])

    return jnp.asarray(jax.lax.map(one, (sites, keys)))
