"""Log densities of the hyperparameters' logarithms as functions of flat vectors, for NUTS.

The density is that of :meth:`bayes_intgen.models.Model.program` with the coefficients integrated
out. Compiled functions are cached by the potential and the shapes of its data, not by the data: a
second fit of the same kind compiles nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.inference.gaussian.conditional import log_marginal_and_draw
from bayes_intgen.models.hyperpriors import Hyperpriors

# A function of the data that returns a function of the flat unconstrained sites, so that the data
# are arguments of the compiled program rather than constants within it.
type Potential = Callable[[Any], Callable[[jax.Array], jax.Array]]
# The same, for a function of the flat sites and of standard normal numbers, shape (P,), that also
# returns a draw of the coefficients.
type PotentialAndDraw = Callable[
    [Any], Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
]
ValueAndGrad = Callable[[Array], tuple[float, Array]]


@dataclass(frozen=True)
class LogDensity:
    """Log density over flat vectors of unconstrained sites.

    Attributes
    ----------
    potential : Potential
        Minus the log density, for NUTS to differentiate.
    data : nested tuples and dataclasses of arrays
        Argument of ``potential``.
    value_and_grad : callable
        Potential and gradient at a single point, by any means.
    padding : int
        Number of standard normal sites that ``potential`` expects at the end of flat vectors, on
        which nothing depends: densities of nearly equal size share compiled programs. The sampler
        leaves them at zero.
    """

    potential: Potential
    data: Any
    value_and_grad: ValueAndGrad
    padding: int = 0


@dataclass(frozen=True, kw_only=True)
class MarginalDensity(LogDensity):
    """Log density that has marginalised P coefficients, and can draw them given the sites.

    Attributes
    ----------
    potential_and_draw : PotentialAndDraw
        ``potential``, and a draw of the coefficients.
    n_coefficients : int
        Their number P.
    draw : callable
        A draw at a single flat vector, without compilation.
    """

    potential_and_draw: PotentialAndDraw
    n_coefficients: int
    draw: Callable[[Array, np.random.Generator], Array]


def padding_to(step: int, size: int) -> int:
    """Smallest number that makes a size a whole number of steps.

    Examples
    --------
    >>> padding_to(16, 100)
    12
    """
    return -size % step


def padded_size(count: int) -> int:
    """Number of coefficients to which statistics are padded: fits of similar size share programs.

    Examples
    --------
    >>> [padded_size(count) for count in (50, 100, 150)]
    [64, 128, 192]
    """
    return count + padding_to(16 if count <= 64 else 64, count)


@dataclass(frozen=True)
class FlatLayout:
    """Order of unconstrained sites in a flat vector: one after the other, by name.

    Attributes
    ----------
    shapes : tuple of (str, tuple of int)
        Names and shapes of the sites.
    """

    shapes: tuple[tuple[str, tuple[int, ...]], ...]

    @classmethod
    def of(cls, sites: Mapping[str, Any]) -> Self:
        """Arrange sites, a mapping from their names to arrays of their shapes."""
        return cls(tuple((name, np.shape(sites[name])) for name in sorted(sites)))

    @cached_property
    def _sizes(self) -> list[int]:
        return [math.prod(shape) for _, shape in self.shapes]

    @cached_property
    def size(self) -> int:
        """Length of flat vectors."""
        return sum(self._sizes)

    def flat(self, sites: Mapping[str, Any]) -> Array:
        """Concatenate the values of all sites into one vector, shape (D,)."""
        return np.concatenate([np.ravel(sites[name]) for name, _ in self.shapes])

    def sites(self, flat: Any) -> dict[str, Any]:
        """Split flat vectors of any leading shape (..., D) into sites."""
        sites, begin = {}, 0
        for (name, shape), size in zip(self.shapes, self._sizes, strict=True):
            end = begin + size
            sites[name] = flat[..., begin:end].reshape((*flat.shape[:-1], *shape))
            begin = end
        return sites

    @property
    def positions(self) -> dict[str, Array]:
        """Indices of each site in a flat vector."""
        return {name: np.ravel(index) for name, index in self.sites(np.arange(self.size)).items()}


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


# Argument of the potentials; the last element is the first argument of the evidence.
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
