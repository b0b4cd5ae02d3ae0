"""Log densities over flat vectors, for NUTS.

Compiled functions are cached by the potential and the shapes of its data, not by the data: a second
fit of the same kind compiles nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import jax
import numpy as np

from bayes_intgen._typing import Array

# A function of the data that returns a function of the flat unconstrained sites, so that the data
# are arguments of the compiled program rather than constants within it.
type Potential = Callable[[Any], Callable[[jax.Array], jax.Array]]
# The same, for a function of the flat sites and of standard normal numbers, shape (P,), that also
# returns a draw of the coefficients.
type PotentialAndDraw = Callable[
    [Any], Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
]
ValueAndGrad = Callable[[Array], tuple[float, Array]]


class LogDensity(NamedTuple):
    """Log density over flat vectors of unconstrained sites.

    Attributes
    ----------
    potential : Potential
        Minus the log density, for NUTS to differentiate.
    data : nested tuples and dataclasses of arrays
        Argument of ``potential``.
    value_and_grad : callable
        Potential and gradient at a single point, by any means.
    potential_and_draw : PotentialAndDraw, optional
        ``potential``, and a draw of the P coefficients that the density has marginalised, from
        their distribution given the sites.
    n_coefficients : int
        Number P of these coefficients.
    draw : callable, optional
        The same draw at a single flat vector, from standard normal numbers (P,), without
        compilation; required with ``potential_and_draw``.
    padding : int
        Number of standard normal sites at the end of flat vectors, on which nothing depends:
        densities of nearly equal size share compiled programs. The sampler leaves them at zero.
    """

    potential: Potential
    data: Any
    value_and_grad: ValueAndGrad
    potential_and_draw: PotentialAndDraw | None = None
    n_coefficients: int = 0
    draw: Callable[[Array, Array], Array] | None = None
    padding: int = 0


def padding_to(step: int, size: int) -> int:
    """Smallest number that makes a size a whole number of steps, which double from 16 steps on.

    Examples
    --------
    >>> padding_to(16, 100), padding_to(16, 300)
    (12, 20)
    """
    return -size % (step if size < 16 * step else 2 * step)


def padded_size(count: int) -> int:
    """Number of coefficients to which a density that NUTS samples itself is padded.

    One size from 64 to 144: most such fits of two or three actions share it.

    Examples
    --------
    >>> [padded_size(count) for count in (50, 100, 150)]
    [64, 144, 192]
    """
    if count <= 64:
        return count + padding_to(16, count)
    return max(count + padding_to(48, count), 144)


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
