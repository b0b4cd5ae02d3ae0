"""Polynomial and linear mechanisms."""

from dataclasses import dataclass

from bayes_intgen._arguments import whole_number
from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.monomials import MonomialBasis
from bayes_intgen.models.mechanisms.components import (
    CROSS_ACTION_SCALE,
    INTERACTION_SCALE,
    SCALE,
    random_walk_component,
)
from bayes_intgen.models.mechanisms.mechanism import Component, LogNormal, check_priors


@dataclass(frozen=True)
class Polynomial:
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

    refines = False

    def __post_init__(self) -> None:
        check_priors(self)
        whole_number(self.degree, "degree", 1)

    def pair_order(self, rows: int) -> int:
        return self.degree - 1

    def main_effect(
        self, actions: Array, coordinate: Coordinate, rows: int
    ) -> tuple[Component, ...]:
        return (Component("", self.marginal_basis(actions, coordinate, self.degree), self.scale),)

    def marginal_basis(self, actions: Array, coordinate: Coordinate, size: int) -> Basis:
        return MonomialBasis.of(actions, coordinate, self.degree)

    def finer(
        self, actions: Array, coordinate: Coordinate, refinement: int = 1
    ) -> Component | None:
        return random_walk_component(actions, coordinate, refinement)


@dataclass(frozen=True)
class Linear:
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

    # Unused, since there are no products.
    interaction = INTERACTION_SCALE
    refines = False

    def __post_init__(self) -> None:
        check_priors(self)

    def pair_order(self, rows: int) -> int:
        return 0

    def main_effect(
        self, actions: Array, coordinate: Coordinate, rows: int
    ) -> tuple[Component, ...]:
        return (Component("", self.marginal_basis(actions, coordinate, 1), self.scale),)

    def marginal_basis(self, actions: Array, coordinate: Coordinate, size: int) -> Basis:
        return MonomialBasis.of(actions, coordinate, 1)

    def finer(
        self, actions: Array, coordinate: Coordinate, refinement: int = 1
    ) -> Component | None:
        return random_walk_component(actions, coordinate, refinement)
