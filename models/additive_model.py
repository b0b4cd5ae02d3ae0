"""The additive model of intervention generalisation (Kekić et al. 2025, arXiv 2506.04945).

In every regime the outcome is

    Y = c + sum_k phi_k(a_k) + sum_(j<k) psi_jk(a_j, a_k) + sum_k (1 - R_k) delta_k(a) + noise

with unconfounded contributions phi_k, interactions psi_jk of the actions and confounding biases
delta_k that all regimes share. In the paper actions do not interact and one is set at a time; here
any mask R is allowed. Interactions of the actions are identified by the same combinations of
regimes as the contributions, because only the biases depend on the mask.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.graph import Graph, known_edges, parents_of
from bayes_intgen.identification.regimes import Mask, is_identified
from bayes_intgen.models.adjustment import Adjustment, AdjustmentTerms
from bayes_intgen.models.base import AnyMechanism, CovariateMechanism, Model
from bayes_intgen.models.decomposition import LEVEL, Bases, build, label_of
from bayes_intgen.models.mechanisms.mechanism import Mechanism
from bayes_intgen.models.mechanisms.parametric import Levels
from bayes_intgen.models.terms import Always, Decomposition, Gate, Role, Term, WhereNotSet
from bayes_intgen.text.messages import refuse_unknown_actions


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
    """

    unconfounded: Mapping[str, AnyMechanism]
    bias: Mapping[str, AnyMechanism]
    graph: Graph
    covariates: Mapping[str, tuple[CovariateMechanism, ...]] = field(default_factory=dict)
    moderators: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    interactions: Literal["auto"] | tuple[tuple[str, ...], ...] | None = None

    def decompose(self, data: Observations, rows: int | None = None) -> Decomposition:
        for kind, priors in (("unconfounded", self.unconfounded), ("bias", self.bias)):
            refuse_unknown_actions(priors, data.names, ModelError, f"{kind} has a prior for ")
        paired = (name for pair in self._pairs for name in pair)
        refuse_unknown_actions(paired, data.names, ModelError, "interactions: ")
        parents_of(data.names, self.graph)
        bases, terms = self._bases(data, rows), list[Term]()
        unconfounded, bias = self._contribution_mechanisms(data), self.bias_mechanisms(data)
        for k, name in enumerate(data.names):
            for c in bases.main_effect(unconfounded[name], k):
                label = label_of(f"phi({name})", c)
                terms.append(Term(label, "unconfounded", k, (k,), c, None, Always()))
        terms += self._interactions(data, bases, self._pairs)
        for k, name in enumerate(data.names):
            gate = WhereNotSet(k)
            terms.append(Term(f"delta({name}) level", "bias", k, (), LEVEL, 1.0, gate))
            for c in bases.main_effect(bias[name], k):
                label = label_of(f"delta({name})", c)
                terms.append(Term(label, "bias", k, (k,), c, None, gate))
        adjusted = self._adjustment_terms(data, bases)
        terms += adjusted.terms()
        return build(data, terms, bases.coordinates, self.intercept, adjusted.random_effects())

    def candidates(self, data: Observations, rows: int | None = None) -> tuple[Term, ...]:
        """Candidates of forward selection, in addition to the terms of :meth:`decompose`.

        These are finer functions of smooth contributions and biases, interactions of pairs of
        actions, functions of covariates in a bias, three-way products in a bias, and finer
        functions of pairs.
        """
        bases, bias = self._bases(data, rows), self.bias_mechanisms(data)
        terms = self._finer_terms(data, candidates_only=True)
        pairs = [] if self._pairs else self._possible_pairs(data)
        terms += self._interactions(data, bases, pairs)
        if data.columns.names:
            own = [bias[name] for name in data.names]
            terms += self._adjustment_terms(data, bases).bias_candidates(own)
        products = []
        for k, parents in enumerate(parents_of(data.names, self.graph)):
            name, gate = data.names[k], WhereNotSet(k)
            for j in parents:
                for c in bases.pairwise(bias[name], k, j):
                    label = label_of(f"delta({name} | {data.names[j]})", c)
                    inputs = tuple((k, j)[i] for i in c.inputs)
                    products.append(Term(label, "bias", k, inputs, c, None, gate))
        return (*terms, *products, *self._finer_pairs(data, candidates_only=True))

    def fit_tests(self, data: Observations, refinement: int = 1) -> tuple[Term, ...]:
        return (*self._finer_terms(data, refinement), *self._finer_pairs(data, refinement))

    def edges(self, names: tuple[str, ...]) -> Array | None:
        return None if self.graph == "any" else known_edges(names, self.graph)

    def identifies(self, regimes: Sequence[Mask], target: Mask) -> bool:
        return is_identified(regimes, target)

    def allows_interaction(self, one: str, other: str) -> bool:
        """Whether two actions may interact in this model."""
        if not isinstance(self.interactions, tuple):
            return self.interactions == "auto"
        return {one, other} in map(set, self.interactions)

    def bias_mechanisms(self, data: Observations) -> dict[str, Mechanism]:
        return self.mechanisms(data, self.bias)

    def _contribution_mechanisms(self, data: Observations) -> dict[str, Mechanism]:
        return self.mechanisms(data, self.unconfounded)

    @property
    def _pairs(self) -> tuple[tuple[str, str], ...]:
        """Pairs of actions whose interactions are in every fit."""
        if not isinstance(self.interactions, tuple):
            return ()
        return tuple((one, other) for one, other in self.interactions)

    def _possible_pairs(self, data: Observations) -> list[tuple[str, str]]:
        """Pairs of actions that may interact."""
        every = combinations(data.names, 2)
        return [pair for pair in every if self.allows_interaction(*pair)]

    def _bases(self, data: Observations, rows: int | None = None) -> Bases:
        bias = self.bias_mechanisms(data)
        return Bases(data, [bias[name] for name in data.names], rows)

    def _adjustment_terms(self, data: Observations, bases: Bases) -> AdjustmentTerms:
        adjustment = Adjustment(self.covariates, self.moderators, self.groups)
        own = self._contribution_mechanisms(data)
        return AdjustmentTerms(adjustment, data, self.prior, [own[n] for n in data.names], bases)

    def _interactions(
        self, data: Observations, bases: Bases, pairs: Sequence[tuple[str, str]]
    ) -> list[Term]:
        """Interactions of pairs of actions, in all regimes.

        They are products of functions that average zero over the rows, so that the average of an
        interaction over the rows' values of either action is zero.
        """
        terms, mechanisms = [], self._contribution_mechanisms(data)
        for pair in pairs:
            j, k = sorted(map(data.names.index, pair))
            one, other = data.names[j], data.names[k]
            component = bases.product(mechanisms[one], mechanisms[other], j, k)
            label = f"psi({one}, {other})"
            terms.append(Term(label, "interaction", None, (j, k), component, None, Always()))
        return terms

    def _finer_terms(
        self, data: Observations, refinement: int = 1, candidates_only: bool = False
    ) -> list[Term]:
        """Functions of each contribution and bias that are finer than those of :meth:`decompose`.

        Parameters
        ----------
        data : Observations
        refinement : int
            Factor of the number of functions.
        candidates_only : bool
            Whether to skip functions that serve score tests only, and are never added to a fit.
        """
        bases, terms = self._bases(data), []
        unconfounded, bias = self._contribution_mechanisms(data), self.bias_mechanisms(data)
        for k, name in enumerate(data.names):
            kinds: list[tuple[str, Role, Mechanism, Gate]] = [
                (f"phi({name})", "unconfounded", unconfounded[name], Always()),
                (f"delta({name})", "bias", bias[name], WhereNotSet(k)),
            ]
            for label, role, mechanism, gate in kinds:
                c = bases.finer(mechanism, k, refinement)
                if c is not None and (mechanism.refines or not candidates_only):
                    terms.append(Term(label_of(label, c), role, k, (k,), c, None, gate))
        return terms

    def _finer_pairs(
        self, data: Observations, refinement: int = 1, candidates_only: bool = False
    ) -> list[Term]:
        """Functions of two actions jointly that are finer than the products of :meth:`decompose`.

        They act in every regime, as an interaction, or where one of both actions was not set, if
        its bias may depend on the other: either may look like the other where it is missing.
        Parameters are those of :meth:`_finer_terms`.
        """
        bases, parents = self._bases(data), parents_of(data.names, self.graph)
        unconfounded, bias = self._contribution_mechanisms(data), self.bias_mechanisms(data)
        terms = []
        for pair in self._possible_pairs(data):
            j, k = sorted(map(data.names.index, pair))
            both = (unconfounded[data.names[j]], unconfounded[data.names[k]])
            psi = f"psi({data.names[j]}, {data.names[k]})"
            kinds: list[tuple[str, int | None, tuple[int, int], tuple[Mechanism, Mechanism]]]
            kinds = [(psi, None, (j, k), both)]
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
                    terms.append(Term(label_of(label, c), role, action, inputs, c, None, gate))
        return terms
