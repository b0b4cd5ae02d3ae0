"""Fourier basis of periodic functions."""

from dataclasses import dataclass

import numpy as np

from bayes_intgen._typing import Array


@dataclass(frozen=True, eq=False)
class FourierBasis:
    """Sines and cosines of one period, in pairs from slow to fast.

    Attributes
    ----------
    period : float
        In the units of the input.
    amplitudes : tuple of float
        Standard deviation of each pair of functions.

    Examples
    --------
    >>> FourierBasis(12.0, (1.0,)).matrix(np.array([[0.0], [3.0]])).round(3).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """

    period: float
    amplitudes: tuple[float, ...]

    @property
    def size(self) -> int:
        return 2 * len(self.amplitudes)

    def matrix(self, actions: Array) -> Array:
        harmonics = np.arange(1, len(self.amplitudes) + 1)
        angle = 2 * np.pi * actions[:, :1] / self.period * harmonics
        pairs = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
        return np.asarray((pairs * np.array(self.amplitudes)[:, None]).reshape(len(actions), -1))
