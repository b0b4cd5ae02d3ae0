"""Mechanisms for covariates that are dates or times: trend and season."""

from dataclasses import dataclass

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.fourier import FourierBasis
from bayes_intgen.basis.hsgp import HSGPBasis
from bayes_intgen.basis.karhunen_loeve import KarhunenLoeveBasis
from bayes_intgen.basis.monomials import LinearBasis
from bayes_intgen.errors import ModelError
from bayes_intgen.models.mechanisms.components import SCALE
from bayes_intgen.models.mechanisms.kernels import log_spectral_sd
from bayes_intgen.models.mechanisms.mechanism import Component, LogNormal

# Length of a year in days, the unit of date columns.
YEAR = 365.25


@dataclass(frozen=True)
class Trend:
    """Straight line plus a smooth function of time.

    Attributes
    ----------
    size : int
        Number of smooth functions; more follow faster changes.
    scale : LogNormal
        Standard deviation of the smooth part, and of the slope over a robust standard deviation of
        time, in units of the outcome's standard deviation.

    Examples
    --------
    >>> bi.models.additive(covariates={"week": bi.Trend()}).covariates
    {'week': (Trend(size=8, scale=LogNormal(median=0.4, sigma=1.5)),)}
    """

    size: int = 8
    scale: LogNormal = SCALE

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ModelError(f"a trend needs a size of at least 1, not {self.size}")

    def main_effect(
        self, actions: Array, coordinate: Coordinate, rows: int
    ) -> tuple[Component, ...]:
        low, high = coordinate.ends
        length = (high - low) / self.size
        process = HSGPBasis.of(actions, coordinate, length, 2 * self.size + 4)
        sd = np.exp(log_spectral_sd("squared_exponential", process.frequencies, length))
        smooth = KarhunenLoeveBasis.of(actions, process, sd, self.size)
        return (
            Component("slope", LinearBasis.of(actions, coordinate), self.scale),
            Component("trend", smooth, self.scale),
        )


@dataclass(frozen=True)
class Seasonal:
    """Periodic function of time.

    Attributes
    ----------
    period : float
        In the units of the covariate; days for dates. A year by default.
    harmonics : int
        Number of pairs of sines and cosines. Amplitudes fall with the harmonic, as those of a
        function with a derivative.
    scale : LogNormal
        Standard deviation of the function, in units of the outcome's standard deviation.

    Examples
    --------
    >>> bi.Seasonal(period=7).harmonics
    3
    """

    period: float = YEAR
    harmonics: int = 3
    scale: LogNormal = SCALE

    def __post_init__(self) -> None:
        if not (0 < self.period < np.inf and self.harmonics >= 1):
            raise ModelError(
                f"a season needs a positive period and at least one harmonic, not {self}"
            )

    def main_effect(
        self, actions: Array, coordinate: Coordinate, rows: int
    ) -> tuple[Component, ...]:
        amplitudes = 1 / np.arange(1, self.harmonics + 1)
        amplitudes /= np.sqrt(np.sum(amplitudes**2))
        basis = FourierBasis(self.period, tuple(amplitudes.tolist()))
        return (Component(f"season {self.period:g}", basis, self.scale),)
