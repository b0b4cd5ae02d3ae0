"""Spline mechanisms."""

from dataclasses import dataclass

import numpy as np

from bayes_intgen._arguments import whole_number
from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.monomials import LinearBasis
from bayes_intgen.basis.spline import PenalisedSpline
from bayes_intgen.models.mechanisms.components import (
    CROSS_ACTION_SCALE,
    CURVE_SCALE,
    INTERACTION_SCALE,
    LINE_SCALE,
    PAIR_ORDER,
    atom_component,
    random_walk_component,
    scaled_order,
    smooth_marginal_basis,
    trend_basis,
)
from bayes_intgen.models.mechanisms.mechanism import Component, LogNormal, check_priors

# Default number of intervals between knots.
INTERVALS = 12


@dataclass(frozen=True)
class Spline:
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

    refines = True

    def __post_init__(self) -> None:
        check_priors(self)
        if self.intervals is not None:
            whole_number(self.intervals, "intervals", 2)
        whole_number(self.degree, "degree", 1)

    def main_effect(
        self, actions: Array, coordinate: Coordinate, rows: int
    ) -> tuple[Component, ...]:
        intervals = self.intervals or scaled_order(INTERVALS, rows)
        spline = PenalisedSpline.of(actions, coordinate, intervals, self.degree)
        return (
            Component("slope", trend_basis(actions, coordinate), self.slope),
            Component("", spline, self.scale),
            *atom_component(actions, self.scale),
        )

    def marginal_basis(self, actions: Array, coordinate: Coordinate, size: int) -> Basis:
        intervals = self.intervals or INTERVALS
        spline = PenalisedSpline.of(actions, coordinate, intervals, self.degree)
        # Over the data, the line has unit standard deviation and the curve half of it.
        slope = 1 / float(LinearBasis.of(actions, coordinate).matrix(actions).std())
        return smooth_marginal_basis(
            actions, coordinate, spline, np.full(spline.size, 0.5), slope, size
        )

    def pair_order(self, rows: int) -> int:
        return scaled_order(PAIR_ORDER, rows)

    def finer(
        self, actions: Array, coordinate: Coordinate, refinement: int = 1
    ) -> Component | None:
        return random_walk_component(actions, coordinate, refinement)
