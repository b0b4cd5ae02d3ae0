"""Spline mechanisms."""

from dataclasses import dataclass

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.monomials import LinearBasis
from bayes_intgen.basis.spline import PenalisedSpline
from bayes_intgen.errors import ModelError
from bayes_intgen.models.mechanisms.components import (
    CROSS_ACTION_SCALE,
    INTERACTION_SCALE,
    PAIR_ORDER,
    SCALE,
    TRIPLE_ORDER,
    atom_component,
    grown,
    line_basis,
    random_walk_component,
    smooth_marginal_basis,
)
from bayes_intgen.models.mechanisms.mechanism import Component, LogNormal

# Intervals between the knots of a spline.
INTERVALS = 12


@dataclass(frozen=True)
class Spline:
    """Penalised cubic B-spline with knots at quantiles, on top of a straight line.

    Actions that start at zero, values that many rows share and finer functions are treated as
    in :class:`GP`.

    Attributes
    ----------
    intervals : int or None
        Number of intervals between knots; None for 12, and more from some 100,000 rows on.
    degree : int
        Degree of the pieces.
    scale, slope : LogNormal
        Average standard deviation of the curved part over the data, and standard
        deviation of the line's slope, in units of the outcome's standard deviation.
    borrowed, interaction : LogNormal
        Scales of what another action adds, by itself and in products.

    Examples
    --------
    >>> Spline(intervals=8).degree
    3
    """

    intervals: int | None = None
    degree: int = 3
    scale: LogNormal = SCALE
    slope: LogNormal = SCALE
    cross_action: LogNormal = CROSS_ACTION_SCALE
    interaction: LogNormal = INTERACTION_SCALE

    triple_order = TRIPLE_ORDER
    refines = True

    def __post_init__(self) -> None:
        if (self.intervals is not None and self.intervals < 2) or self.degree < 1:
            raise ModelError("a spline needs at least 2 intervals and degree 1")

    def main_effect(
        self, actions: Array, coordinate: Coordinate, rows: int
    ) -> tuple[Component, ...]:
        intervals = self.intervals or grown(INTERVALS, rows)
        spline = PenalisedSpline.of(actions, coordinate, intervals, self.degree)
        return (
            Component("slope", line_basis(actions, coordinate), self.slope),
            Component("", spline, self.scale),
            *atom_component(actions, self.scale),
        )

    def marginal_basis(self, actions: Array, coordinate: Coordinate, size: int) -> Basis:
        intervals = self.intervals or INTERVALS
        spline = PenalisedSpline.of(actions, coordinate, intervals, self.degree)
        # A line and a curve of unit variance each, the line twice as large.
        line = 1 / float(LinearBasis.of(actions, coordinate).matrix(actions).std())
        return smooth_marginal_basis(
            actions, coordinate, spline, np.full(spline.size, 0.5), line, size
        )

    def pair_order(self, rows: int) -> int:
        return grown(PAIR_ORDER, rows)

    def finer(self, actions: Array, coordinate: Coordinate, more: int = 1) -> Component | None:
        return random_walk_component(actions, coordinate, more)
