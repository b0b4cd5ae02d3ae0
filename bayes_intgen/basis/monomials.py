"""Functions of one action: powers, linear functions, and the indicator of one value."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.coordinate import MIN_DISTINCT, Coordinate

# Minimum share of the rows at an atom, and of those elsewhere.
MIN_ATOM_SHARE = 0.05
# Maximum number of rows at any other value, as a share of those at the atom.
MAX_REPEATED_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class MonomialBasis:
    """Powers 1, 2, ... of a standardised action, centred over the data.

    Attributes
    ----------
    coordinate : Coordinate
    centres : tuple of float
        Mean of each power over the data.
    """

    coordinate: Coordinate
    centres: tuple[float, ...]

    @classmethod
    def of(cls, actions: Array, coordinate: Coordinate, degree: int) -> Self:
        raw = cls(coordinate, (0.0,) * degree).matrix(actions)
        return cls(coordinate, tuple(raw.mean(axis=0).tolist()))

    @property
    def size(self) -> int:
        return len(self.centres)

    def matrix(self, actions: Array) -> Array:
        x = self.coordinate.standardise(actions[:, :1])
        return np.asarray(x ** np.arange(1, self.size + 1) - np.array(self.centres))


@dataclass(frozen=True, eq=False)
class LinearBasis:
    """Linear function of the transformed action, centred over the data.

    Attributes
    ----------
    coordinate : Coordinate
    centre : float
        Mean over the data.
    """

    coordinate: Coordinate
    centre: float
    size: int = 1

    @classmethod
    def of(cls, actions: Array, coordinate: Coordinate) -> Self:
        return cls(coordinate, float(coordinate(actions[:, 0]).mean()))

    def matrix(self, actions: Array) -> Array:
        return np.asarray(self.coordinate(actions[:, :1]) - self.centre)


@dataclass(frozen=True, eq=False)
class Line:
    """Linear function of the standardised action, clipped to its range and centred over the data.

    Attributes
    ----------
    coordinate : Coordinate
    centre : float
        Mean over the data.
    """

    coordinate: Coordinate
    centre: float
    size: int = 1

    @classmethod
    def of(cls, actions: Array, coordinate: Coordinate) -> Self:
        return cls(coordinate, float(cls(coordinate, 0.0).matrix(actions).mean()))

    def matrix(self, actions: Array) -> Array:
        clipped = np.clip(actions[:, :1], self.coordinate.low, self.coordinate.high)
        return np.asarray(self.coordinate.standardise(clipped) - self.centre)


@dataclass(frozen=True, eq=False)
class Parabola:
    """Square of the transformed action, times a factor, centred over the data.

    Attributes
    ----------
    coordinate : Coordinate
    factor, centre : float
        The centre is the mean of the square over the data.
    """

    coordinate: Coordinate
    factor: float
    centre: float
    size: int = 1

    @classmethod
    def of(cls, actions: Array, coordinate: Coordinate, factor: float) -> Self:
        return cls(coordinate, factor, float((coordinate(actions[:, 0]) ** 2).mean()))

    def matrix(self, actions: Array) -> Array:
        return np.asarray(self.factor * (self.coordinate(actions[:, :1]) ** 2 - self.centre))


@dataclass(frozen=True, eq=False)
class Atom:
    """Indicator of one value that many rows share, centred over the data.

    Attributes
    ----------
    value : float
        In the action's own units.
    centre : float
        Share of the rows with that value.
    """

    value: float
    centre: float
    size: int = 1

    @classmethod
    def of(cls, actions: Array) -> Self | None:
        """Find the value that many rows share while others hardly repeat; None without one."""
        distinct, counts = np.unique(actions[:, 0], return_counts=True)
        most, share = int(counts.argmax()), counts.max() / len(actions)
        if len(distinct) < MIN_DISTINCT or not MIN_ATOM_SHARE <= share <= 1 - MIN_ATOM_SHARE:
            return None
        if np.delete(counts, most).max() > MAX_REPEATED_SHARE * counts[most]:
            return None
        return cls(float(distinct[most]), float(share))

    def matrix(self, actions: Array) -> Array:
        return np.asarray((actions[:, :1] == self.value) - self.centre)
