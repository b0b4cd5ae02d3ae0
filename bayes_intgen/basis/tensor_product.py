"""Composite bases: concatenations, and tensor products of limited total order."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.group_indicators import CentredBasis, GroupIndicators
from bayes_intgen.basis.piecewise_linear import PiecewiseLinear


@dataclass(frozen=True, eq=False)
class ConcatenatedBasis:
    """Functions of two bases of the same action, one after the other."""

    first: Basis
    second: Basis

    @property
    def size(self) -> int:
        return self.first.size + self.second.size

    def matrix(self, actions: Array) -> Array:
        return np.concatenate([self.first.matrix(actions), self.second.matrix(actions)], axis=1)


@dataclass(frozen=True, eq=False)
class TensorProductBasis:
    """Tensor product of bases of several actions, up to a total order.

    Contains the product of function i of the first factor, function j of the second, and so on, if
    their degrees of roughness sum to less than ``order``.

    Attributes
    ----------
    factors : tuple of Basis
        One per input, with functions from smooth to rough.
    order : int
    """

    factors: tuple[Basis, ...]
    order: int

    @cached_property
    def indices(self) -> NDArray[np.int_]:
        """Position of the function of each factor in each product, shape (factors, size)."""
        indices = np.indices([factor.size for factor in self.factors])
        degrees = [degrees_of(factor) for factor in self.factors]
        total = np.sum([d[i] for d, i in zip(degrees, indices, strict=True)], axis=0)
        return indices[:, total < self.order]

    @property
    def size(self) -> int:
        return int(self.indices.shape[1])

    def multiplied(self, values: Sequence[Array]) -> Array:
        """Multiply values of the factors' functions, each (factor.size, n), to shape (size, n)."""
        out = values[0][self.indices[0]]
        for factor_values, positions in zip(values[1:], self.indices[1:], strict=True):
            out *= factor_values[positions]
        return np.asarray(out)

    def matrix(self, actions: Array) -> Array:
        values = [f.matrix(actions[:, [i]]).T for i, f in enumerate(self.factors)]
        return self.multiplied(values).T


def degrees_of(basis: Basis) -> NDArray[np.int_]:
    """Degree of roughness of each function of a basis, from zero, shape (size,)."""
    if isinstance(basis, PiecewiseLinear | GroupIndicators):
        return basis.degrees
    if isinstance(basis, CentredBasis):
        return degrees_of(basis.basis)
    if isinstance(basis, ConcatenatedBasis):
        first = degrees_of(basis.first)
        return np.concatenate([first, first.max() + 1 + degrees_of(basis.second)])
    return np.arange(basis.size)
