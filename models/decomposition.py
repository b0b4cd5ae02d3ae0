"""Decomposition of a model into terms for given data."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations
from typing import Self

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis, Constant
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.graph import Graph, parents_of
from bayes_intgen.models.gates import Always, Gate, WhereNotSet
from bayes_intgen.models.mechanisms.components import marginal_basis_size
from bayes_intgen.models.mechanisms.levels import Levels
from bayes_intgen.models.mechanisms.mechanism import (
    Component,
    LogNormal,
    Mechanism,
    pairwise,
    three_way,
)
from bayes_intgen.models.terms import Decomposition, Role, Term

# Coefficients above which a fit takes hours: each evaluation costs their cube.
MAX_COEFFICIENTS = 5000
# Columns of candidates above which a few batches of rows take gigabytes.
MAX_CANDIDATE_COLUMNS = 6000
# A level has no scale of its own: `fixed_sd` of its term says how wide it is.
_LEVEL = Component("", Constant(), LogNormal(1.0, 1.0))


def decompose(
    data: Observations,
    unconfounded: Mapping[str, Mechanism],
    bias: Mapping[str, Mechanism],
    graph: Graph | None,
    intercept: tuple[float, float] | None = None,
    rows: int | None = None,
) -> Decomposition:
    """Break a model down into terms for the given data.

    Parameters
    ----------
    data : Observations
    unconfounded, bias : mapping from each action to its Mechanism
    graph : mapping from each action to its parents, or None
        None: the graph is unknown, and the bias of an action may depend on every other.
    intercept : (mean, sd), optional
        Prior of the intercept in the outcome's units; by default the outcome's mean and
        five of its standard deviations.
    rows : int, optional
        Number of rows of which ``data`` is a sample; its own where left out.

    Raises
    ------
    ModelError
        Where the graph names something that is no action or has a cycle, or the coefficients are
        more than a fit can take.
    """
    parents = parents_of(data.names, graph)
    bases = _Bases.of(data, [bias[name] for name in data.names], rows)
    terms: list[Term] = []
    for k, name in enumerate(data.names):
        terms += [
            Term(_named(f"phi({name})", part), "unconfounded", k, (k,), part, None, Always())
            for part in bases.main_effect(unconfounded[name], k)
        ]
    for k, name in enumerate(data.names):
        gate = WhereNotSet(k)
        terms.append(Term(f"delta({name}) level", "bias", k, (), _LEVEL, 1.0, gate))
        terms += [
            Term(_named(f"delta({name})", part), "bias", k, (k,), part, None, gate)
            for part in bases.main_effect(bias[name], k)
        ]
        for j in parents[k]:
            for part in bases.pairwise(bias[name], k, j):
                label = _named(f"delta({name} | {data.names[j]})", part)
                inputs = tuple((k, j)[i] for i in part.inputs)
                terms.append(Term(label, "bias", k, inputs, part, None, gate))
    return _assembled(data, terms, bases.coordinates, intercept)


def finer_terms(
    data: Observations,
    unconfounded: Mapping[str, Mechanism],
    bias: Mapping[str, Mechanism],
    more: int = 1,
    joining: bool = False,
) -> tuple[Term, ...]:
    """Functions of each contribution and bias that are finer than those of :func:`decompose`.

    Parameters
    ----------
    data, unconfounded, bias
        As of :func:`decompose`.
    more : int
        Multiplies their number.
    joining : bool
        Whether to leave out those that never join a fit, and that it is only tested against.
    """
    bases = _Bases.of(data, [bias[name] for name in data.names], None)
    terms = []
    for k, name in enumerate(data.names):
        kinds: list[tuple[str, Role, Mechanism, Gate]] = [
            (f"phi({name})", "unconfounded", unconfounded[name], Always()),
            (f"delta({name})", "bias", bias[name], WhereNotSet(k)),
        ]
        for label, role, mechanism, gate in kinds:
            part = bases.finer(mechanism, k, more)
            if part is not None and (mechanism.refines or not joining):
                terms.append(Term(_named(label, part), role, k, (k,), part, None, gate))
    return tuple(terms)


def candidates(
    data: Observations,
    unconfounded: Mapping[str, Mechanism],
    bias: Mapping[str, Mechanism],
    graph: Graph | None,
    rows: int | None = None,
) -> tuple[Term, ...]:
    """Terms that join those of :func:`decompose` where the data ask for them.

    Finer functions of the contributions and biases that are smooth, and products of three actions
    in a bias. Arguments as of :func:`decompose`. Products are left out where there would be too
    many to look at: with an unknown graph beyond about eleven actions.
    """
    bases = _Bases.of(data, [bias[name] for name in data.names], rows)
    finer = finer_terms(data, unconfounded, bias, joining=True)
    triples = []
    for k, its_parents in enumerate(parents_of(data.names, graph)):
        name, gate = data.names[k], WhereNotSet(k)
        for i, j in combinations(its_parents, 2):
            label = f"delta({name} | {data.names[i]}, {data.names[j]})"
            triples += [
                Term(_named(label, part), "bias", k, (k, i, j), part, None, gate)
                for part in bases.three_way(bias[name], k, i, j)
            ]
    columns = sum(term.component.basis.size for term in triples)
    return (*finer, *triples) if columns <= MAX_CANDIDATE_COLUMNS else finer


def regressions(
    data: Observations,
    mechanisms: Mapping[str, Mechanism],
    gates: Mapping[str, Gate],
    intercept: tuple[float, float] | None = None,
    rows: int | None = None,
) -> Decomposition:
    """Regressions on all actions and on their products two by two, one for each gate.

    Parameters
    ----------
    data : Observations
    mechanisms : mapping from each action to its Mechanism
    gates : mapping from the regression's label to its gate
    intercept, rows
        As in :func:`decompose`.
    """
    own = [mechanisms[name] for name in data.names]
    bases = _Bases.of(data, own, rows)
    count = len(data.names)
    main_effect = [bases.main_effect(own[k], k) for k in range(count)]
    products = {
        (k, j): [
            part
            for part in bases.pairwise(own[k], k, j)
            # What the other action adds by itself is its own term.
            if part.inputs == (0, 1)
        ]
        for k in range(count)
        for j in range(k)
    }
    terms: list[Term] = []
    for label, gate in gates.items():

        def add(what: str, part: Component, inputs: tuple[int, ...], gate: Gate = gate) -> None:
            terms.append(
                Term(_named(what, part), "regression", inputs[0], inputs, part, None, gate)
            )

        if not isinstance(gate, Always):
            level = Term(f"{label} level", "regression", None, (), _LEVEL, 1.0, gate)
            terms.append(level)
        for k, name in enumerate(data.names):
            for part in main_effect[k]:
                add(f"{label}({name})", part, (k,))
        for (k, j), parts in products.items():
            for part in parts:
                add(f"{label}({data.names[k]} | {data.names[j]})", part, (k, j))
    return _assembled(data, terms, bases.coordinates, intercept)


class _Bases:
    """Parts of mechanisms for given data; terms that use the same functions share them.

    The margin of an action is that of the mechanism that borrows it, or its own where either
    of them is of levels.
    """

    def __init__(
        self,
        actions: Array,
        coordinates: tuple[Coordinate, ...],
        own: Sequence[Mechanism],
        rows: int,
    ) -> None:
        self.coordinates, self.rows = coordinates, rows

        def marginal_basis(mechanism: Mechanism, k: int, size: int) -> Basis:
            with_levels = isinstance(own[k], Levels) or isinstance(mechanism, Levels)
            chosen = own[k] if with_levels else mechanism
            return chosen.marginal_basis(actions[:, [k]], coordinates[k], size)

        self.main_effect = cache(lambda m, k: m.main_effect(actions[:, [k]], coordinates[k], rows))
        self.finer = cache(lambda m, k, more: m.finer(actions[:, [k]], coordinates[k], more))
        self.marginal_basis = cache(marginal_basis)

    @classmethod
    def of(cls, data: Observations, own: Sequence[Mechanism], rows: int | None) -> Self:
        actions = data.actions
        coordinates = tuple(Coordinate.of(column) for column in actions.T)
        return cls(actions, coordinates, own, len(data) if rows is None else rows)

    def pairwise(self, mechanism: Mechanism, k: int, j: int) -> tuple[Component, ...]:
        size = marginal_basis_size(self.rows)
        own, other = (self.marginal_basis(mechanism, at, size) for at in (k, j))
        return pairwise(mechanism, own, other, self.rows)

    def three_way(self, mechanism: Mechanism, k: int, i: int, j: int) -> tuple[Component, ...]:
        size = marginal_basis_size(self.rows)
        own, one, other = (self.marginal_basis(mechanism, at, size) for at in (k, i, j))
        return three_way(mechanism, own, one, other)


def _assembled(
    data: Observations,
    terms: list[Term],
    coordinates: tuple[Coordinate, ...],
    intercept: tuple[float, float] | None,
) -> Decomposition:
    centre, unit = float(data.outcome.mean()), float(data.outcome.std())
    mean, sd = (centre, 5 * unit) if intercept is None else intercept
    every = [Term("intercept", "intercept", None, (), _LEVEL, sd / unit, Always()), *terms]
    labels = [term.name for term in every]
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ModelError(f"two terms would be called {twice!r}; rename an action")
    made = Decomposition(data.names, coordinates, tuple(every), centre, unit, mean, data.categories)
    if made.size > MAX_COEFFICIENTS:
        raise ModelError(
            f"{len(data.names)} actions make {made.size} coefficients, more than the "
            f"{MAX_COEFFICIENTS} that a fit can take; give models.additive the graph, so that "
            "each bias depends on few other actions, or the prior 'linear'"
        )
    return made


def _named(name: str, part: Component) -> str:
    return f"{name} {part.label}" if part.label else name
