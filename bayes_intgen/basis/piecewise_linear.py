"""Piecewise linear functions with one value per level or knot."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array


@dataclass(frozen=True, eq=False)
class PiecewiseLinear:
    """Linear interpolation between knots, as independent functions centred over the data.

    Attributes
    ----------
    knots : tuple of float
        Rising, in the action's own units.
    rotation : ndarray, shape (knots, size)
        Values of each function at the knots, before centring.
    centres : tuple of float
        Mean of each function over the data.
    graded : bool
        Whether the functions are ordered from smooth to rough; otherwise all are equally rough.

    Examples
    --------
    >>> levels = PiecewiseLinear.exchangeable(np.array([[0.0], [1.0]]), (0.0, 1.0))
    >>> levels.matrix(np.array([[0.0], [1.0]])).round(3).ravel().tolist()
    [-0.707, 0.707]
    """

    knots: tuple[float, ...]
    rotation: Array
    centres: tuple[float, ...]
    graded: bool

    @classmethod
    def exchangeable(cls, actions: Array, knots: tuple[float, ...]) -> Self:
        """Build Helmert contrasts: coefficients of equal variance make all knots exchangeable."""
        count = len(knots)
        # An orthonormal basis of the functions that sum to zero over the knots.
        upper = np.triu(np.ones((count, count - 1)))
        steps = np.arange(1, count)
        upper[steps, steps - 1] = -steps
        return cls._centred(actions, knots, -upper / np.sqrt(steps * (steps + 1.0)), False)

    @classmethod
    def random_walk(cls, actions: Array, knots: tuple[float, ...]) -> Self:
        """Build the principal components of a random walk from knot to knot, largest first.

        With coefficients of unit variance the values at the knots have unit sample variance on
        average, as with :meth:`exchangeable`.
        """
        count = len(knots)
        walk = np.tril(np.ones((count, count - 1)), -1)
        walk -= walk.mean(axis=0)
        left, values, _ = np.linalg.svd(walk, full_matrices=False)
        left *= np.sign(left[0])
        size = np.sqrt(np.sum(values**2) / (count - 1))
        return cls._centred(actions, knots, left * values / size, True)

    @classmethod
    def _centred(
        cls, actions: Array, knots: tuple[float, ...], rotation: Array, graded: bool
    ) -> Self:
        raw = cls(knots, rotation, (0.0,) * rotation.shape[1], graded)
        return cls(knots, rotation, tuple(raw.matrix(actions).mean(axis=0).tolist()), graded)

    @property
    def size(self) -> int:
        return len(self.centres)

    @cached_property
    def degrees(self) -> NDArray[np.int_]:
        """Degree of roughness of each function, from zero, shape (size,)."""
        return np.arange(self.size) if self.graded else np.zeros(self.size, dtype=np.int_)

    def matrix(self, actions: Array) -> Array:
        knots = np.array(self.knots)
        values = np.clip(actions[:, 0], knots[0], knots[-1])
        after = np.clip(np.searchsorted(knots, values, side="right"), 1, len(knots) - 1)
        before = after - 1
        fraction = ((values - knots[before]) / (knots[after] - knots[before]))[:, None]
        between = self.rotation[before] * (1 - fraction) + self.rotation[after] * fraction
        return np.asarray(between - np.array(self.centres))
