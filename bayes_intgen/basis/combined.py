"""Bases made of others: concatenations, tensor products, directions; and their evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis, CentredBasis, GroupIndicators, PiecewiseLinear
from bayes_intgen.basis.control import ControlBasis

# Rows of points and units whose functions are evaluated at once.
ROWS_AT_ONCE = 100_000


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

    @property
    def frequencies(self) -> Array:
        """Frequencies of parts that are each an :class:`HSGPBasis`, shape (size,)."""
        return self.parts[0].frequencies

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
        Coefficients of each function in that basis.
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
        return cls(basis, sd[:, None] * leading)

    def leading(self, size: int) -> Self:
        """Restrict to the leading functions."""
        return type(self)(self.basis, self.weights[:, :size])

    @property
    def size(self) -> int:
        return int(self.weights.shape[1])

    def matrix(self, actions: Array) -> Array:
        return self.basis.matrix(actions) @ self.weights


class Evaluation:
    """Values of bases at the same rows, where each function of one input is evaluated once.

    Products are not kept: terms do not share them, and there are many.

    Many terms are products of the same few functions of an action.

    Parameters
    ----------
    inputs : ndarray, shape (n, number of inputs)
    population : (ndarray, shape (R, number of inputs), ndarray, shape (R,)), optional
        Rows over which functions of the inputs from ``first`` on are averaged, and their shares.
    first : int
        Number of inputs that are not averaged.
    """

    def __init__(
        self, inputs: Array, population: tuple[Array, Array] | None = None, first: int = 0
    ) -> None:
        self._inputs, self._population, self._first = inputs, population, first
        self._cache: dict[tuple[Basis, tuple[int, ...]], Array] = {}

    def __call__(self, basis: Basis, inputs: tuple[int, ...]) -> Array:
        """Values of a basis of some actions, shape (size, n), one function per row."""
        if isinstance(basis, TensorProductBasis):
            factors = zip(basis.factors, inputs, strict=True)
            return basis.multiplied([self(factor, (k,)) for factor, k in factors])
        key = (basis, inputs)
        if key not in self._cache:
            self._cache[key] = self._evaluate(basis, inputs)
        return self._cache[key]

    def _evaluate(self, basis: Basis, inputs: tuple[int, ...]) -> Array:
        if isinstance(basis, KarhunenLoeveBasis):
            return np.asarray(basis.weights.T @ self(basis.basis, inputs))
        if isinstance(basis, ConcatenatedBasis):
            return np.concatenate([self(basis.first, inputs), self(basis.second, inputs)])
        if isinstance(basis, CentredBasis):
            return self(basis.basis, inputs) - basis.centres[:, None]
        averaged = self._population is not None and max(inputs, default=-1) >= self._first
        if averaged and min(inputs) < self._first:
            return self._average(basis, inputs)
        if isinstance(basis, ControlBasis):
            control = self(basis.control, inputs)[0]
            return basis.at(self._inputs[:, inputs], control).T
        if self._population is not None and averaged:
            # Factors of products have at most one such input, so that averages factorise.
            values, shares = self._population
            mean = shares @ basis.matrix(values[:, inputs])
            return np.repeat(mean[:, None], len(self._inputs), axis=1)
        return basis.matrix(self._inputs[:, inputs]).T

    def _average(self, basis: Basis, inputs: tuple[int, ...]) -> Array:
        """Averages over the population of functions of both kinds of inputs, shape (size, n)."""
        assert self._population is not None
        values, shares = self._population
        out = np.empty((basis.size, len(self._inputs)))
        step = max(1, ROWS_AT_ONCE // len(values))
        for start in range(0, len(self._inputs), step):
            points = self._inputs[start : start + step]
            rows = np.tile(values, (len(points), 1))
            rows[:, : self._first] = np.repeat(points[:, : self._first], len(values), axis=0)
            of_rows = basis.matrix(rows[:, inputs]).reshape(len(points), len(values), -1)
            out[:, start : start + step] = np.einsum("nus,u->sn", of_rows, shares)
        return out


class PointEvaluation(Evaluation):
    """Values of bases at rows that share the values of their first inputs.

    Parameters
    ----------
    rows : Evaluation
        At the same rows with any values of the first inputs.
    point : ndarray, shape (1, first)
        Values of the first inputs.
    """

    def __init__(self, rows: Evaluation, point: Array) -> None:
        inputs, first = rows._inputs.copy(), point.shape[1]
        inputs[:, :first] = point
        super().__init__(inputs)
        self._rows, self._shared, self._split = rows, Evaluation(inputs[:1]), first

    def __call__(self, basis: Basis, inputs: tuple[int, ...]) -> Array:
        """Values of a basis of some inputs, shape (size, n), one function per row."""
        if min(inputs) >= self._split:
            return self._rows(basis, inputs)
        if max(inputs) < self._split:
            return np.repeat(self._shared(basis, inputs), len(self._inputs), axis=1)
        return super().__call__(basis, inputs)
