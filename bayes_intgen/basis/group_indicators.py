"""Indicators of groups, and bases centred over a population."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.hsgp import HSGPBasis


@dataclass(frozen=True, eq=False)
class GroupIndicators:
    """Indicator of each group, from codes 0, 1, ...; zero for other codes.

    Attributes
    ----------
    size : int
        Number of groups.

    Examples
    --------
    >>> GroupIndicators(2).matrix(np.array([[1.0], [-1.0]]))
    array([[0., 1.],
           [0., 0.]])
    """

    size: int

    @property
    def degrees(self) -> NDArray[np.int_]:
        """Degree of roughness of each function: all are equally rough, shape (size,)."""
        return np.zeros(self.size, dtype=int)

    def matrix(self, actions: Array) -> Array:
        return np.asarray((actions[:, :1] == np.arange(self.size)).astype(float))


@dataclass(frozen=True, eq=False)
class CentredBasis:
    """Basis minus the mean of each function over a population of rows.

    Attributes
    ----------
    basis : Basis
    centres : ndarray, shape (size,)
    """

    basis: Basis
    centres: Array

    @property
    def size(self) -> int:
        return self.basis.size

    @cached_property
    def frequencies(self) -> Array:
        """Frequencies of an :class:`HSGPBasis`, shape (size,)."""
        assert isinstance(self.basis, HSGPBasis)
        return self.basis.frequencies

    def matrix(self, actions: Array) -> Array:
        return np.asarray(self.basis.matrix(actions) - self.centres)

    def centred_at(self, centres: Array) -> "CentredBasis":
        """Replace the means."""
        return replace(self, centres=centres)
