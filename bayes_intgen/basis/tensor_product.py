"""Bases made of others: concatenations, and products of total order."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.piecewise_linear import PiecewiseLinear


@dataclass(frozen=True, eq=False)
class ConcatenatedBasis:
    """Two bases of the same action side by side."""

    first: Basis
    second: Basis

    @property
    def size(self) -> int:
        return self.first.size + self.second.size

    def matrix(self, actions: Array) -> Array:
        return np.concatenate([self.first.matrix(actions), self.second.matrix(actions)], axis=1)


@dataclass(frozen=True, eq=False)
class TensorProductBasis:
    """Products of functions of several actions, up to a total order.

    Function i of the first factor times function j of the second, and so on, for
    ``i + j + ... < order`` (counted from zero): the smooth products before the rough ones.
    Functions that are all alike, such as levels, count as zero each.

    Attributes
    ----------
    factors : tuple of Basis
        One for each input, with functions from smooth to rough.
    order : int
    """

    factors: tuple[Basis, ...]
    order: int

    @cached_property
    def kept(self) -> NDArray[np.int_]:
        """Which function of each factor enters each product, shape (factors, size)."""
        indices = np.indices([factor.size for factor in self.factors])
        degrees = [degrees_of(factor) for factor in self.factors]
        total = np.sum([d[i] for d, i in zip(degrees, indices, strict=True)], axis=0)
        return indices[:, total < self.order]

    @property
    def size(self) -> int:
        return int(self.kept.shape[1])

    def multiplied(self, values: Sequence[Array]) -> Array:
        """The products, shape (size, n), of the factors' functions, each (factor.size, n)."""
        out = values[0][self.kept[0]]
        for of_factor, chosen in zip(values[1:], self.kept[1:], strict=True):
            out *= of_factor[chosen]
        return np.asarray(out)

    def matrix(self, actions: Array) -> Array:
        values = [f.matrix(actions[:, [i]]).T for i, f in enumerate(self.factors)]
        return self.multiplied(values).T


def degrees_of(basis: Basis) -> NDArray[np.int_]:
    """How rough each function of a basis is, counted from zero, shape (size,)."""
    if isinstance(basis, PiecewiseLinear):
        return basis.degrees
    if isinstance(basis, ConcatenatedBasis):
        first = degrees_of(basis.first)
        return np.concatenate([first, first.max() + 1 + degrees_of(basis.second)])
    return np.arange(basis.size)
