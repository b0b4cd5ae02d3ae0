"""Mechanisms without a lengthscale or knots: polynomials, straight lines, and levels."""

from dataclasses import dataclass

import numpy as np

from bayes_intgen._arguments import whole_number
from bayes_intgen.basis.basis import Basis, MonomialBasis, PiecewiseLinear
from bayes_intgen.basis.combined import KarhunenLoeveBasis
from bayes_intgen.errors import ModelError
from bayes_intgen.models.mechanisms.mechanism import (
    CROSS_ACTION_SCALE,
    INTERACTION_SCALE,
    MAX_LEVELS,
    SCALE,
    Column,
    Component,
    LogNormal,
    Mechanism,
    Shape,
)
from bayes_intgen.text.messages import option


@dataclass(frozen=True)
class Polynomial(Mechanism):
    """Polynomial in the standardised actions, as in Kekić et al. (2025).

    Attributes
    ----------
    degree : int
        Total degree; the paper uses 3.
    scale : LogNormal
        Standard deviation of each coefficient.
    cross_action, interaction : LogNormal
        Standard deviations of coefficients of another action, alone and in products with the own.

    Examples
    --------
    >>> Polynomial().degree
    3
    """

    degree: int = 3
    scale: LogNormal = SCALE
    cross_action: LogNormal = CROSS_ACTION_SCALE
    interaction: LogNormal = INTERACTION_SCALE

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number(self.degree, "degree", 1)

    def pair_order(self, rows: int) -> int:
        return self.degree - 1

    def marginal_basis(self, column: Column, size: int) -> Basis:
        return MonomialBasis.of(column.values, column.coordinate, self.degree)


@dataclass(frozen=True)
class Linear(Mechanism):
    """Straight line in each action.

    Attributes
    ----------
    scale : LogNormal
        Standard deviation of the slope, in outcome standard deviations per robust standard
        deviation of the action.
    cross_action : LogNormal
        Standard deviation of the slope in another action.

    Examples
    --------
    >>> Linear().scale.median
    0.4
    """

    scale: LogNormal = SCALE
    cross_action: LogNormal = CROSS_ACTION_SCALE

    def pair_order(self, rows: int) -> int:
        return 0

    def marginal_basis(self, column: Column, size: int) -> Basis:
        return MonomialBasis.of(column.values, column.coordinate, 1)


@dataclass(frozen=True)
class Levels(Mechanism):
    """A separate value for each level of an action.

    Default for actions with two values, and for columns of text, booleans or categories. At most
    50 distinct values.

    Attributes
    ----------
    ordered : bool
        True for a random walk from level to level, so that neighbours are similar. False for
        exchangeable levels.
    scale : LogNormal
        Standard deviation of the values, in units of the outcome's standard deviation.
    cross_action, interaction : LogNormal
        Scales of functions of another action, alone and in products with the own action.
    shape : {"free", "increasing", "decreasing", "concave", "increasing concave"}
        Of the unconfounded contribution, in the action's own units: see :class:`GP`.

    Examples
    --------
    >>> Levels(ordered=False).scale.median
    0.4
    """

    ordered: bool = True
    scale: LogNormal = SCALE
    cross_action: LogNormal = CROSS_ACTION_SCALE
    interaction: LogNormal = INTERACTION_SCALE
    shape: Shape = "free"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shape != "free" and not self.ordered:
            raise ModelError(f"levels without an order cannot be {self.shape}; omit ordered=False")

    def marginal_basis(self, column: Column, size: int) -> Basis:
        levels = tuple(np.unique(column.values).tolist())
        if len(levels) > MAX_LEVELS:
            raise ModelError(
                f"levels are for actions with at most {MAX_LEVELS} distinct values, but one has "
                f"{len(levels)}; "
                + option("give it the prior 'gp' or 'spline'", command="leave it out of --levels")
            )
        if not self.ordered:
            return PiecewiseLinear.exchangeable(column.values, levels)
        basis = PiecewiseLinear.random_walk(column.values, levels)
        if basis.size <= size:
            return basis
        return KarhunenLoeveBasis.of(column.values, basis, np.ones(basis.size), size)

    def finer(self, column: Column, refinement: int = 1) -> Component | None:
        return None
