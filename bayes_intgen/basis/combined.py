"""Bases made of others: concatenations, tensor products, directions, functions of periods."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import (
    Basis,
    CentredBasis,
    FourierBasis,
    GroupIndicators,
    LinearBasis,
    PiecewiseLinear,
)


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
class SumBasis:
    """Sums over several inputs: function i is that of the first part, plus that of the second, ...

    The inputs share the coefficients, and do not interact.

    Attributes
    ----------
    parts : tuple of CentredBasis
        One per input, of the same size.

    Examples
    --------
    >>> line = PiecewiseLinear.exchangeable(np.array([[0.0], [1.0]]), (0.0, 1.0))
    >>> part = CentredBasis(line, np.zeros(1))
    >>> SumBasis((part, part)).matrix(np.array([[0.0, 1.0], [1.0, 1.0]])).round(3).tolist()
    [[0.0], [1.414]]
    """

    parts: tuple[CentredBasis, ...]

    @property
    def size(self) -> int:
        return self.parts[0].size

    def matrix(self, actions: Array) -> Array:
        values = [part.matrix(actions[:, [i]]) for i, part in enumerate(self.parts)]
        return np.asarray(np.sum(values, axis=0))


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
        out = np.empty((self.size, values[0].shape[1]), dtype=values[0].dtype)
        # Without copies of the factors.
        for own, (first, *others) in zip(out, self.indices.T.tolist(), strict=True):
            own[:] = values[0][first]
            for factor_values, i in zip(values[1:], others, strict=True):
                own *= factor_values[i]
        return out

    def matrix(self, actions: Array) -> Array:
        values = [f.matrix(actions[:, [i]]).T for i, f in enumerate(self.factors)]
        return self.multiplied(values).T


def degrees_of(basis: Basis) -> NDArray[np.int_]:
    """Degree of roughness of each function of a basis, from zero, shape (size,)."""
    if isinstance(basis, GroupIndicators) or (
        isinstance(basis, PiecewiseLinear) and not basis.graded
    ):
        return np.zeros(basis.size, dtype=np.int_)
    if isinstance(basis, CentredBasis):
        return degrees_of(basis.basis)
    if isinstance(basis, FourierBasis):
        return np.arange(basis.size) // 2
    if isinstance(basis, ConcatenatedBasis):
        first, second = degrees_of(basis.first), degrees_of(basis.second)
        # A season is as smooth as a trend, and other functions continue those before them.
        after = 0 if isinstance(basis.second, FourierBasis) else first.max() + 1
        return np.concatenate([first, after + second])
    return np.arange(basis.size)


@dataclass(frozen=True, eq=False)
class KarhunenLoeveBasis:
    """Leading functions of a discrete Karhunen-Loève expansion.

    The prior covariance of a random function is diagonalised with respect to the distribution of
    the data. Each function has the standard deviation that the prior implies along it.

    Attributes
    ----------
    basis : Basis
        Basis in which the random function is given.
    weights : ndarray, shape (basis.size, size)
        Coefficients of each function in that basis, in C order, in which files have them.
    """

    basis: Basis
    weights: Array

    @classmethod
    def of(cls, actions: Array, basis: Basis, sd: Array, size: int) -> Self:
        """Compute the leading functions from prior standard deviations of the coefficients."""
        scaled = basis.matrix(actions) * sd
        values, vectors = np.linalg.eigh(scaled.T @ scaled / len(scaled))
        leading = vectors[:, np.argsort(values)[::-1][:size]]
        # Fix the signs, which an eigensolver leaves open.
        largest = np.abs(leading).argmax(axis=0)
        leading = leading * np.sign(leading[largest, np.arange(leading.shape[1])])
        return cls(basis, np.ascontiguousarray(sd[:, None] * leading))

    def leading(self, size: int) -> Self:
        """Restrict to the leading functions."""
        return type(self)(self.basis, self.weights[:, :size].copy())

    @property
    def size(self) -> int:
        return int(self.weights.shape[1])

    def matrix(self, actions: Array) -> Array:
        return self.basis.matrix(actions) @ self.weights


@dataclass(frozen=True, eq=False)
class RateError:
    """What an error of the rate of carry-over adds to a contribution, to first order.

    The product of the contribution's derivative in the carried-over action and of this action's
    derivative in the rate. The latter is zero where the action is held.

    Attributes
    ----------
    bases : tuple of Basis
        Functions in the contribution.
    coefficients : tuple of ndarray
        Estimated coefficients of each of them.
    step : float
        Step of the numerical derivative in the action.
    """

    bases: tuple[Basis, ...]
    coefficients: tuple[Array, ...]
    step: float

    @property
    def size(self) -> int:
        return 1

    def matrix(self, inputs: Array) -> Array:
        """Zero at actions that are held, shape (n, 1)."""
        return np.zeros((len(inputs), 1))

    def of_rows(self, carried: Array, slope: Array, past: Array) -> Array:
        """Functions of rows, shape (n, 1), from arrays as in :class:`PastActions`."""
        derivative = np.zeros(len(carried))
        for basis, own in zip(self.bases, self.coefficients, strict=True):
            after, before = (basis.matrix(carried + h) for h in (self.step / 2, -self.step / 2))
            derivative += (after - before) @ own / self.step
        return np.asarray(derivative[:, None] * slope)


@dataclass(frozen=True, eq=False)
class PastActions:
    """Linear functions of means of an action over earlier periods.

    Attributes
    ----------
    line : LinearBasis
    size : int
        Number of means.
    """

    line: LinearBasis
    size: int

    def matrix(self, inputs: Array) -> Array:
        """Functions where the action is held, shape (n, size)."""
        return np.repeat(self.line.matrix(inputs), self.size, axis=1)

    def of_rows(self, carried: Array, slope: Array, past: Array) -> Array:
        """Functions of rows, shape (n, size).

        Parameters
        ----------
        carried : ndarray, shape (n, 1)
            Carried-over action.
        slope : ndarray, shape (n, 1)
            Its derivative in the rate.
        past : ndarray, shape (n, size)
            Means over earlier periods.
        """
        return np.concatenate([self.line.matrix(own[:, None]) for own in past.T], axis=1)
