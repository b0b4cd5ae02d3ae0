"""The posterior of the hyperparameters' logarithms, laid flat, for NUTS to differentiate.

The density is that of :meth:`bayes_intgen.models.Model.program` with the coefficients
integrated out. Functions are cached by evidence and layout, so that JAX finds what it has compiled
before.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.inference.density.log_density import FlatLayout, Given, Potential
from bayes_intgen.models.hyperpriors import Hyperpriors

# Log density of the data at log prior standard deviations of the coefficients, shape (P,), and the
# noise's standard deviation; first what it is computed from.
Evidence = Callable[[Any, jax.Array, jax.Array], jax.Array]
# That, and with it a draw of the coefficients about their prior means, of standard normal numbers.
EvidenceAndDraw = Callable[[Any, jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


class FlatPrior(NamedTuple):
    """The prior of all hyperparameters' logarithms, laid flat: independent and normal.

    Attributes
    ----------
    mean, sd : (D,)
    constant : ()
        What makes it a density.
    """

    mean: Array
    sd: Array
    constant: Array

    @classmethod
    def of(cls, priors: Hyperpriors, layout: FlatLayout) -> Self:
        """Of hyperparameters that are laid flat so."""
        mean, sd = layout.flat(priors.start), layout.flat(priors.prior_sd)
        return cls(mean, sd, np.asarray(-np.sum(np.log(sd) + 0.5 * np.log(2 * np.pi))))

    def log_density(self, flat: Any) -> Any:
        """At a vector of NumPy or JAX, shape (D,)."""
        return self.constant - 0.5 * (((flat - self.mean) / self.sd) ** 2).sum()


# What both functions are of; the last is the first argument of the evidence.
Data = tuple[FlatPrior, Hyperpriors, Any]


@lru_cache(maxsize=64)
def potential_of(evidence: Evidence, layout: FlatLayout) -> Potential:
    """Minus the log density."""

    def of_data(data: Data) -> Callable[[jax.Array], jax.Array]:
        prior, _, found = data

        def potential(flat: jax.Array) -> jax.Array:
            log_evidence = evidence(found, *_sds(data, layout, flat))
            return jnp.asarray(-prior.log_density(flat) - log_evidence)

        return potential

    return of_data


@lru_cache(maxsize=64)
def given_of(evidence_and_draw: EvidenceAndDraw, layout: FlatLayout) -> Given:
    """As :func:`potential_of`, with a draw of the coefficients."""

    def of_data(data: Data) -> Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
        prior, priors, found = data

        def given(flat: jax.Array, normal: jax.Array) -> tuple[jax.Array, jax.Array]:
            log_evidence, draw = evidence_and_draw(found, *_sds(data, layout, flat), normal)
            return -prior.log_density(flat) - log_evidence, jnp.asarray(priors.mean) + draw

        return given

    return of_data


def _sds(data: Data, layout: FlatLayout, flat: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Log prior standard deviations of the coefficients, shape (P,), and ``noise_sd``, shape ()."""
    sites = layout.sites(jnp.exp(flat))
    return data[1].log_sd(sites, jnp), sites["noise_sd"]
