"""The additive model at its mode, as the null hypothesis about the rows to which it was fitted."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.assess.alternatives import Alternative, WhereBothSet
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.gaussian.passes import (
    TermSums,
    candidate_statistics,
    relative_noise_sd,
)
from bayes_intgen.inference.pilot.first_stage import with_observed_causes
from bayes_intgen.inference.pilot.lack_of_fit import FitTest
from bayes_intgen.inference.pilot.pilot import Pilot, pilot_fit
from bayes_intgen.inference.pilot.residuals import conditional_residuals
from bayes_intgen.inference.pilot.selection import promising, select_terms
from bayes_intgen.models import AdditiveModel
from bayes_intgen.models.mechanisms.mechanism import Component
from bayes_intgen.models.terms import Term

# Maximum leverage for which residuals are corrected; larger ones are clipped to it.
MAX_LEVERAGE = 0.95
# Minimum share of a direction of an alternative's columns that the model's columns, free of their
# prior, leave unexplained. Rows do not test a direction below it.
MIN_UNEXPLAINED_SHARE = 1e-4


@dataclass(frozen=True, eq=False)
class NullModel:
    """The additive model at its mode, with the rows to which it was fitted.

    Attributes
    ----------
    data : Observations
    fit : Pilot
    design : ndarray, shape (n, P)
    weights : ndarray, shape (n,)
        Inverse noise variances.
    mean, covariance : ndarray, shapes (P,) and (P, P)
        Posterior moments of the coefficients.
    residual : ndarray, shape (n,)
        Residuals with the variance of the noise.
    """

    data: Observations
    fit: Pilot
    design: Array
    weights: Array
    mean: Array
    covariance: Array
    residual: Array

    @classmethod
    def of(cls, data: Observations, fit: Pilot) -> Self:
        """Compute moments and residuals at the mode."""
        terms = fit.posterior.terms
        mean, covariance = fit.posterior.moments(fit.sites)
        design = terms.matrix(data.inputs, data.intervened)
        precision = relative_noise_sd(fit.spread, data) ** -2.0
        weights = precision / float(fit.sites["noise_sd"]) ** 2
        leverage = weights * ((design @ covariance) * design).sum(axis=1)
        residual = data.outcome - terms.centre - design @ mean
        if terms.random_effects is not None:
            residual = conditional_residuals(data, terms.random_effects, residual, precision)
        residual = residual / np.sqrt(np.clip(1 - leverage, 1 - MAX_LEVERAGE, 1))
        return cls(data, fit, design, weights, mean, covariance, residual)

    def remainder(self, values: Array) -> Array:
        """What the fit leaves of values that are added to the outcome, shape (n,)."""
        return values - self.design @ (self.covariance @ (self.design.T @ (self.weights * values)))

    def testable_columns(self, blocks: Sequence[Array]) -> list[Array]:
        """Directions of alternatives' coefficients that rows test, each of shape (Q, q).

        The others are combinations of the model's columns, for example where an action has few
        values. Only the prior distinguishes them, and rounding.
        """
        weighted = self.design * self.weights[:, None]
        gram = self.design.T @ weighted
        scale = 1 / np.sqrt(np.maximum(np.diag(gram), 1e-300))
        values, vectors = np.linalg.eigh(gram * scale * scale[:, None])
        present = values > 1e-10 * values[-1]
        root = scale[:, None] * vectors[:, present] / np.sqrt(values[present])
        return [
            _unexplained(block, self.weights, root.T @ (weighted.T @ block)) for block in blocks
        ]

    def related(self, alternative: Alternative) -> list[Term]:
        """Terms of the model that are functions of the same two inputs together."""
        if alternative.kind == "regime":
            return []
        pair = {i for _, inputs in alternative.pieces for i in inputs}
        terms = self.fit.posterior.terms.terms
        return [term for term in terms if term.cross_action and set(term.inputs) == pair]


def _unexplained(block: Array, weights: Array, projection: Array) -> Array:
    """Coefficients whose columns are not combinations of the model's, as orthonormal columns."""
    gram = block.T @ (block * weights[:, None])
    values, vectors = np.linalg.eigh(gram)
    present = values > 1e-10 * max(float(values[-1]), 1e-300)
    root = vectors[:, present] / np.sqrt(values[present])
    own = root.T @ (gram - projection.T @ projection) @ root
    share, directions = np.linalg.eigh((own + own.T) / 2)
    if present.all() and (share > MIN_UNEXPLAINED_SHARE).all():
        return np.eye(len(gram))
    absent = root @ directions[:, share <= MIN_UNEXPLAINED_SHARE]
    explained = np.hstack([absent, vectors[:, ~present]])
    basis, _ = np.linalg.qr(explained, mode="complete")
    return np.asarray(basis[:, explained.shape[1] :])


def null_fit(
    data: Observations, model: AdditiveModel, testable: Sequence[Alternative], progress: bool
) -> Pilot:
    """Fit the additive model at its mode: the null model of all tests.

    As in any fit, forward selection may add finer functions of an action, interactions, and
    products with single causes in a bias. Such products can absorb an interaction that the model
    does not allow, so these are candidates too, and only terms that are selected beside them are
    added.
    Interactions of pairs that some rows set together are always present: the test of interactions
    with hidden causes must not take them for such.
    """
    candidates = model.candidates(data)
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
    first, candidates = with_observed_causes(data, model, first, candidates)
    pilot = pilot_fit(data, model, first, (), progress)
    terms = pilot.posterior.terms
    passed = {
        term.name for term in model.fit_tests(data) if FitTest.passed(term) in pilot.fit_tests
    }
    finer = [t for t in candidates if t.name not in passed and t not in interactions]
    if not finer:
        return pilot
    rivals = [_as_term(each) for each in testable if each.kind == "interaction"]
    compared = (*finer, *rivals)
    statistics = candidate_statistics(data, terms, compared, pilot.spread, progress)
    likely = promising(pilot.posterior, pilot.sites, statistics, compared)
    sums = TermSums.over(data, terms.and_terms(likely), pilot.spread, progress)
    selected = select_terms(pilot.posterior, pilot.sites, sums, compared)
    labels = {rival.name for rival in rivals}
    additions = [term for term in selected if term.name not in labels]
    if not additions:
        return pilot
    return pilot_fit(data, model, first.and_terms(additions), (), progress)


def _as_term(alternative: Alternative) -> Term:
    """Convert an alternative of one piece to a candidate term."""
    ((basis, inputs),) = alternative.pieces
    assert not isinstance(alternative.gate, WhereBothSet)
    component = Component("", basis, alternative.scale, inputs=(0, 1))
    return Term(alternative.label, "bias", None, inputs, component, None, alternative.gate)
