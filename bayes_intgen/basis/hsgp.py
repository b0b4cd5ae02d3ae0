"""Hilbert-space approximation of a Gaussian process: eigenfunctions of the Laplacian."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.coordinate import Coordinate


@dataclass(frozen=True, eq=False)
class HSGPBasis:
    """Eigenfunctions of the Laplacian on a box around the data (Solin and Särkkä 2020, eq. 56).

    The functions are centred over the data, so that only the intercepts carry a level.

    Attributes
    ----------
    coordinate : Coordinate
    box : float
        Half the width of the box, in the squashed coordinate.
    centres : tuple of float
        Mean of each eigenfunction over the data.
    """

    coordinate: Coordinate
    box: float
    centres: tuple[float, ...]

    @classmethod
    def of(cls, actions: Array, coordinate: Coordinate, margin: float, size: int) -> Self:
        """Compute ``size`` functions on a box that exceeds the data by ``margin`` on either side.

        All functions vanish at the ends of the box: the margin is about a lengthscale.
        """
        low, high = coordinate.ends
        box = (high - low) / 2 + margin
        raw = cls(coordinate, box, (0.0,) * size).matrix(actions)
        return cls(coordinate, box, tuple(raw.mean(axis=0).tolist()))

    @property
    def size(self) -> int:
        return len(self.centres)

    @property
    def frequencies(self) -> Array:
        """Square roots of the eigenvalues, shape (size,)."""
        return np.asarray(np.arange(1, self.size + 1) * (np.pi / (2 * self.box)))

    def matrix(self, actions: Array) -> Array:
        low, high = self.coordinate.ends
        z = self.coordinate(actions[:, 0]) - (low + high) / 2
        angle = (z + self.box) * (np.pi / (2 * self.box))
        # The recurrence sin(i x) = 2 cos(x) sin((i - 1) x) - sin((i - 2) x) replaces size sines.
        out = np.empty((self.size, len(angle)))
        before, twice = np.zeros_like(angle), 2 * np.cos(angle)
        out[0] = np.sin(angle) / np.sqrt(self.box)
        for i in range(1, self.size):
            np.multiply(twice, out[i - 1], out=out[i])
            out[i] -= before
            before = out[i - 1]
        out -= np.array(self.centres)[:, None]
        return out.T
