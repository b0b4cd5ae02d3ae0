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
    def of(
        cls,
        actions: Array,
        coordinate: Coordinate,
        longest: float,
        shortest: float,
        size: int | None = None,
    ) -> Self:
        """Choose box and number of functions for lengthscales from ``shortest`` to ``longest``.

        Rules of Riutort-Mayol et al. (2023, section 4.2) for the squared exponential kernel: the
        half width is at least 3.2 times the longest lengthscale, and the number of functions
        1.75 half widths over the shortest. The box also exceeds the data by 1.5 times the
        longest lengthscale on either side, since all functions vanish at its ends.
        """
        low, high = coordinate.ends
        box = max(3.2 * longest, (high - low) / 2 + 1.5 * longest)
        if size is None:
            size = int(np.clip(np.ceil(1.75 * box / shortest), 8, 24))
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
