"""Monomials of one action: powers, lines, and the indicator of one value."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.coordinate import MIN_DISTINCT, Coordinate

# Least share of the rows at a value, and of those elsewhere, for a coefficient of its own, and
# how often another value may repeat, as a share of that.
MIN_ATOM, MAX_REPEATED = 0.05, 0.25


@dataclass(frozen=True, eq=False)
class MonomialBasis:
    """Powers of a standardised action from the first on, each centred over the data.

    Attributes
    ----------
    coordinate : Coordinate
    centres : tuple of float
        Means of the powers over the data, one for each.
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
    """The squashed coordinate itself, centred over the data."""

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
    """The action itself, standardised and held at the observed range, centred over the data.

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
        held = np.clip(actions[:, :1], self.coordinate.low, self.coordinate.high)
        return np.asarray(self.coordinate.standardise(held) - self.centre)


@dataclass(frozen=True, eq=False)
class Atom:
    """Indicator of one value, centred over the data.

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
        """Indicator of the value that many rows share while the others hardly repeat.

        None where there is no such value.
        """
        distinct, counts = np.unique(actions[:, 0], return_counts=True)
        most, share = int(counts.argmax()), counts.max() / len(actions)
        if len(distinct) < MIN_DISTINCT or not MIN_ATOM <= share <= 1 - MIN_ATOM:
            return None
        if np.delete(counts, most).max() > MAX_REPEATED * counts[most]:
            return None
        return cls(float(distinct[most]), float(share))

    def matrix(self, actions: Array) -> Array:
        return np.asarray((actions[:, :1] == self.value) - self.centre)
