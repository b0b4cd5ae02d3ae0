"""Smooth mechanisms: Gaussian processes, splines, and trends and seasons of times."""

from abc import abstractmethod
from dataclasses import dataclass, replace

import numpy as np

from bayes_intgen._arguments import one_of, real_number, whole_number
from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import (
    Atom,
    Basis,
    FourierBasis,
    HSGPBasis,
    Line,
    LinearBasis,
    Parabola,
    PenalisedSpline,
)
from bayes_intgen.basis.combined import ConcatenatedBasis, KarhunenLoeveBasis
from bayes_intgen.errors import ModelError
from bayes_intgen.models.mechanisms.mechanism import (
    CROSS_ACTION_SCALE,
    CURVE_SCALE,
    INTERACTION_SCALE,
    LENGTHSCALE,
    LINE_SCALE,
    SCALE,
    SMOOTHNESS,
    Column,
    Component,
    KernelName,
    LogNormal,
    Mechanism,
    Shape,
    log_spectral_sd,
    require_priors,
    scaled_order,
)

# Number of basis functions, and its maximum, to which it grows from SIZE_ROWS rows on. With 9 to 12
# functions, errors in worlds of two sigmoids over actions set uniformly are 1.2 times as large at
# 60,000 rows, and coverage of 90% intervals is 0.78 instead of 0.88; at 750,000 rows 2.0 times, and
# 0.60 instead of 0.94.
SIZE, MAX_SIZE, SIZE_ROWS = 20, 32, 30_000
# Margin of the box around the data, in prior median lengthscales.
MARGIN = 0.8
# Default number of intervals between knots.
INTERVALS = 12
# Length of a year in days, the unit of date columns.
YEAR = 365.25
# Prior standard deviations of the slope and of an atom's indicator in a marginal basis, relative
# to functions of unit marginal standard deviation. With a slope of 0.3, coverage of 90% intervals
# where two actions with a product are at their 1% or 99% quantiles is 0.69, with 1.0 it is 0.90.
MARGIN_SLOPE, MARGIN_ATOM = 1.0, 1.0


def smooth_marginal_basis(
    column: Column, basis: Basis, sd: Array, slope: float, size: int
) -> Basis:
    """Karhunen-Loève basis of the sum of a random function, a line and any atom.

    Parameters
    ----------
    column : Column
    basis : Basis
        Basis of the random function.
    sd : ndarray, shape (basis.size,)
        Prior standard deviations of its coefficients.
    slope : float
        Prior standard deviation of the slope of the line in the action's coordinate.
    size : int
        Number of leading functions to retain.
    """
    line, atom = LinearBasis.of(column.values, column.coordinate), Atom.of(column.values)
    basis = ConcatenatedBasis(line, basis)
    sd = np.concatenate([[slope], sd])
    if atom is not None:
        basis, sd = ConcatenatedBasis(atom, basis), np.concatenate([[MARGIN_ATOM], sd])
    return KarhunenLoeveBasis.of(column.values, basis, sd, size)


class Smooth(Mechanism):
    """Line and parabola, a smooth curve, and a coefficient of any value that many rows share.

    The line and the parabola are in the coordinate of the action; with an edge, there is a line in
    the action, too. A random function alone reverts to a line beyond the bulk of the rows. Where
    few rows determine the ends of a curve that bends throughout, that biases them towards the line.

    Attributes
    ----------
    slope : LogNormal
        Standard deviation of the slopes of lines, twice that of the parabola's coefficient.
    """

    slope: LogNormal = LINE_SCALE
    refines = True

    @abstractmethod
    def curve(self, column: Column) -> Component:
        """Smooth function of an action."""

    def main_effect(self, column: Column) -> tuple[Component, ...]:
        actions, coordinate = column.values, column.coordinate
        trend: Basis = LinearBasis.of(actions, coordinate)
        if coordinate.edge:
            trend = ConcatenatedBasis(trend, Line.of(actions, coordinate))
        trend = ConcatenatedBasis(trend, Parabola.of(actions, coordinate))
        atom = Atom.of(actions)
        atoms = () if atom is None else (Component("atom", atom, self.scale),)
        return Component("slope", trend, self.slope), self.curve(column), *atoms


@dataclass(frozen=True)
class GP(Smooth):
    """Hilbert-space Gaussian process (HSGP) plus a line and a parabola.

    If an action starts at zero, the process takes it on a logarithmic scale, and there are two
    lines: one on that scale and one in the action itself. A value that many rows share has a
    separate coefficient. A default fit adds finer functions by forward selection.

    Attributes
    ----------
    kernel : {"matern52", "squared_exponential", "matern32"}
    scale, slope : LogNormal
        Marginal standard deviation of the process, and standard deviation of the slopes of lines,
        twice that of the parabola's coefficient, in units of the outcome's standard deviation.
    lengthscale : LogNormal
        In units of the action's coordinate.
    cross_action, interaction : LogNormal
        Scales of functions of another action, alone and in products with the own action.
    interaction_lengthscale : float
        Fixed lengthscale of these functions.
    size : int or None
        Number of basis functions; None for 20, and more from 30,000 rows on.
    shape : {"free", "increasing", "decreasing", "concave", "increasing concave"}
        What is known of the unconfounded contribution, in the action's own units, over the range
        of the rows, at any tested value of an interacting action, averaged over covariates. Biases
        have no shape. In a multiplicative model it is that of medians, and with
        ``spread="constant"`` of means too, which cannot be concave. Draws of a fit are projected on
        it (Lin and Dunson, Biometrika 2014); ``prior_predictive``, ``posterior.program`` and
        ``calibration.ranks`` are without it. ``bi.check`` tests it.

    Examples
    --------
    >>> GP(kernel="squared_exponential").kernel
    'squared_exponential'
    """

    kernel: KernelName = "matern52"
    scale: LogNormal = CURVE_SCALE
    slope: LogNormal = LINE_SCALE
    lengthscale: LogNormal = LENGTHSCALE
    cross_action: LogNormal = CROSS_ACTION_SCALE
    interaction: LogNormal = INTERACTION_SCALE
    interaction_lengthscale: float = 2.0
    size: int | None = None
    shape: Shape = "free"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self.kernel, "kernel", SMOOTHNESS)
        if not real_number(self.interaction_lengthscale, "interaction_lengthscale") > 0:
            raise ModelError("interaction_lengthscale must be positive")
        if self.size is not None:
            whole_number(self.size, "size", 2)

    def curve(self, column: Column) -> Component:
        prior = self.lengthscale
        size = self.size or min(scaled_order(SIZE, column.rows, SIZE_ROWS), MAX_SIZE)
        margin = MARGIN * prior.median
        process = HSGPBasis.of(column.values, column.coordinate, margin, size)
        return Component("", process, self.scale, kernel=self.kernel, lengthscale=prior)

    def marginal_basis(self, column: Column, size: int) -> Basis:
        length = self.interaction_lengthscale
        process = HSGPBasis.of(column.values, column.coordinate, length, SIZE)
        sd = np.exp(log_spectral_sd(self.kernel, process.frequencies, length))
        return smooth_marginal_basis(column, process, sd, MARGIN_SLOPE, size)


@dataclass(frozen=True)
class Spline(Smooth):
    """Penalised B-spline (P-spline) with knots at quantiles, plus a line and a parabola.

    Actions that start at zero, values that many rows share, and finer functions are treated as
    in :class:`GP`.

    Attributes
    ----------
    intervals : int or None
        Number of intervals between knots; None for 12, and more from 100,000 rows on.
    degree : int
        Degree of the polynomial pieces.
    scale, slope : LogNormal
        Standard deviation of the curved component, averaged over the data, and of the slopes of
        lines, twice that of the parabola's coefficient, in units of the outcome's standard
        deviation.
    cross_action, interaction : LogNormal
        Scales of functions of another action, alone and in products with the own action.
    shape : {"free", "increasing", "decreasing", "concave", "increasing concave"}
        Of the unconfounded contribution, in the action's own units: see :class:`GP`.

    Examples
    --------
    >>> Spline(intervals=8).degree
    3
    """

    intervals: int | None = None
    degree: int = 3
    scale: LogNormal = CURVE_SCALE
    slope: LogNormal = LINE_SCALE
    cross_action: LogNormal = CROSS_ACTION_SCALE
    interaction: LogNormal = INTERACTION_SCALE
    shape: Shape = "free"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.intervals is not None:
            whole_number(self.intervals, "intervals", 2)
        whole_number(self.degree, "degree", 1)

    def curve(self, column: Column) -> Component:
        return Component("", self._spline(column, scaled_order(INTERVALS, column.rows)), self.scale)

    def marginal_basis(self, column: Column, size: int) -> Basis:
        spline = self._spline(column, INTERVALS)
        # Over the data, the line has unit standard deviation and the curve half of it.
        line = LinearBasis.of(column.values, column.coordinate).matrix(column.values)
        sd, slope = np.full(spline.size, 0.5), 1 / float(line.std())
        return smooth_marginal_basis(column, spline, sd, slope, size)

    def _spline(self, column: Column, intervals: int) -> PenalisedSpline:
        """Curve with this default number of intervals."""
        count = self.intervals or intervals
        return PenalisedSpline.of(column.values, column.coordinate, count, self.degree)


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
        require_priors(self)
        whole_number(self.size, "size", 1)

    def main_effect(self, column: Column) -> tuple[Component, ...]:
        # Along the time itself, also where it starts near zero.
        actions, coordinate = column.values, replace(column.coordinate, edge=0.0)
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
        require_priors(self)
        if not real_number(self.period, "period") > 0:
            raise ModelError(f"period must be positive, not {self.period}")
        whole_number(self.harmonics, "harmonics", 1)

    def main_effect(self, column: Column) -> tuple[Component, ...]:
        amplitudes = 1 / np.arange(1, self.harmonics + 1)
        amplitudes /= np.sqrt(np.sum(amplitudes**2))
        basis = FourierBasis(self.period, tuple(amplitudes.tolist()))
        return (Component(f"season {self.period:g}", basis, self.scale),)
