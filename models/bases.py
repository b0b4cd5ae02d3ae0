"""Bases of a model's terms for specific data, and functions whose components have a term each."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis, CentredBasis, Constant, LinearBasis, PiecewiseLinear
from bayes_intgen.basis.combined import PastActions, SumBasis, TensorProductBasis
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.rows import Observations
from bayes_intgen.models.carryover import PAST_RATES
from bayes_intgen.models.mechanisms.mechanism import (
    CROSS_ACTION_SCALE,
    MAX_LEVELS,
    PAIR_KNOTS,
    Column,
    Component,
    LogNormal,
    Mechanism,
    finer_label,
    marginal_basis_size,
    random_walk,
)
from bayes_intgen.models.mechanisms.parametric import Levels
from bayes_intgen.models.terms import ALWAYS, Gate, Role, Term

# Maximum number of units that determine scales, knots and centres.
MAX_UNITS = 20_000
# Component of an intercept or level, whose scale is ignored because its term has a `fixed_sd`.
CONSTANT = Component("", Constant(), LogNormal(1.0, 1.0))


def unit_rows(data: Observations) -> Array:
    """Actions of single units, at most about ``MAX_UNITS``, where rows are means of several."""
    if data.weights is None:
        return data.actions
    scale = min(1.0, MAX_UNITS / data.weights.sum())
    return np.repeat(data.actions, np.maximum(np.rint(data.weights * scale), 1).astype(int), axis=0)


class Bases:
    """Components of mechanisms for specific data; equal components are computed once.

    The marginal basis of an action follows the mechanism that takes the action as an input, or the
    action's own mechanism if either of them has levels.

    Parameters
    ----------
    data : Observations
    own : sequence of Mechanism, length K
        Mechanism of each action.
    rows : int, optional
        Number of rows in all if ``data`` is a sample of them.
    """

    def __init__(
        self, data: Observations, own: Sequence[Mechanism], rows: int | None = None
    ) -> None:
        self.rows = len(data) if rows is None else rows
        self.actions = actions = unit_rows(data)
        # Carried over, an action varies less; questions are about one that is held at any value.
        self.of_period = unit_rows(data.this_period)
        self.coordinates = tuple(map(Coordinate.of, self.of_period.T))
        columns = [Column(actions[:, [k]], z, self.rows) for k, z in enumerate(self.coordinates)]
        self.size = size = marginal_basis_size(self.rows)
        # Marginal bases of covariates, by what they depend on.
        self.covariate_margins: dict[Any, CentredBasis] = {}

        def margin(mechanism: Mechanism, k: int) -> Basis:
            """Marginal basis of an action as a factor of products."""
            with_levels = isinstance(own[k], Levels) or isinstance(mechanism, Levels)
            return (own[k] if with_levels else mechanism).marginal_basis(columns[k], size)

        def walk(k: int, refinement: int) -> PiecewiseLinear:
            if isinstance(own[k], Levels):
                levels = own[k].marginal_basis(columns[k], MAX_LEVELS)
                assert isinstance(levels, PiecewiseLinear)
                return levels
            return random_walk(columns[k], round(PAIR_KNOTS * refinement**0.5))

        self.margin, self.walk = cache(margin), cache(walk)
        self.main_effect = cache(lambda mechanism, k: mechanism.main_effect(columns[k]))
        self.finer = cache(lambda mechanism, k, times: mechanism.finer(columns[k], times))

    def shared(self, mechanism: Mechanism, actions: Sequence[int]) -> tuple[Component, ...]:
        """Components of a function that actions with the same unit share.

        Its coordinate is that of the values of all of them. Like any contribution, it averages zero
        over the values of each.
        """
        own, out = [self.actions[:, [k]] for k in actions], list[Component]()
        coordinate = Coordinate.of(self.of_period[:, list(actions)].ravel())
        for c in mechanism.main_effect(Column(np.concatenate(own), coordinate, self.rows)):
            parts = (CentredBasis(c.basis, c.basis.matrix(x).mean(axis=0)) for x in own)
            out.append(replace(c, basis=SumBasis(tuple(parts))))
        return tuple(out)

    def past(self, k: int) -> Component:
        """Functions of an action's earlier periods, which tell of hidden causes that persist."""
        line = LinearBasis.of(self.actions[:, [k]], self.coordinates[k])
        return Component("past", PastActions(line, len(PAST_RATES)), CROSS_ACTION_SCALE)

    def product(self, one: Mechanism, other: Mechanism, j: int, k: int) -> Component:
        """Products of functions of two actions, with the resolution of the finer mechanism."""
        factors = (self.margin(one, j), self.margin(other, k))
        basis = TensorProductBasis(factors, self._order(one, other))
        return Component("", basis, one.interaction, inputs=(0, 1))

    def _order(self, one: Mechanism, other: Mechanism) -> int:
        """Total order of products."""
        return max(1, one.pair_order(self.rows), other.pair_order(self.rows))

    def finer_product(
        self, mechanisms: tuple[Mechanism, Mechanism], inputs: tuple[int, int], refinement: int
    ) -> Component | None:
        """Products of random walks along two actions; None if levels have all products already."""
        one, other = (self.walk(k, refinement) for k in inputs)
        basis = TensorProductBasis((one, other), one.size + other.size)
        order = self._order(*mechanisms)
        # Without the products, where these cannot be as many.
        few = basis.size <= max(self.size**2, order * (order + 1) // 2)
        if few and self.product(*mechanisms, *inputs).basis.size >= basis.size:
            return None
        scale = mechanisms[0].interaction
        return Component(finer_label(refinement), basis, scale, inputs=(0, 1))


class Function(NamedTuple):
    """Function in the mean, whose components have a term each.

    Attributes
    ----------
    name : str
    role : Role
    action : int or None
    prior : Mechanism
    gate : Gate
    of_period : bool
    """

    name: str
    role: Role
    action: int | None
    prior: Mechanism
    gate: Gate = ALWAYS
    of_period: bool = False

    def term(self, component: Component, *inputs: int) -> Term:
        """Term of a component, whose label follows the name."""
        name = f"{self.name} {component.label}" if component.label else self.name
        return Term(
            name, self.role, self.action, inputs, component, None, self.gate, self.of_period
        )
