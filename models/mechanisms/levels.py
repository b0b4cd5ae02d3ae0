"""Mechanisms of actions with few levels."""

from dataclasses import dataclass

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.karhunen_loeve import KarhunenLoeveBasis
from bayes_intgen.basis.piecewise_linear import PiecewiseLinear
from bayes_intgen.errors import ModelError
from bayes_intgen.models.mechanisms.components import (
    CROSS_ACTION_SCALE,
    INTERACTION_SCALE,
    PAIR_ORDER,
    SCALE,
    TRIPLE_ORDER,
    grown,
)
from bayes_intgen.models.mechanisms.mechanism import Component, LogNormal

MAX_LEVELS = 50


@dataclass(frozen=True)
class Levels:
    """One value for each level of an action, in place of a smooth function.

    The default for actions with two values and for columns of text, booleans or categories.
    Raises ModelError for an action with more than 50 distinct values.

    Attributes
    ----------
    ordered : bool
        True for a random walk from each level to the next, so that neighbours are alike. False
        for exchangeable levels.
    scale : LogNormal
        Standard deviation of the values, in units of the outcome's standard deviation.
    borrowed, interaction : LogNormal
        Scales of what another action adds, by itself and in products.

    Examples
    --------
    >>> Levels(ordered=False).scale.median
    0.4
    """

    ordered: bool = True
    scale: LogNormal = SCALE
    cross_action: LogNormal = CROSS_ACTION_SCALE
    interaction: LogNormal = INTERACTION_SCALE

    triple_order = TRIPLE_ORDER
    refines = False

    def pair_order(self, rows: int) -> int:
        return grown(PAIR_ORDER, rows)

    def main_effect(
        self, actions: Array, coordinate: Coordinate, rows: int
    ) -> tuple[Component, ...]:
        return (Component("", self._basis(actions), self.scale),)

    def marginal_basis(self, actions: Array, coordinate: Coordinate, size: int) -> Basis:
        basis = self._basis(actions)
        if not self.ordered or basis.size <= size:
            return basis
        return KarhunenLoeveBasis.of(actions, basis, np.ones(basis.size), size)

    def finer(self, actions: Array, coordinate: Coordinate, more: int = 1) -> Component | None:
        return None

    def _basis(self, actions: Array) -> PiecewiseLinear:
        levels = tuple(np.unique(actions).tolist())
        if len(levels) > MAX_LEVELS:
            raise ModelError(
                f"Levels() is for actions with at most {MAX_LEVELS} distinct values, and one has "
                f"{len(levels)}; give that action the prior 'gp' or 'spline'"
            )
        make = PiecewiseLinear.random_walk if self.ordered else PiecewiseLinear.exchangeable
        return make(actions, levels)
