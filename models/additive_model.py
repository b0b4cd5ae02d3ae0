"""The additive model of intervention generalisation (Kekić et al. 2025, arXiv 2506.04945).

In every regime the outcome is

    Y = c + sum_k phi_k(a_k) + sum_(j<k) psi_jk(a_j, a_k) + sum_k (1 - R_k) delta_k(a) + noise

with unconfounded contributions phi_k, interactions psi_jk of the actions and confounding biases
delta_k that all regimes share. In the paper actions do not interact and one is set at a time; here
any mask R is allowed. Interactions of the actions are identified by the same combinations of
regimes as the contributions, because only the biases depend on the mask.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, combinations
from typing import Literal, NamedTuple

from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.graph import Graph, known_edges, parents_of
from bayes_intgen.identification.regimes import Mask, is_identified
from bayes_intgen.models.adjustment import Adjustment
from bayes_intgen.models.base import CONSTANT, Bases, CovariateMechanism, Function, Model
from bayes_intgen.models.carryover import has_past
from bayes_intgen.models.mechanisms.mechanism import Mechanism, Shape, pairwise
from bayes_intgen.models.mechanisms.parametric import Levels
from bayes_intgen.models.terms import Decomposition, Term, Where
from bayes_intgen.text.messages import option, refuse_unknown_actions


class _Actions(NamedTuple):
    """Functions of the actions of some rows, and their bases.

    Attributes
    ----------
    bases, of_period : Bases
        Of carried-over actions with the contributions' priors, and of those of each row's period
        with the biases'.
    phi, delta : list of Function
        Unconfounded contribution and bias of each action.
    """

    bases: Bases
    of_period: Bases
    phi: list[Function]
    delta: list[Function]


@dataclass(frozen=True)
class AdditiveModel(Model):
    """Additive model, independent of data; build it with :func:`additive`.

    Attributes
    ----------
    unconfounded, bias : mapping from action to Mechanism
        Priors of single mechanisms.
    graph : mapping from action to its parents, "any", or None
    covariates : mapping from covariate to tuple of mechanisms, whose functions add up
    moderators : mapping from action to tuple of covariates
    groups : mapping from grouping to tuple of effects
        ``level``, and actions whose slopes differ between groups.
    interactions : "auto", tuple of pairs of actions, or None
        Pairs of actions that may interact, all of them under ``"auto"``, which adds those for which
        there is evidence; None for none.
    alike : tuple of groups of actions
        Actions of a group share a function, from which each deviates.
    """

    unconfounded: Mapping[str, Mechanism]
    bias: Mapping[str, Mechanism]
    graph: Graph
    covariates: Mapping[str, tuple[CovariateMechanism, ...]] = field(default_factory=dict)
    moderators: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    interactions: Literal["auto"] | tuple[tuple[str, ...], ...] | None = None
    alike: tuple[tuple[str, ...], ...] = ()

    def decompose(self, data: Observations, rows: int | None = None) -> Decomposition:
        for kind, priors in (("unconfounded", self.unconfounded), ("bias", self.bias)):
            if priors:
                where = option(f"{kind} has a prior for ", command="--levels or --shape: ")
                refuse_unknown_actions(priors, data.names, ModelError, where)
        for where, groups in (("interactions: ", self._pairs), ("alike: ", self.alike)):
            if groups:
                names = chain.from_iterable(groups)
                refuse_unknown_actions(names, data.names, ModelError, where)
        parents_of(data.names, self.graph)
        self.shapes(data)
        actions = self._actions(data, rows)
        terms = self._contributions(data, actions)
        pairs = [sorted(map(data.names.index, pair)) for pair in self._pairs]
        terms += self._interactions(data, actions, pairs)
        for k, f in enumerate(actions.delta):
            terms.append(Term(f"{f.name} level", "bias", k, (), CONSTANT, 1.0, f.gate))
            terms += [f.term(c, k) for c in actions.of_period.main_effect(f.prior, k)]
            if data.names[k] in self.carryover and has_past(data, k):
                terms.append(f.term(actions.of_period.past(k), k))
        effects = None
        if len(data.columns) or self.covariates or self.moderators or self.groups:
            adjustment = self._adjustment(data, actions.bases)
            terms += adjustment.terms()
            effects = adjustment.random_effects()
        return self.decomposition(data, actions.bases, terms, effects)

    def candidates(self, data: Observations, rows: int | None = None) -> tuple[Term, ...]:
        """Candidates of forward selection, in addition to the terms of :meth:`decompose`.

        These are finer functions of smooth contributions and biases, and of numeric covariates,
        interactions of pairs of actions, of their hidden causes and of covariates, functions of
        covariates in a bias, three-way products in a bias, and finer functions of pairs.
        """
        actions, pairs = self._actions(data, rows), self._possible_pairs(data)
        of_period, delta = actions.of_period, actions.delta
        # Rows of a sample determine the resolution of finer functions.
        of_sample = actions if rows in (None, len(data)) else self._actions(data)
        terms = [*self._finer_terms(data, of_sample, candidates_only=True)]
        terms += self._interactions(data, actions, [] if self._pairs else pairs)
        for j, k in pairs:
            component = of_period.product(delta[j].prior, delta[k].prior, j, k)
            for f in _of_causes(data, j, k, delta[j].prior):
                terms.append(f.term(component, j, k))
        if data.columns.names:
            terms += self._adjustment(data, of_period).bias_candidates(delta)
            terms += self._adjustment(data, actions.bases).pair_candidates()
        terms += _of_parents(data, actions, dict(enumerate(parents_of(data.names, self.graph))))
        return (*terms, *self._finer_pairs(data, of_sample, candidates_only=True))

    def functions_of_parents(
        self, data: Observations, parents: Mapping[int, Sequence[int]], rows: int
    ) -> tuple[Term, ...]:
        return tuple(_of_parents(data, self._actions(data, rows), parents))

    def fit_tests(self, data: Observations, refinement: int = 1) -> tuple[Term, ...]:
        actions = self._actions(data)
        return (
            *self._finer_terms(data, actions, refinement),
            *self._finer_pairs(data, actions, refinement),
        )

    def moderator_tests(self, data: Observations) -> tuple[Term, ...]:
        return tuple(self._adjustment(data, self._actions(data).bases).other_moderators())

    def edges(self, names: tuple[str, ...]) -> Array | None:
        return None if self.graph == "any" else known_edges(names, self.graph)

    def identifies(self, regimes: Sequence[Mask], target: Mask) -> bool:
        return is_identified(regimes, target)

    def allows_interaction(self, one: str, other: str) -> bool:
        """Whether two actions may interact in this model."""
        return self.interactions == "auto" or {one, other} in map(set, self._pairs)

    def shapes(self, data: Observations) -> dict[int, Shape]:
        """Shapes of the contributions of actions, by their positions.

        Raises
        ------
        ModelError
            If the levels of such an action have no order.
        """
        out: dict[int, Shape] = {}
        for k, mechanism in enumerate(self.mechanisms(data, self.unconfounded)):
            levels = data.categories[k]
            if mechanism.shape == "free":
                continue
            if levels is not None and not levels.ordered:
                raise ModelError(
                    f"action {data.names[k]!r} cannot be {mechanism.shape}: its levels "
                    f"({levels.spelled()}) have no order; "
                    + option("leave out its shape", command="omit it from --shape")
                )
            out[k] = mechanism.shape
        return out

    def bias_mechanisms(self, data: Observations) -> tuple[Mechanism, ...]:
        return self.mechanisms(data, self.bias)

    def _actions(self, data: Observations, rows: int | None = None) -> _Actions:
        """Functions of the actions and their bases, for data that may be a sample of ``rows``."""
        contributions, biases = self.mechanisms(data, self.unconfounded), self.bias_mechanisms(data)
        bases = Bases(data, contributions, rows)
        # Actions of a single period are those of the row.
        same = data.periods is None and contributions == biases
        of_period = bases if same else Bases(data.this_period, biases, rows)
        phi, delta = list[Function](), list[Function]()
        for k, name in enumerate(data.names):
            phi.append(Function(f"phi({name})", "unconfounded", k, contributions[k]))
            gate = Where((k,))
            delta.append(Function(f"delta({name})", "bias", k, biases[k], gate, of_period=True))
        return _Actions(bases, of_period, phi, delta)

    @property
    def _pairs(self) -> tuple[tuple[str, str], ...]:
        """Pairs of actions whose interactions are in every fit."""
        if not isinstance(self.interactions, tuple):
            return ()
        return tuple((one, other) for one, other in self.interactions)

    def _possible_pairs(self, data: Observations) -> list[Sequence[int]]:
        """Positions of pairs of actions that may interact."""
        every = combinations(range(len(data.names)), 2)
        return [(j, k) for j, k in every if self.allows_interaction(data.names[j], data.names[k])]

    def _adjustment(self, data: Observations, bases: Bases) -> Adjustment:
        priors = self.prior, self.mechanisms(data, self.unconfounded)
        return Adjustment(data, bases, *priors, self.covariates, self.moderators, self.groups)

    def _contributions(self, data: Observations, actions: _Actions) -> list[Term]:
        """Contributions of the actions: of those that are alike deviations, from what they share.

        Deviations of a group have the same scales, which say how alike its actions are. Their prior
        is that of the common function: half of it lowers errors by 7 to 8% where curves are equal,
        and coverage of 90% intervals from 0.88 to 0.86 where curves differ in shape.
        """
        group_of = {name: ", ".join(group) for group in self.alike for name in group}
        terms, bases, priors = list[Term](), actions.bases, [f.prior for f in actions.phi]
        for k, (f, name) in enumerate(zip(actions.phi, data.names, strict=True)):
            for c in bases.main_effect(f.prior, k):
                if name in group_of:
                    label = f"deviations in phi({group_of[name]}) {c.label}"
                    c = replace(c, shared_scale=label.strip())
                terms.append(f.term(c, k))
        for group in self.alike:
            alike = [data.names.index(name) for name in group]
            _refuse_unlike(data, priors, alike)
            f = Function(f"phi({', '.join(group)})", "unconfounded", None, priors[alike[0]])
            terms += [f.term(c, *alike) for c in bases.shared(f.prior, alike)]
        return terms

    def _interactions(
        self, data: Observations, actions: _Actions, pairs: Iterable[Sequence[int]]
    ) -> Iterator[Term]:
        """Interactions of pairs of actions, by their positions, in all regimes.

        They are products of functions that average zero over the rows, so that the average of an
        interaction over the rows' values of either action is zero.
        """
        for j, k in pairs:
            one, other = actions.phi[j].prior, actions.phi[k].prior
            component = actions.bases.product(one, other, j, k)
            yield _interaction(data.names, j, k, one).term(component, j, k)

    def _finer_terms(
        self,
        data: Observations,
        actions: _Actions,
        refinement: int = 1,
        candidates_only: bool = False,
    ) -> Iterator[Term]:
        """Functions of actions and covariates that are finer than those of :meth:`decompose`.

        Parameters
        ----------
        data : Observations
        actions : _Actions
        refinement : int
            Factor of the number of functions.
        candidates_only : bool
            Whether to skip functions that serve score tests only, and are never added to a fit.
        """
        bases = actions.bases, actions.of_period
        for k, functions in enumerate(zip(actions.phi, actions.delta, strict=True)):
            for f in functions:
                component = bases[f.of_period].finer(f.prior, k, refinement)
                if component is not None and (f.prior.refines or not candidates_only):
                    yield f.term(component, k)
        if data.columns.names and (self.prior.refines or not candidates_only):
            yield from self._adjustment(data, bases[0]).finer_terms(refinement)

    def _finer_pairs(
        self,
        data: Observations,
        actions: _Actions,
        refinement: int = 1,
        candidates_only: bool = False,
    ) -> Iterator[Term]:
        """Functions of two actions jointly that are finer than the products of :meth:`decompose`.

        They act in every regime, as an interaction, or where one of both actions was not set, if
        its bias may depend on the other: either may look like the other where it is missing.
        Parameters are those of :meth:`_finer_terms`.
        """
        bases, parents = (actions.bases, actions.of_period), parents_of(data.names, self.graph)
        phi, delta = actions.phi, actions.delta
        for j, k in self._possible_pairs(data):
            psi = _interaction(data.names, j, k, phi[j].prior)
            functions = [(psi, (j, k), (phi[j].prior, phi[k].prior))] + [
                (_with_other(delta[i], data.names[other]), (i, other), (delta[i].prior,) * 2)
                for i, other in ((j, k), (k, j))
                if other in parents[i]
            ]
            for f, inputs, priors in functions:
                component = bases[f.of_period].finer_product(priors, inputs, refinement)
                refines = all(prior.refines or isinstance(prior, Levels) for prior in priors)
                if component is not None and (refines or not candidates_only):
                    yield f.term(component, *inputs)


def _refuse_unlike(data: Observations, priors: Sequence[Mechanism], actions: Sequence[int]) -> None:
    """Raise ModelError if actions that share a function have other priors, or other levels."""
    first, *rest = actions
    for k in rest:
        one, other = (repr(data.names[i]) for i in (first, k))
        if priors[k] != priors[first]:
            raise ModelError(
                f"alike: {one} and {other} have different priors, {type(priors[first]).__name__}() "
                f"and {type(priors[k]).__name__}(); give them the same one, or leave {other} out"
            )
        levels = [data.categories[i] for i in (first, k)]
        named = any(own is not None and not own.numeric for own in levels)
        if named and levels[0] != levels[1]:
            raise ModelError(
                f"alike: {one} and {other} have different levels; leave one of them out"
            )


def _interaction(names: tuple[str, ...], j: int, k: int, prior: Mechanism) -> Function:
    return Function(f"psi({names[j]}, {names[k]})", "interaction", None, prior)


def _of_parents(
    data: Observations, actions: _Actions, parents: Mapping[int, Sequence[int]]
) -> Iterator[Term]:
    """Functions of the parents of actions in their biases, each alone and with the action."""
    bases = actions.of_period
    for k, own in parents.items():
        for j in own:
            f = _with_other(actions.delta[k], data.names[j])
            factors = bases.margin(f.prior, k), bases.margin(f.prior, j)
            for c in pairwise(f.prior, *factors, bases.rows):
                yield f.term(c, *((k, j)[i] for i in c.inputs))


def _of_causes(data: Observations, j: int, k: int, prior: Mechanism) -> Iterator[Function]:
    """Functions of two actions if hidden causes interact, in regimes that may show them.

    A product of both hidden causes shows where neither action was set. Where both were set shows
    what the biases of single actions offset everywhere else.
    """
    pair = f"{data.names[j]}, {data.names[k]}"
    gate = Where((j, k))
    yield Function(f"delta({pair})", "bias", None, prior, gate, of_period=True)
    if any(mask[j] and mask[k] for mask in data.regimes):
        gate = Where((j, k), were_set=True)
        yield Function(f"psi({pair} | set)", "interaction", None, prior, gate, of_period=True)


def _with_other(bias: Function, other: str) -> Function:
    """Function of another action, too, in a bias."""
    return bias._replace(name=f"{bias.name[:-1]} | {other})")
