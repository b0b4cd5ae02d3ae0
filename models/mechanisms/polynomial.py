"""Polynomial and linear mechanisms."""

from dataclasses import dataclass

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.monomials import Powers
from bayes_intgen.errors import ModelError
from bayes_intgen.models.mechanisms.components import (
    BORROWED_SCALE,
    INTERACTION_SCALE,
    SCALE,
    finer_walk,
)
from bayes_intgen.models.mechanisms.mechanism import LogNormal, Part


@dataclass(frozen=True)
class Polynomial:
    """Polynomial in the standardised actions, as in the published estimator.

    Attributes
    ----------
    degree : int
        Total degree, 3 as published.
    scale : LogNormal
        Standard deviation of each coefficient.
    borrowed, interaction : LogNormal
        Standard deviations of the coefficients of another action, alone and in products.

    Examples
    --------
    >>> Polynomial().degree
    3
    """

    degree: int = 3
    scale: LogNormal = SCALE
    borrowed: LogNormal = BORROWED_SCALE
    interaction: LogNormal = INTERACTION_SCALE

    refines = False

    def __post_init__(self) -> None:
        if self.degree < 1:
            raise ModelError(f"a polynomial needs degree 1 or more, not {self.degree}")

    @property
    def triple_order(self) -> int:
        return self.degree - 1

    def pair_order(self, rows: int) -> int:
        return self.degree - 1

    def alone(self, actions: Array, coordinate: Coordinate, rows: int) -> tuple[Part, ...]:
        return (Part("", self.margin(actions, coordinate, self.degree), self.scale),)

    def margin(self, actions: Array, coordinate: Coordinate, size: int) -> Basis:
        return Powers.of(actions, coordinate, self.degree)

    def finer(self, actions: Array, coordinate: Coordinate, more: int = 1) -> Part | None:
        return finer_walk(actions, coordinate, more)


@dataclass(frozen=True)
class Linear:
    """A straight line in each action.

    Attributes
    ----------
    scale : LogNormal
        Standard deviation of the slope, in outcome standard deviations for a robust
        standard deviation of the action.
    borrowed : LogNormal
        The same for the slope in another action.

    Examples
    --------
    >>> Linear().scale.median
    0.4
    """

    scale: LogNormal = SCALE
    borrowed: LogNormal = BORROWED_SCALE

    # No products, hence none with a scale either.
    interaction = INTERACTION_SCALE
    triple_order = 0
    refines = False

    def pair_order(self, rows: int) -> int:
        return 0

    def alone(self, actions: Array, coordinate: Coordinate, rows: int) -> tuple[Part, ...]:
        return (Part("", self.margin(actions, coordinate, 1), self.scale),)

    def margin(self, actions: Array, coordinate: Coordinate, size: int) -> Basis:
        return Powers.of(actions, coordinate, 1)

    def finer(self, actions: Array, coordinate: Coordinate, more: int = 1) -> Part | None:
        return finer_walk(actions, coordinate, more)
