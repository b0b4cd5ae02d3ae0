"""Prior and posterior of the hyperparameters' logarithms as functions of a flat vector.

The density is that of :meth:`bayes_intgen.models.Model.program` with the coefficients integrated
out. Functions with the same evidence and layout are equal, so that JAX recognises those that it has
compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.inference.density.log_density import FlatLayout
from bayes_intgen.inference.gaussian.conditional import log_marginal_and_draw
from bayes_intgen.models.hyperpriors import Hyperpriors

# Nested arrays for JAX. The kernels are part of the structure.
jax.tree_util.register_dataclass(
    Hyperpriors,
    [field.name for field in fields(Hyperpriors) if field.name != "kernels"],
    ["kernels"],
)

# Log marginal likelihood from statistics of the data, log prior standard deviations of the
# coefficients, shape (P,), and the standard deviation of the noise.
type Evidence = Callable[[Any, jax.Array, jax.Array], jax.Array]


class FlatPrior(NamedTuple):
    """Prior of the logarithms of all hyperparameters: independent and normal.

    Attributes
    ----------
    mean, sd : (D,)
    constant : ()
        Log of the normalising constant.
    """

    mean: Array
    sd: Array
    constant: Array

    @classmethod
    def of(cls, priors: Hyperpriors, layout: FlatLayout) -> Self:
        """Arrange the priors of all hyperparameters as a layout says."""
        mean, sd = layout.flat(priors.start), layout.flat(priors.prior_sd)
        return cls(mean, sd, np.asarray(-np.sum(np.log(sd) + 0.5 * np.log(2 * np.pi))))

    def padded(self, padding: int) -> Self:
        """Append standard normal sites; the constant stays, so that they only lower the density."""
        return self._replace(
            mean=np.append(self.mean, np.zeros(padding)), sd=np.append(self.sd, np.ones(padding))
        )

    def log_density(self, flat: Any) -> Any:
        """Evaluate the log density at vectors of NumPy or JAX, shape (..., D)."""
        return self.constant - 0.5 * (((flat - self.mean) / self.sd) ** 2).sum(-1)


# Argument of both functions below; the last element is the first argument of the evidence.
Data = tuple[FlatPrior, Hyperpriors, Any]


@dataclass(frozen=True)
class MarginalPotential:
    """Minus the log posterior density of the hyperparameters.

    Attributes
    ----------
    evidence : callable
    layout : FlatLayout
    """

    evidence: Evidence
    layout: FlatLayout

    def __call__(self, data: Data) -> Callable[[jax.Array], jax.Array]:
        prior, _, statistics = data

        def potential(flat: jax.Array) -> jax.Array:
            log_evidence = self.evidence(statistics, *_sds(data, self.layout, flat))
            return jnp.asarray(-prior.log_density(flat) - log_evidence)

        return potential


@dataclass(frozen=True)
class MarginalPotentialAndDraw:
    """:class:`MarginalPotential` of the exact evidence, with a draw of the coefficients."""

    layout: FlatLayout

    def __call__(self, data: Data) -> Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
        prior, priors, statistics = data

        def potential_and_draw(flat: jax.Array, normal: jax.Array) -> tuple[jax.Array, jax.Array]:
            sds = _sds(data, self.layout, flat)
            log_evidence, draw = log_marginal_and_draw(statistics, *sds, normal)
            return -prior.log_density(flat) - log_evidence, jnp.asarray(priors.mean) + draw

        return potential_and_draw


def _sds(data: Data, layout: FlatLayout, flat: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Log prior standard deviations of the coefficients, shape (P,), and ``noise_sd``, shape ()."""
    sites = layout.sites(jnp.exp(flat))
    return data[1].log_sd(sites, jnp), sites["noise_sd"]
