"""Which mechanism acts in which regime: the additive mean, written as columns.

    E[Y | a, R] = c + sum_k phi_k(a_k) + sum_k (1 - R_k) delta_k(a)

phi_k is the unconfounded contribution of action k and delta_k its confounding bias;
the confounded contribution is their sum. A decomposition is a tuple of terms, each a
frozen basis with the prior of its coefficients, and a gate: open for phi_k, 1 - R_k for
delta_k. The coefficients are shared by all regimes.

Plain regressions are made of the same terms: one for all rows, or one for each regime.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import combinations
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen.bases import Array, Basis, Constant, Evaluation, Sines
from bayes_intgen.categories import Categories
from bayes_intgen.coordinate import Coordinate
from bayes_intgen.errors import ModelError
from bayes_intgen.gates import Always, Gate, WhereNotSet
from bayes_intgen.graph import Graph, parents_of
from bayes_intgen.hyperpriors import Hyperpriors, LogNormals
from bayes_intgen.lift import LiftTest
from bayes_intgen.mechanisms import Levels, LogNormal, Mechanism, Part, margin_size, paired, tripled
from bayes_intgen.rows import Observations

Role = Literal["intercept", "unconfounded", "bias", "regression"]

# Coefficients above which a fit takes hours: each evaluation costs their cube.
MOST_COEFFICIENTS = 5000
# Columns of candidates above which a few batches of rows take gigabytes.
MOST_CANDIDATE_COLUMNS = 6000

# A level has no scale of its own: `fixed_sd` of its term says how wide it is.
_LEVEL = Part("", Constant(), LogNormal(1.0, 1.0))


@dataclass(frozen=True, eq=False)
class Term:
    """One summand of the mean.

    Attributes
    ----------
    name : str
        ``phi(red)``, ``delta(red)``, ``delta(red | green)``, followed by the part.
    role : {"intercept", "unconfounded", "bias", "regression"}
    action : int or None
        The action whose mechanism the term belongs to.
    inputs : tuple of int
        Actions that the basis takes.
    part : Part
        Basis and prior. ``fixed_sd`` overrides its scale.
    fixed_sd : float or None
        Prior standard deviation in outcome standard deviations, where the scale is not
        learned (intercept and levels).
    gate : Gate
        In which regimes the term acts.
    """

    name: str
    role: Role
    action: int | None
    inputs: tuple[int, ...]
    part: Part
    fixed_sd: float | None
    gate: Gate

    @property
    def borrowed(self) -> bool:
        """Whether the term lets a mechanism depend on another action than its own."""
        return any(k != self.action for k in self.inputs)


@dataclass(frozen=True, eq=False)
class Decomposition:
    """The terms of a model for given actions, with everything learned from the data frozen.

    Attributes
    ----------
    names : tuple of str, length K
    coordinates : tuple of Coordinate, length K
    terms : tuple of Term
    centre, unit : float
        Mean and standard deviation of the outcome, in its own units: prior scales are
        multiples of ``unit``, and the intercept counts from ``centre``.
    intercept_mean : float
        Prior mean of the intercept, in the outcome's units.
    categories : tuple of Categories or None, length K
        Levels of the actions that have some; None for the others.
    """

    names: tuple[str, ...]
    coordinates: tuple[Coordinate, ...]
    terms: tuple[Term, ...]
    centre: float
    unit: float
    intercept_mean: float
    categories: tuple[Categories | None, ...] = ()

    def __post_init__(self) -> None:
        # Fits that were saved before actions had levels.
        if not self.categories:
            object.__setattr__(self, "categories", (None,) * len(self.names))

    def without(self, names: Collection[str]) -> "Decomposition":
        """The same decomposition less some of its terms."""
        return replace(self, terms=tuple(t for t in self.terms if t.name not in names))

    def and_terms(self, more: Sequence[Term]) -> "Decomposition":
        """The same decomposition and further terms, whose columns come last."""
        return replace(self, terms=(*self.terms, *more))

    def with_scales(self, scales: Mapping[str, LogNormal]) -> "Decomposition":
        """The same decomposition with other priors of the scales of some terms."""
        terms = tuple(
            replace(term, part=replace(term.part, scale=scales.get(term.name, term.part.scale)))
            for term in self.terms
        )
        return replace(self, terms=terms)

    @cached_property
    def columns(self) -> dict[str, slice]:
        """The columns of each term in the design matrix."""
        ends = np.cumsum([0, *(term.part.basis.size for term in self.terms)])
        return {
            term.name: slice(int(ends[i]), int(ends[i + 1])) for i, term in enumerate(self.terms)
        }

    @cached_property
    def size(self) -> int:
        """Number of coefficients P."""
        return sum(term.part.basis.size for term in self.terms)

    @cached_property
    def scaled(self) -> tuple[str, ...]:
        """Terms whose scale is a hyperparameter."""
        return tuple(term.name for term in self.terms if term.fixed_sd is None)

    @cached_property
    def lengthscales(self) -> dict[str, LogNormal]:
        """The lengthscales that are hyperparameters, with their priors."""
        return {
            self.lengthscale_of[term.name]: term.part.lengthscale
            for term in self.terms
            if term.part.lengthscale is not None
        }

    @cached_property
    def lengthscale_of(self) -> dict[str, str]:
        """The lengthscale that a term follows, by the term's name, where it follows one.

        An action's contributions, confounded or not and in whatever regime, are averages of one
        function f_k over its hidden cause: those with the same kernel and prior share a
        lengthscale, called as the action. Others are called as their first term.
        """
        found: dict[tuple[int | None, str | None, LogNormal], str] = {}
        labels = {}
        for term in self.terms:
            if term.part.lengthscale is None:
                continue
            key = (term.action, term.part.kernel, term.part.lengthscale)
            if key not in found:
                name = term.name if term.action is None else self.names[term.action]
                found[key] = term.name if name in found.values() else name
            labels[term.name] = found[key]
        return labels

    def hyperpriors(self, noise_scale: LogNormal) -> Hyperpriors:
        """The priors of all hyperparameters and coefficients, in the outcome's units.

        Parameters
        ----------
        noise_scale : LogNormal
            Prior of the noise's standard deviation, in outcome standard deviations.
        """
        log_unit = np.log(self.unit)
        stretched = list(self.lengthscales)
        kernels = tuple(sorted({t.part.kernel for t in self.terms if t.part.kernel is not None}))
        zeros = np.zeros(self.size)
        mean, fixed, frequency = zeros, zeros.copy(), zeros.copy()
        scale_of, lengthscale_of, kernel_of = (np.zeros(self.size, dtype=int) for _ in range(3))
        for term in self.terms:
            columns = self.columns[term.name]
            if term.fixed_sd is None:
                scale_of[columns] = self.scaled.index(term.name) + 1
            else:
                fixed[columns] = np.log(term.fixed_sd) + log_unit
            if term.part.kernel is not None:
                assert isinstance(term.part.basis, Sines)
                lengthscale_of[columns] = stretched.index(self.lengthscale_of[term.name]) + 1
                frequency[columns] = term.part.basis.frequencies
                kernel_of[columns] = kernels.index(term.part.kernel)
        mean[self.columns["intercept"]] = self.intercept_mean - self.centre
        scales = _log_normals([t.part.scale for t in self.terms if t.name in self.scaled])
        return Hyperpriors(
            scales._replace(log_median=scales.log_median + log_unit),
            _log_normals(list(self.lengthscales.values())),
            LogNormals(
                np.array(np.log(noise_scale.median) + log_unit), np.array(noise_scale.sigma)
            ),
            mean,
            fixed,
            scale_of,
            lengthscale_of,
            frequency,
            kernel_of,
            kernels,
        )

    def functions(self, actions: Array) -> Array:
        """Every term's functions, ungated, shape (n, P)."""
        # A function at a time is contiguous in memory.
        out = np.empty((self.size, len(actions)))
        evaluated = Evaluation(actions)
        for term in self.terms:
            out[self.columns[term.name]] = evaluated(term.part.basis, term.inputs)
        return out.T

    def gates(self, intervened: NDArray[np.bool_]) -> Array:
        """Every term's gate, shape (n, number of terms), for masks of shape (n, K)."""
        found: dict[Gate, Array] = {}
        for term in self.terms:
            if term.gate not in found:
                found[term.gate] = term.gate(intervened)
        return np.stack([found[term.gate] for term in self.terms], axis=1)

    def matrix(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """The design matrix, shape (n, P): every term's functions times its gate."""
        out, gates = self.functions(actions), self.gates(intervened)
        for i, term in enumerate(self.terms):
            if not isinstance(term.gate, Always):
                out[:, self.columns[term.name]] *= gates[:, [i]]
        return out

    def differences(self, tests: Sequence[LiftTest]) -> Array:
        """What the effect of each lift test is made of, phi_k(x_to) - phi_k(x_from), (L, P).

        Raises ModelError where no term is an action's own contribution.
        """
        out = np.zeros((len(tests), self.size))
        own = {t.action for t in self.terms if t.role == "unconfounded"}
        for row, test in zip(out, tests, strict=True):
            k = self.names.index(test.action)
            if k not in own:
                raise ModelError(
                    "lift tests are evidence of one action's own contribution, which only "
                    "models.additive() has; leave them out of the data for other models"
                )
            ends = np.array([[test.x_from], [test.x_to]])
            for term in self.terms:
                if term.role == "unconfounded" and term.action == k:
                    before, after = term.part.basis.matrix(ends)
                    row[self.columns[term.name]] = after - before
        return out


def _log_normals(priors: list[LogNormal]) -> LogNormals:
    return LogNormals(
        np.log(np.array([prior.median for prior in priors])).reshape(-1),
        np.array([prior.sigma for prior in priors]).reshape(-1),
    )


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
            for part in bases.alone(unconfounded[name], k)
        ]
    for k, name in enumerate(data.names):
        gate = WhereNotSet(k)
        terms.append(Term(f"delta({name}) level", "bias", k, (), _LEVEL, 1.0, gate))
        terms += [
            Term(_named(f"delta({name})", part), "bias", k, (k,), part, None, gate)
            for part in bases.alone(bias[name], k)
        ]
        for j in parents[k]:
            for part in bases.paired(bias[name], k, j):
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
                for part in bases.tripled(bias[name], k, i, j)
            ]
    columns = sum(term.part.basis.size for term in triples)
    return (*finer, *triples) if columns <= MOST_CANDIDATE_COLUMNS else finer


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
    alone = [bases.alone(own[k], k) for k in range(count)]
    products = {
        (k, j): [
            part
            for part in bases.paired(own[k], k, j)
            # What the other action adds by itself is its own term.
            if part.inputs == (0, 1)
        ]
        for k in range(count)
        for j in range(k)
    }
    terms: list[Term] = []
    for label, gate in gates.items():

        def add(what: str, part: Part, inputs: tuple[int, ...], gate: Gate = gate) -> None:
            terms.append(
                Term(_named(what, part), "regression", inputs[0], inputs, part, None, gate)
            )

        if not isinstance(gate, Always):
            level = Term(f"{label} level", "regression", None, (), _LEVEL, 1.0, gate)
            terms.append(level)
        for k, name in enumerate(data.names):
            for part in alone[k]:
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

        def margin(mechanism: Mechanism, k: int, size: int) -> Basis:
            with_levels = isinstance(own[k], Levels) or isinstance(mechanism, Levels)
            chosen = own[k] if with_levels else mechanism
            return chosen.margin(actions[:, [k]], coordinates[k], size)

        self.alone = cache(lambda m, k: m.alone(actions[:, [k]], coordinates[k], rows))
        self.finer = cache(lambda m, k, more: m.finer(actions[:, [k]], coordinates[k], more))
        self.margin = cache(margin)

    @classmethod
    def of(cls, data: Observations, own: Sequence[Mechanism], rows: int | None) -> Self:
        actions = data.actions
        coordinates = tuple(Coordinate.of(column) for column in actions.T)
        return cls(actions, coordinates, own, len(data) if rows is None else rows)

    def paired(self, mechanism: Mechanism, k: int, j: int) -> tuple[Part, ...]:
        size = margin_size(self.rows)
        own, other = (self.margin(mechanism, at, size) for at in (k, j))
        return paired(mechanism, own, other, self.rows)

    def tripled(self, mechanism: Mechanism, k: int, i: int, j: int) -> tuple[Part, ...]:
        size = margin_size(self.rows)
        own, one, other = (self.margin(mechanism, at, size) for at in (k, i, j))
        return tripled(mechanism, own, one, other)


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
    if made.size > MOST_COEFFICIENTS:
        raise ModelError(
            f"{len(data.names)} actions make {made.size} coefficients, more than the "
            f"{MOST_COEFFICIENTS} that a fit can take; give models.additive the graph, so that "
            "each bias depends on few other actions, or the prior 'linear'"
        )
    return made


def _named(name: str, part: Part) -> str:
    return f"{name} {part.label}" if part.label else name
