"""Karhunen-Loève basis of a random function over the rows."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis


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
