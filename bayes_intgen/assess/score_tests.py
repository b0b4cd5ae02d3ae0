"""Score tests of the additive model against alternatives, with a wild bootstrap.

Test statistic: log Bayes factor of the alternative, with the scale of its coefficients integrated
over its prior. Null distribution: wild bootstrap with Rademacher weights and residuals divided by
sqrt(1 - leverage) (HC2; Davidson and Flachaire 2008), because the noise is neither normal nor of
exactly known variance; the bootstrap keeps any dependence of its variance and shape on regime and
actions. All tests share the weights, so that the smallest p value is compared with its own
distribution (Westfall and Young 1993): the level holds for all tests together.

Notes
-----
An alternative is a block of columns Z beside the model's own X. With the model's coefficients
marginalised at its mode, the outcome is normal with precision matrix V^-1, and the rows inform the
block's coefficients gamma through the score S = Z'V^-1 y and its precision P = Z'V^-1 Z, with the
likelihood of S ~ N(P gamma, P). For gamma = 0, S is a sum over rows of z_i e_i, with z_i the
columns after regression on X, plus N(0, P - N), N = Z'V^-1 W^-1 V^-1 Z, the part of the model's
coefficients that shrinkage leaves. The bootstrap resamples the sum over rows.
"""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp
from scipy.stats import chi2, ncx2

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.assess.alternatives import Alternative
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.gaussian.elimination import GRID, TermEvidence, TermLikelihood
from bayes_intgen.inference.gaussian.passes import candidate_statistics, products, relative_noise_sd
from bayes_intgen.inference.pilot.forward_selection import select_terms
from bayes_intgen.inference.pilot.lack_of_fit import FitTest
from bayes_intgen.inference.pilot.pilot import Pilot, pilot_fit
from bayes_intgen.models import AdditiveModel
from bayes_intgen.models.mechanisms.mechanism import Component, LogNormal
from bayes_intgen.models.terms import Term

N_BOOTSTRAP = 1999
# Maximum number of bootstrap weights (samples times rows) in memory at once.
MAX_BOOTSTRAP_WEIGHTS = 4_000_000
# Power at which a size counts as detectable.
POWER = 0.9
# Maximum leverage for which residuals are corrected; larger ones are clipped to it.
MAX_LEVERAGE = 0.95


def null_fit(
    data: Observations, model: AdditiveModel, testable: Sequence[Alternative], progress: bool
) -> Pilot:
    """Fit the additive model at its mode: the null model of all tests.

    As in any fit, forward selection may add finer functions of an action and products of three
    actions in a bias. Such products can absorb an interaction, so the interactions are candidates
    too, and only terms that are selected beside them are added.
    """
    terms = model.decompose(data)
    pilot = pilot_fit(data, model, terms, (), progress)
    passed = {
        term.name for term in model.fit_tests(data) if FitTest.passed(term) in pilot.fit_tests
    }
    finer = [term for term in model.candidates(data) if term.name not in passed]
    if not finer:
        return pilot
    rivals = [_as_term(each) for each in testable if each.kind == "interaction"]
    candidates = (*finer, *rivals)
    statistics = candidate_statistics(data, terms, candidates, pilot.spread, progress)
    of_pairs = partial(products, data, terms, candidates, pilot.spread, progress)
    selected = select_terms(pilot.posterior, pilot.sites, statistics, candidates, of_pairs)
    labels = {rival.name for rival in rivals}
    additions = [term for term in selected if term.name not in labels]
    if not additions:
        return pilot
    return pilot_fit(data, model, terms.and_terms(additions), (), progress)


def _as_term(alternative: Alternative) -> Term:
    """Convert an alternative of one piece to a candidate term."""
    ((basis, inputs),) = alternative.pieces
    component = Component("", basis, alternative.scale, inputs=(0, 1))
    return Term(alternative.label, "bias", None, inputs, component, None, alternative.gate)


class TestResult(NamedTuple):
    """Result of the test against one alternative.

    Attributes
    ----------
    log_bayes_factor : float
        Evidence for the alternative against the additive model.
    p : float
        Bootstrap p value of the log Bayes factor under the additive model.
    p_familywise : float
        Probability that the smallest p value of all tests is at most ``p``.
    size : float
        Standard deviation over the rows of the estimate, in the outcome's units; for a regime the
        root mean square.
    detectable : float
        Standard deviation of the smoothest function at which a chi-squared test of all columns
        has power 0.9, while the biases are free to absorb part of it.
    """

    log_bayes_factor: float
    p: float
    p_familywise: float
    size: float
    detectable: float


def score_tests(
    data: Observations, fit: Pilot, testable: Sequence[Alternative], level: float, seed: int
) -> list[TestResult]:
    """Test the additive model against all alternatives, with familywise p values.

    Parameters
    ----------
    data : Observations
    fit : Pilot
        The additive model at its mode, fitted to these rows.
    testable : sequence of Alternative
    level : float
        Familywise level at which ``detectable`` is computed.
    seed : int
        Seed of the bootstrap weights.
    """
    if not testable:
        return []
    blocks = [each.matrix(data.actions, data.intervened) for each in testable]
    columns = np.concatenate(blocks, axis=1)
    scores = ScoreStatistics.of(data, fit, fit.sites, columns)
    relaxed = ScoreStatistics.of(data, fit, _relaxed_sites(fit), columns)
    unit = fit.posterior.terms.unit
    ends = np.cumsum([0, *(block.shape[1] for block in blocks)])
    slices = [slice(*pair) for pair in pairwise(ends.tolist())]
    samples = np.vstack([scores.score, scores.bootstrap(generator(seed, "check"))])
    statistics = [
        log_bayes_factors(scores.precision[at, at], samples[:, at], each.scale, unit)
        for at, each in zip(slices, testable, strict=True)
    ]
    p = _bootstrap_p_values(np.stack(statistics, axis=1))
    smallest = p.min(axis=1)
    power_level = level / len(testable)
    return [
        TestResult(
            float(statistics[i][0]),
            float(p[0, i]),
            float((smallest <= p[0, i]).mean()),
            _size(each, block, scores.block(at), unit),
            _detectable(block, relaxed.block(at), power_level),
        )
        for i, (at, block, each) in enumerate(zip(slices, blocks, testable, strict=True))
    ]


def _size(alternative: Alternative, block: Array, scores: "ScoreStatistics", unit: float) -> float:
    """Size of the posterior mean of an alternative where its gate is open."""
    likelihood = TermLikelihood.of_information(scores.precision, scores.score)
    log_median = np.log(alternative.scale.median * unit)
    scale = TermEvidence.of(likelihood, log_median, alternative.scale.sigma).scale
    prior_precision = np.eye(len(scores.score)) / scale**2
    estimate = np.linalg.solve(scores.precision + prior_precision, scores.score)
    values = block[block.any(axis=1)] @ estimate
    return float(np.sqrt(np.mean(values**2)) if alternative.kind == "regime" else values.std())


def _detectable(block: Array, relaxed: "ScoreStatistics", level: float) -> float:
    """Size of the smoothest function at which a test of the block has power 0.9."""
    error = np.sqrt(relaxed.variance[0, 0]) / max(relaxed.precision[0, 0], 1e-300)
    smoothest = block[block.any(axis=1), 0]
    return float(_noncentrality(level, block.shape[1]) * error * np.sqrt(np.mean(smoothest**2)))


@cache
def _noncentrality(level: float, size: int) -> float:
    """Standard errors from zero at which a chi-squared test of ``size`` columns has power 0.9."""
    critical = chi2.isf(level, size)
    return float(np.sqrt(brentq(lambda x: ncx2.sf(critical, size, x) - POWER, 1e-6, 1e4)))


def _relaxed_sites(fit: Pilot) -> dict[str, Array]:
    """Mode with scales of cross-action biases raised to one prior sd above their prior medians.

    A large alternative would raise these scales, so that the biases absorb much of it; at the
    null mode they are near zero.
    """
    terms = fit.posterior.terms
    scale = np.array(fit.sites["scale"], dtype=float)
    for term in terms.terms:
        if term.cross_action and term.name in terms.scaled:
            at = terms.scaled.index(term.name)
            prior = term.component.scale
            scale[at] = max(scale[at], prior.median * np.exp(prior.sigma) * terms.unit)
    return {**fit.sites, "scale": scale}


class ScoreStatistics(NamedTuple):
    """Score statistics of additional columns, with the rows' contributions for the bootstrap.

    Attributes
    ----------
    score : ndarray, shape (Q,)
        S = Z'V^-1 (y - X m), m the prior mean of the model's coefficients.
    precision : ndarray, shape (Q, Q)
        P = Z'V^-1 Z, the covariance of the score under the model.
    shrinkage : ndarray, shape (Q, Q)
        P - N, the part of the precision due to the model's coefficients.
    rows : ndarray, shape (n, Q)
        Contribution of each row's residual to the score, corrected for its leverage.
    """

    score: Array
    precision: Array
    shrinkage: Array
    rows: Array

    @classmethod
    def of(cls, data: Observations, fit: Pilot, sites: dict[str, Array], columns: Array) -> Self:
        """Compute the statistics at hyperparameters that may differ from the fit's mode."""
        posterior = fit.posterior
        mean, covariance = posterior.moments(sites)
        design = posterior.terms.matrix(data.inputs, data.intervened)
        weights = 1 / (relative_noise_sd(fit.spread, data) ** 2 * float(sites["noise_sd"]) ** 2)
        residual = data.outcome - posterior.terms.centre - design @ mean
        leverage = weights * ((design @ covariance) * design).sum(axis=1)
        weighted = columns * weights[:, None]
        cross = design.T @ weighted
        residual_columns = columns - design @ (covariance @ cross)
        precision = columns.T @ weighted - cross.T @ covariance @ cross
        noise_part = residual_columns.T @ (residual_columns * weights[:, None])
        scaled = weights * residual / np.sqrt(np.clip(1 - leverage, 1 - MAX_LEVERAGE, 1))
        return cls(
            weighted.T @ residual,
            (precision + precision.T) / 2,
            precision - noise_part,
            residual_columns * scaled[:, None],
        )

    @property
    def variance(self) -> Array:
        """Covariance of the score under the null, robust to the noise, shape (Q, Q)."""
        return np.asarray(self.rows.T @ self.rows + self.shrinkage)

    def block(self, at: slice) -> Self:
        """Select consecutive columns."""
        return type(self)(
            self.score[at], self.precision[at, at], self.shrinkage[at, at], self.rows[:, at]
        )

    def bootstrap(self, rng: np.random.Generator) -> Array:
        """Sample scores under the additive model, shape (N_BOOTSTRAP, Q)."""
        count = len(self.rows)
        sums = np.empty((N_BOOTSTRAP, len(self.score)))
        step = max(1, MAX_BOOTSTRAP_WEIGHTS // count)
        for start in range(0, N_BOOTSTRAP, step):
            batch = sums[start : start + step]
            signs = rng.integers(0, 2, size=(len(batch), count), dtype=np.int8)
            batch[:] = (2.0 * signs - 1) @ self.rows
        values, vectors = np.linalg.eigh((self.shrinkage + self.shrinkage.T) / 2)
        root = vectors * np.sqrt(np.clip(values, 0, None))
        return np.asarray(sums + rng.standard_normal(sums.shape) @ root.T)


def log_bayes_factors(precision: Array, scores: Array, scale: LogNormal, unit: float) -> Array:
    """Compute log Bayes factors of a block of columns for many scores, shape (n, q).

    The scale is integrated over its prior, as in `TermEvidence` for one score.
    """
    values, vectors = np.linalg.eigh(precision)
    values = np.clip(values, 0, None)
    shrunk = np.exp(2 * (np.log(scale.median * unit) + scale.sigma * GRID))[:, None]
    growth = 1 + shrunk * values
    log_ratio = 0.5 * ((scores @ vectors) ** 2 @ (shrunk / growth).T - np.log(growth).sum(axis=1))
    log_prior = -0.5 * GRID**2
    return np.asarray(logsumexp(log_ratio + log_prior, axis=1) - logsumexp(log_prior))


def _bootstrap_p_values(statistics: Array) -> Array:
    """Share of values in the same column that are at least as large, shape (n, tests)."""
    count = len(statistics)
    return np.stack(
        [(count - np.searchsorted(np.sort(c), c, side="left")) / count for c in statistics.T],
        axis=1,
    )


def posterior_weights(results: Mapping[str, TestResult]) -> dict[str, float]:
    """Probability of each alternative if one of them holds, all equally likely a priori."""
    evidence = np.array([result.log_bayes_factor for result in results.values()])
    shares = np.exp(evidence - logsumexp(evidence))
    return dict(zip(results, shares.tolist(), strict=True))
