"""Functions of several periods of an action that carries over, for rows in which it varies."""

from dataclasses import dataclass

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis, LinearBasis


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
