"""Decomposition of models into terms for specific data."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from weakref import WeakKeyDictionary

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis, Constant
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.piecewise_linear import PiecewiseLinear
from bayes_intgen.basis.tensor_product import TensorProductBasis
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.graph import Graph, parents_of
from bayes_intgen.models.adjustment import (
    NO_ADJUSTMENT,
    Adjustment,
    AdjustmentTerms,
    MarginCache,
)
from bayes_intgen.models.gates import Always, Gate, WhereNotSet
from bayes_intgen.models.mechanisms.components import (
    PAIR_KNOTS,
    finer_label,
    marginal_basis_size,
    random_walk,
)
from bayes_intgen.models.mechanisms.levels import MAX_LEVELS, Levels
from bayes_intgen.models.mechanisms.mechanism import (
    Component,
    LogNormal,
    Mechanism,
    pairwise,
)
from bayes_intgen.models.terms import Decomposition, Role, Term

# Maximum number of coefficients: an evaluation costs their cube, and more would take hours.
MAX_COEFFICIENTS = 5000
# Maximum number of candidate columns: with more, a few batches of rows take gigabytes.
MAX_CANDIDATE_COLUMNS = 6000
# Maximum number of units that determine scales, knots and centres.
MAX_UNITS = 20_000
# Component of an intercept or level, whose scale is ignored because its term has a `fixed_sd`.
_LEVEL = Component("", Constant(), LogNormal(1.0, 1.0))


def decompose(
    data: Observations,
    unconfounded: Mapping[str, Mechanism],
    bias: Mapping[str, Mechanism],
    graph: Graph,
    intercept: tuple[float, float] | None = None,
    rows: int | None = None,
    adjustment: Adjustment = NO_ADJUSTMENT,
    prior: Mechanism | None = None,
    pairs: Sequence[tuple[str, str]] = (),
) -> Decomposition:
    """Decompose an additive model into terms.

    Parameters
    ----------
    data : Observations
    unconfounded, bias : mapping from each action to its Mechanism
    graph : Graph
        The bias of an action may depend on its parents, and on every action that may be one.
    intercept : (mean, sd), optional
        Prior of the intercept in the outcome's units; by default the outcome's mean and
        five times its standard deviation.
    rows : int, optional
        Number of rows in all if ``data`` is a sample of them.
    adjustment : Adjustment
        Priors of covariates, moderators and groups.
    prior : Mechanism, optional
        Default prior of functions of covariates.
    pairs : sequence of pairs of actions
        Pairs that interact.

    Raises
    ------
    ModelError
        If the graph names an unknown action or has a cycle, or there are too many coefficients.
    """
    parents_of(data.names, graph)
    bases = _Bases.of(data, [bias[name] for name in data.names], rows)
    own = [unconfounded[name] for name in data.names]
    terms: list[Term] = []
    for k, name in enumerate(data.names):
        terms += [
            Term(_label(f"phi({name})", c), "unconfounded", k, (k,), c, None, Always())
            for c in bases.main_effect(unconfounded[name], k)
        ]
    terms += _interactions(data, bases, own, pairs)
    for k, name in enumerate(data.names):
        gate = WhereNotSet(k)
        terms.append(Term(f"delta({name}) level", "bias", k, (), _LEVEL, 1.0, gate))
        terms += [
            Term(_label(f"delta({name})", c), "bias", k, (k,), c, None, gate)
            for c in bases.main_effect(bias[name], k)
        ]
    adjusted = _adjustment_terms(data, bases, unconfounded, adjustment, prior)
    return _build(data, terms, bases.coordinates, intercept, adjusted)


def _interactions(
    data: Observations,
    bases: "_Bases",
    mechanisms: Sequence[Mechanism],
    pairs: Sequence[tuple[str, str]],
) -> list[Term]:
    """Interactions of pairs of actions, in all regimes.

    They are products of functions that average zero over the rows, so that the average of an
    interaction over the rows' values of either action is zero.
    """
    terms = []
    for pair in pairs:
        j, k = sorted(map(data.names.index, pair))
        component = bases.product(mechanisms[j], mechanisms[k], j, k)
        label = f"psi({data.names[j]}, {data.names[k]})"
        terms.append(Term(label, "interaction", None, (j, k), component, None, Always()))
    return terms


def _adjustment_terms(
    data: Observations,
    bases: "_Bases",
    unconfounded: Mapping[str, Mechanism],
    adjustment: Adjustment,
    prior: Mechanism | None,
) -> AdjustmentTerms:
    own = [unconfounded[name] for name in data.names]

    def marginal_basis(mechanism: Mechanism, k: int) -> Basis:
        return bases.marginal_basis(mechanism, k, marginal_basis_size(bases.rows))

    default = prior or own[0]
    return AdjustmentTerms(
        adjustment, data, default, own, marginal_basis, bases.rows, bases.covariate_margins
    )


def finer_terms(
    data: Observations,
    unconfounded: Mapping[str, Mechanism],
    bias: Mapping[str, Mechanism],
    refinement: int = 1,
    candidates_only: bool = False,
) -> tuple[Term, ...]:
    """Functions of each contribution and bias that are finer than those of :func:`decompose`.

    Parameters
    ----------
    data, unconfounded, bias
        As in :func:`decompose`.
    refinement : int
        Factor of the number of functions.
    candidates_only : bool
        Whether to skip functions that serve score tests only, and are never added to a fit.
    """
    bases = _Bases.of(data, [bias[name] for name in data.names], None)
    terms = []
    for k, name in enumerate(data.names):
        kinds: list[tuple[str, Role, Mechanism, Gate]] = [
            (f"phi({name})", "unconfounded", unconfounded[name], Always()),
            (f"delta({name})", "bias", bias[name], WhereNotSet(k)),
        ]
        for label, role, mechanism, gate in kinds:
            c = bases.finer(mechanism, k, refinement)
            if c is not None and (mechanism.refines or not candidates_only):
                terms.append(Term(_label(label, c), role, k, (k,), c, None, gate))
    return tuple(terms)


def finer_pairs(
    data: Observations,
    unconfounded: Mapping[str, Mechanism],
    bias: Mapping[str, Mechanism],
    graph: Graph,
    pairs: Sequence[tuple[str, str]],
    refinement: int = 1,
    candidates_only: bool = False,
) -> tuple[Term, ...]:
    """Functions of two actions jointly that are finer than the products of :func:`decompose`.

    They act in every regime, as an interaction, or where one of both actions was not set, if its
    bias may depend on the other: either may look like the other where it is missing.

    Parameters
    ----------
    data, unconfounded, bias, graph
        As in :func:`decompose`.
    pairs : sequence of pairs of actions
        Pairs that may interact.
    refinement, candidates_only
        As in :func:`finer_terms`.
    """
    bases = _Bases.of(data, [bias[name] for name in data.names], None)
    parents, terms = parents_of(data.names, graph), []
    for pair in pairs:
        j, k = sorted(map(data.names.index, pair))
        psi = f"psi({data.names[j]}, {data.names[k]})"
        own = (unconfounded[data.names[j]], unconfounded[data.names[k]])
        kinds: list[tuple[str, int | None, tuple[int, int], tuple[Mechanism, Mechanism]]]
        kinds = [(psi, None, (j, k), own)]
        for one, other in ((j, k), (k, j)):
            if other in parents[one]:
                name = data.names[one]
                delta = f"delta({name} | {data.names[other]})"
                kinds.append((delta, one, (one, other), (bias[name], bias[name])))
        for label, action, inputs, mechanisms in kinds:
            c = bases.finer_product(mechanisms, inputs, refinement)
            refines = all(m.refines or isinstance(m, Levels) for m in mechanisms)
            if c is not None and (refines or not candidates_only):
                role: Role = "interaction" if action is None else "bias"
                gate = Always() if action is None else WhereNotSet(action)
                terms.append(Term(_label(label, c), role, action, inputs, c, None, gate))
    return tuple(terms)


def candidates(
    data: Observations,
    unconfounded: Mapping[str, Mechanism],
    bias: Mapping[str, Mechanism],
    graph: Graph,
    rows: int | None = None,
    adjustment: Adjustment = NO_ADJUSTMENT,
    prior: Mechanism | None = None,
    pairs: Sequence[tuple[str, str]] = (),
) -> tuple[Term, ...]:
    """Candidates of forward selection, in addition to the terms of :func:`decompose`.

    These are finer functions of smooth contributions and biases, interactions of pairs of actions,
    functions of covariates in a bias, and three-way products in a bias. Parameters are those of
    :func:`decompose`. Three-way products are omitted if there are too many of them, with an unknown
    graph beyond about eleven actions, and interactions beyond about thirty actions.
    """
    bases = _Bases.of(data, [bias[name] for name in data.names], rows)
    finer = finer_terms(data, unconfounded, bias, candidates_only=True)
    own = [unconfounded[name] for name in data.names]
    interactions = _interactions(data, bases, own, pairs)
    if _columns(interactions) <= MAX_CANDIDATE_COLUMNS:
        finer = (*finer, *interactions)
    if data.columns.names:
        adjusted = _adjustment_terms(data, bases, unconfounded, adjustment, prior)
        finer = (*finer, *adjusted.bias_candidates([bias[name] for name in data.names]))
    products = []
    for k, parents in enumerate(parents_of(data.names, graph)):
        name, gate = data.names[k], WhereNotSet(k)
        for j in parents:
            for c in bases.pairwise(bias[name], k, j):
                label = _label(f"delta({name} | {data.names[j]})", c)
                inputs = tuple((k, j)[i] for i in c.inputs)
                products.append(Term(label, "bias", k, inputs, c, None, gate))
    return (*finer, *products) if _columns(products) <= MAX_CANDIDATE_COLUMNS else finer


def _columns(terms: Sequence[Term]) -> int:
    return sum(term.component.basis.size for term in terms)


def regressions(
    data: Observations,
    mechanisms: Mapping[str, Mechanism],
    gates: Mapping[str, Gate],
    intercept: tuple[float, float] | None = None,
    rows: int | None = None,
    prior: Mechanism | None = None,
) -> Decomposition:
    """Decompose regressions on all actions and their pairwise products, one regression per gate.

    Parameters
    ----------
    data : Observations
    mechanisms : mapping from each action to its Mechanism
    gates : mapping from the regression's label to its gate
    intercept, rows
        As in :func:`decompose`.
    """
    names = data.names
    own = [mechanisms[name] for name in names]
    bases = _Bases.of(data, own, rows)
    functions: list[tuple[str, tuple[int, ...], Component]] = [
        (f"({name})", (k,), c) for k, name in enumerate(names) for c in bases.main_effect(own[k], k)
    ]
    functions += [
        (f"({names[k]} | {names[j]})", (k, j), c)
        for k in range(len(names))
        for j in range(k)
        for c in bases.pairwise(own[k], k, j)
        # Functions of the other action alone are its main effect.
        if c.inputs == (0, 1)
    ]
    terms: list[Term] = []
    for label, gate in gates.items():
        if not isinstance(gate, Always):
            terms.append(Term(f"{label} level", "regression", None, (), _LEVEL, 1.0, gate))
        terms += [
            Term(_label(label + arguments, c), "regression", inputs[0], inputs, c, None, gate)
            for arguments, inputs, c in functions
        ]
    adjusted = _adjustment_terms(data, bases, mechanisms, NO_ADJUSTMENT, prior)
    return _build(data, terms, bases.coordinates, intercept, adjusted)


def unit_rows(data: Observations) -> Array:
    """Actions of single units, at most about ``MAX_UNITS``, where rows are means of several."""
    if data.weights is None:
        return data.actions
    scale = min(1.0, MAX_UNITS / data.weights.sum())
    return np.repeat(data.actions, np.maximum(np.rint(data.weights * scale), 1).astype(int), axis=0)


class _Bases:
    """Cached components of mechanisms for specific data; equal components are shared by terms.

    The marginal basis of an action follows the mechanism that takes the action as an input, or the
    action's own mechanism if either of them has levels.
    """

    def __init__(
        self,
        actions: Array,
        coordinates: tuple[Coordinate, ...],
        own: Sequence[Mechanism],
        rows: int,
    ) -> None:
        self.coordinates, self.rows = coordinates, rows
        self.covariate_margins: MarginCache = {}

        def marginal_basis(mechanism: Mechanism, k: int, size: int) -> Basis:
            with_levels = isinstance(own[k], Levels) or isinstance(mechanism, Levels)
            prior = own[k] if with_levels else mechanism
            return prior.marginal_basis(actions[:, [k]], coordinates[k], size)

        def walk(k: int, refinement: int) -> PiecewiseLinear:
            if isinstance(own[k], Levels):
                levels = marginal_basis(own[k], k, MAX_LEVELS)
                assert isinstance(levels, PiecewiseLinear)
                return levels
            count = round(PAIR_KNOTS * refinement**0.5)
            return random_walk(actions[:, [k]], coordinates[k], count)

        self.walk = cache(walk)
        self.main_effect = cache(lambda m, k: m.main_effect(actions[:, [k]], coordinates[k], rows))
        self.finer = cache(lambda m, k, times: m.finer(actions[:, [k]], coordinates[k], times))
        self.marginal_basis = cache(marginal_basis)

    @classmethod
    def of(cls, data: Observations, own: Sequence[Mechanism], rows: int | None) -> "_Bases":
        """Bases for these rows: the same ones in every call, for as long as the rows exist.

        Terms, candidates and tests of a fit then have the same bases, which are computed and
        evaluated once.
        """
        of_data = _BASES_OF.setdefault(data, {})
        key = (tuple(own), len(data) if rows is None else rows)
        if key not in of_data:
            actions = unit_rows(data)
            coordinates = tuple(Coordinate.of(column) for column in actions.T)
            of_data[key] = cls(actions, coordinates, *key)
        return of_data[key]

    def pairwise(self, mechanism: Mechanism, k: int, j: int) -> tuple[Component, ...]:
        size = marginal_basis_size(self.rows)
        own, other = (self.marginal_basis(mechanism, at, size) for at in (k, j))
        return pairwise(mechanism, own, other, self.rows)

    def product(self, one: Mechanism, other: Mechanism, j: int, k: int) -> Component:
        """Products of functions of two actions, with the resolution of the finer mechanism."""
        size = marginal_basis_size(self.rows)
        factors = (self.marginal_basis(one, j, size), self.marginal_basis(other, k, size))
        order = max(1, *(mechanism.pair_order(self.rows) for mechanism in (one, other)))
        return Component("", TensorProductBasis(factors, order), one.interaction, inputs=(0, 1))

    def finer_product(
        self, mechanisms: tuple[Mechanism, Mechanism], inputs: tuple[int, int], refinement: int
    ) -> Component | None:
        """Products of random walks along two actions; None if levels have all products already."""
        walks = tuple(self.walk(k, refinement) for k in inputs)
        basis = TensorProductBasis(walks, walks[0].size + walks[1].size)
        if self.product(*mechanisms, *inputs).basis.size >= basis.size:
            return None
        scale = mechanisms[0].interaction
        return Component(finer_label(refinement), basis, scale, inputs=(0, 1))


# Bases by rows, mechanisms and number of rows in all. They refer to arrays of the rows, not to the
# rows, so that these can be freed.
_BASES_OF: WeakKeyDictionary[Observations, dict[tuple[tuple[Mechanism, ...], int], _Bases]] = (
    WeakKeyDictionary()
)


def _build(
    data: Observations,
    terms: list[Term],
    coordinates: tuple[Coordinate, ...],
    intercept: tuple[float, float] | None,
    adjustment: AdjustmentTerms,
) -> Decomposition:
    centre, unit = _outcome_moments(data)
    terms = [*terms, *adjustment.terms()]
    mean, sd = (centre, 5 * unit) if intercept is None else intercept
    intercept_term = Term("intercept", "intercept", None, (), _LEVEL, sd / unit, Always())
    every = (intercept_term, *terms)
    label, count = Counter(term.name for term in every).most_common(1)[0]
    if count > 1:
        raise ModelError(f"two terms would be called {label!r}; rename an action")
    decomposition = Decomposition(
        data.names,
        coordinates,
        every,
        centre,
        unit,
        mean,
        data.categories,
        data.columns,
        adjustment.random_effects(),
    )
    if decomposition.size > MAX_COEFFICIENTS:
        raise ModelError(
            f"{len(data.names)} actions need {decomposition.size} coefficients, more than the "
            f"maximum of {MAX_COEFFICIENTS}; pass the graph to models.additive, so that each bias "
            "depends on few other actions, or use the prior 'linear'"
        )
    return decomposition


def _outcome_moments(data: Observations) -> tuple[float, float]:
    """Mean and standard deviation of the outcome of single units."""
    if data.weights is None:
        return float(data.outcome.mean()), float(data.outcome.std())
    shares = data.weights / data.weights.sum()
    mean = float(shares @ data.outcome)
    variance = float(shares @ (data.outcome - mean) ** 2)
    if data.within is not None:
        variance += float(data.within.sum() / data.weights.sum())
    return mean, float(np.sqrt(variance))


def _label(name: str, component: Component) -> str:
    return f"{name} {component.label}" if component.label else name
