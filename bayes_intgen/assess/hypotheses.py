"""Alternatives to the additive mean, and the model at its mode, the null hypothesis of all tests.

The additive model is overidentified. Its mean, E[Y | a, R] = c + sum_k phi_k(a_k)
+ sum_(j<k) psi_jk(a_j, a_k) + sum_k (1 - R_k) delta_k(a), has no room for

- an *interaction* psi(a_j, a_k) in all regimes of a pair that the model holds to be additive: the
  combination of regime means that gives the joint effect, as sum_j m_j - (K - 1) m_0, must be a
  sum of functions of one action each;
- a dependence of the bias delta_j on an action that a known *graph* does not make its parent:
  m_j - m_0 = -delta_j;
- a *regime* with several actions set whose mean differs, in level or in the effects of single
  actions, from the prediction of the other regimes;
- a *confounded interaction*, in which hidden causes take part: a function of two actions in the
  rows where both are set, which the biases may offset in all others.

It may also lack a *moderator*, a covariate on which the contribution of an action depends. Rows
where the action was set show it whatever its bias depends on. It is no violation: the effect is
still an average over the covariate.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, compress, permutations
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.assess.bootstrap import Departure
from bayes_intgen.basis.basis import Basis, Constant
from bayes_intgen.basis.combined import TensorProductBasis
from bayes_intgen.data.rows import Observations
from bayes_intgen.identification.graph import parents_of
from bayes_intgen.inference.density.mode import Mode
from bayes_intgen.inference.gaussian.factor import GaussianFactor, orthonormal_basis
from bayes_intgen.inference.gaussian.passes import (
    candidate_sums,
    relative_noise_sd,
)
from bayes_intgen.inference.pilot.dependence import dependence_of_scores
from bayes_intgen.inference.pilot.first_stage import with_observed_causes
from bayes_intgen.inference.pilot.lack_of_fit import FitTest
from bayes_intgen.inference.pilot.pilot import Pilot, pilot_fit
from bayes_intgen.inference.pilot.residuals import within_groups
from bayes_intgen.inference.pilot.selection import promising, select_terms
from bayes_intgen.inference.settings import Techniques
from bayes_intgen.models import AdditiveModel
from bayes_intgen.models.mechanisms.mechanism import MARGIN_SIZE, Column, Component, LogNormal
from bayes_intgen.models.terms import ALWAYS, Gate, InRegime, Term, Where

Piece = tuple[Basis, tuple[int, ...]]

# Maximum total order of products of two actions, and number of functions, smoothest first, of
# single actions.
MAX_PAIR_ORDER, N_SINGLE = 3, 2
# Maximum leverage for which residuals are corrected; larger ones are clipped to it.
MAX_LEVERAGE = 0.95
# Minimum share of a direction of an alternative's columns that the model's columns, free of their
# prior, leave unexplained. Rows do not test a direction below it.
MIN_UNEXPLAINED_SHARE = 1e-4
# Kinds of alternatives that concern biases.
OF_CAUSES = ("graph", "confounded interaction")
NULL_TECHNIQUES = Techniques(interactions_of_causes=False)
# Singular value, relative to the largest, below which a direction of columns is rounding.
MIN_SINGULAR_VALUE = 1e-5


@dataclass(frozen=True, eq=False)
class Alternative:
    """An alternative to the additive mean.

    Attributes
    ----------
    of : Departure
        Of kind "interaction", "graph", "regime", "confounded interaction" or "moderator". Its
        actions: for interactions, the two actions; for a graph, the action with the bias and the
        action on which the bias depends; for a regime, the actions that it sets.
    pieces : tuple of (Basis, tuple of int)
        Bases, each with the positions of its inputs: actions, then covariates. Of those of a regime
        only the first functions, the smoothest, are used.
    gate : Gate
    scale : LogNormal
        Prior of the scale of all coefficients, in outcome standard deviations.
    testable : bool
        Whether the regimes distinguish it from the model: not if its gate is a linear combination
        of the gates of terms with the same functions.
    """

    of: Departure
    pieces: tuple[Piece, ...]
    gate: Gate
    scale: LogNormal
    testable: bool

    def design(self, rows: Observations) -> Array:
        """Compute its columns, shape (n, size)."""
        count = N_SINGLE if self.of.kind == "regime" else None
        # Hidden causes move the actions of their period.
        own = rows.this_period if self.of.kind in OF_CAUSES else rows
        inputs, gate = own.inputs, self.gate(own.intervened)
        pieces = [basis.matrix(inputs[:, list(i)])[:, :count] for basis, i in self.pieces]
        return np.asarray(np.concatenate(pieces, axis=1) * gate[:, None])


def alternatives(data: Observations, model: AdditiveModel) -> Iterator[Alternative]:
    """Yield the alternatives to a model and its graph, testable with these regimes or not."""
    names, regimes, positions = data.names, tuple(data.regimes), range(len(data.names))
    mechanisms, parents = model.bias_mechanisms(data), parents_of(names, model.graph)
    bases = [
        mechanism.marginal_basis(Column.of(column), MARGIN_SIZE)
        for mechanism, column in zip(mechanisms, data.actions.T, strict=True)
    ]
    masks = np.array(regimes)
    everywhere, unset = np.ones(len(masks)), list(1.0 - masks.T)

    def products(j: int, k: int) -> Piece:
        return TensorProductBasis((bases[j], bases[k]), MAX_PAIR_ORDER), (j, k)

    def biases(*actions: int) -> list[Array]:
        """Gates of the biases that may be functions of all these actions together."""
        return [unset[k] for k in positions if set(actions) <= {k, *parents[k]}]

    def alternative(
        of: Departure, pieces: Sequence[Piece], gate: Gate, scale: LogNormal, *rivals: list[Array]
    ) -> Alternative:
        """Testable if its gate is independent of all gates of some rivals."""
        testable = any(_is_independent(gate(masks), own) for own in rivals)
        return Alternative(of, tuple(pieces), gate, scale, testable)

    pairs = [*combinations(positions, 2)]
    for j, k in pairs:
        if not model.allows_interaction(names[j], names[k]):
            label = f"interaction of {names[j]} and {names[k]}"
            of = Departure("interaction", label, (names[j], names[k]))
            yield alternative(of, [products(j, k)], ALWAYS, mechanisms[j].interaction, biases(j, k))
    for j, k in permutations(positions, 2):
        if k not in parents[j]:
            label = f"bias of {names[j]} depends on {names[k]}"
            of, scale = Departure("graph", label, (names[j], names[k])), mechanisms[j].cross_action
            pieces, rivals = [(bases[k], (k,)), products(j, k)], [everywhere, *biases(k)]
            yield alternative(of, pieces, Where((j,)), scale, rivals, biases(j, k))
    for i in np.flatnonzero(masks.sum(axis=1) > 1).tolist():
        label = f"{data.label(regimes[i])} differs from what other regimes predict"
        of = Departure("regime", label, tuple(compress(names, regimes[i])))
        pieces = [(Constant(), ()), *((basis, (k,)) for k, basis in enumerate(bases))]
        scale, rivals = model.prior.cross_action, [everywhere, *unset]
        yield alternative(of, pieces, InRegime(regimes, i), scale, rivals)
    for j, k in pairs:
        label = f"interaction of {names[j]} and {names[k]} with hidden causes"
        of = Departure("confounded interaction", label, (names[j], names[k]))
        gate, rivals = Where((j, k), were_set=True), [everywhere, *unset]
        yield alternative(of, [products(j, k)], gate, mechanisms[j].interaction, rivals)


def moderators(data: Observations, model: AdditiveModel) -> Iterator[Alternative]:
    """Yield the dependences of effects on covariates that a model lacks."""
    columns = (*data.names, *data.columns.every)
    for term in model.moderator_tests(data):
        name, covariate = (columns[i] for i in term.inputs)
        label = f"the effect of {name} depends on {covariate}"
        of = Departure("moderator", label, (name, covariate))
        pieces = ((term.component.basis, term.inputs),)
        yield Alternative(of, pieces, term.gate, term.component.scale, True)


def _is_independent(gate: Array, others: Sequence[Array]) -> bool:
    """Whether a gate, a number per regime, is linearly independent of others."""
    without = np.vstack([np.zeros_like(gate), *others])
    every = np.vstack([without, gate])
    return bool(np.linalg.matrix_rank(every) > np.linalg.matrix_rank(without))


@dataclass(frozen=True, eq=False)
class NullModel:
    """The additive model at its mode, with the rows to which it was fitted.

    Attributes
    ----------
    data : Observations
    fit : Mode
    design : ndarray, shape (n, P)
    weights : ndarray, shape (n,)
        Inverse noise variances.
    residual : ndarray, shape (n,)
        Residuals with the variance of the noise.
    """

    data: Observations
    fit: Mode
    design: Array
    weights: Array
    residual: Array

    @classmethod
    def of(cls, data: Observations, fit: Mode) -> Self:
        """Compute moments and residuals at the mode."""
        terms, conditional = fit.terms, fit.conditional
        design = terms.design(data)
        precision = relative_noise_sd(fit.spread, data) ** -2.0
        weights = precision / fit.noise_sd**2
        leverage = weights * ((design @ conditional.root) ** 2).sum(axis=1)
        residual = data.outcome - terms.centre - design @ conditional.mean
        if terms.random_effects is not None:
            columns = residual[:, None]
            residual = within_groups(data, terms.random_effects, columns, precision)[:, 0]
        residual = residual / np.sqrt(np.clip(1 - leverage, 1 - MAX_LEVERAGE, 1))
        return cls(data, fit, design, weights, residual)

    def remainder(self, values: Array) -> Array:
        """What the fit leaves of values that are added to the outcome, shape (n,)."""
        root = self.fit.conditional.root
        return values - self.design @ (root @ (root.T @ (self.design.T @ (self.weights * values))))

    def beside(self, columns: Array, own: NDArray[np.int_]) -> GaussianFactor:
        """Factor of the coefficients, followed by those of additional columns, shape (n, q).

        It is the posterior, but without prior of the additional coefficients and of those at the
        positions ``own``.
        """
        conditional, weighted = self.fit.conditional, columns * self.weights[:, None]
        statistics = self.fit.posterior.statistics
        of_model = statistics.posterior(conditional.sd, conditional.noise_sd)
        of_model.matrix[own, own] -= 1
        of_model = of_model.rescale(np.append(1 / conditional.sd, 1.0))
        precision, cross = of_model.matrix[:-1, :-1], self.design.T @ weighted
        outcome = self.data.outcome - self.fit.terms.centre
        return GaussianFactor.of(
            np.block([[precision, cross], [cross.T, columns.T @ weighted]]),
            np.append(
                of_model.matrix[:-1, -1] + precision @ conditional.prior_mean, weighted.T @ outcome
            ),
            of_model.matrix[-1, -1],
            of_model.log_scale,
        )

    def testable_columns(self, blocks: Sequence[Array]) -> list[Array]:
        """Directions of alternatives' coefficients that rows test, each of shape (Q, q).

        The others are combinations of the model's columns, for example where an action has few
        values. Only the prior distinguishes them, and rounding.
        """
        root_weights = np.sqrt(self.weights)[:, None]
        span = orthonormal_basis(self.design * root_weights, MIN_SINGULAR_VALUE)
        return [_unexplained(block * root_weights, span) for block in blocks]

    def related(self, alternative: Alternative) -> list[Term]:
        """Terms of the model that are functions of the same two inputs together."""
        if alternative.of.kind == "regime":
            return []
        pair = {i for _, inputs in alternative.pieces for i in inputs}
        terms = self.fit.terms.terms
        return [term for term in terms if term.cross_action and set(term.inputs) == pair]


def _unexplained(block: Array, span: Array) -> Array:
    """Coefficients whose columns are not in the span of the model's, as orthonormal columns."""
    values, vectors = np.linalg.eigh(block.T @ block)
    present = values > MIN_SINGULAR_VALUE**2 * max(float(values[-1]), 1e-300)
    root = vectors[:, present] / np.sqrt(values[present])
    explained = span.T @ (block @ root)
    share, directions = np.linalg.eigh(np.eye(present.sum()) - explained.T @ explained)
    if present.all() and (share > MIN_UNEXPLAINED_SHARE).all():
        return np.eye(len(values))
    absent = root @ directions[:, share <= MIN_UNEXPLAINED_SHARE]
    untestable = np.hstack([absent, vectors[:, ~present]])
    basis, _ = np.linalg.qr(untestable, mode="complete")
    return np.asarray(basis[:, untestable.shape[1] :])


def null_fit(
    data: Observations, model: AdditiveModel, others: Sequence[Alternative], progress: bool
) -> Pilot:
    """Fit the additive model at its mode: the null model of all tests.

    As in any fit, forward selection may add finer functions of an action, interactions, and
    products with single causes in a bias. Such products can absorb an interaction that the model
    does not allow, so these are candidates too, and only terms that are selected beside them are
    added.
    Interactions of pairs that some rows set together are always present: the test of interactions
    with hidden causes must not take them for such. What only these rows have, in mean or variance,
    is not in the null model.
    """
    candidates = tuple(
        t for t in model.candidates(data) if t.role != "interaction" or t.is_interaction
    )
    set_together = {
        pair for mask in data.regimes for pair in combinations(np.flatnonzero(mask).tolist(), 2)
    }
    interactions = [
        t
        for t in candidates
        # Finer functions of a pair, which have a label, need evidence.
        if t.role == "interaction" and not t.component.label and t.inputs in set_together
    ]
    first = model.decompose(data).and_terms(interactions)
    first, candidates = with_observed_causes(data.this_period, model, first, candidates)
    pilot = pilot_fit(data, model, first, (), progress, techniques=NULL_TECHNIQUES)
    fit = pilot.mode
    terms = fit.terms
    passed = {term.name for term in model.fit_tests(data) if FitTest.of(term) in pilot.fit_tests}
    finer = [t for t in candidates if t.name not in passed and t not in interactions]
    if not finer:
        return pilot
    rivals = []
    for each in others:
        if each.testable and each.gate == ALWAYS:
            ((basis, inputs),) = each.pieces
            component = Component("", basis, each.scale, inputs=(0, 1))
            rivals.append(Term(each.of.label, "bias", None, inputs, component, None, each.gate))
    compared = (*finer, *rivals)
    every = terms.and_terms(compared)
    statistics, sums_of = candidate_sums(data, terms, every, compared, fit.spread, progress)
    likely = [c.term for c in promising(fit, statistics, compared)]
    sums = sums_of(terms.and_terms(likely))
    dependence = dependence_of_scores(data, fit, sums.terms, np.diag(sums.sums.xx))
    selected = select_terms(fit, sums, compared, dependence)
    labels = {rival.name for rival in rivals}
    additions = [added.term for added in selected if added.term.name not in labels]
    if not additions:
        return pilot
    first = first.and_terms(additions)
    return pilot_fit(data, model, first, (), progress, techniques=NULL_TECHNIQUES)
