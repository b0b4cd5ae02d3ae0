from dataclasses import replace

import numpy as np
import pytest
from _marginals import marginal_posterior
from scipy.stats import multivariate_normal

import bayes_intgen as bi
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.gaussian.conditional import (
    GRID,
    Conditional,
    ReducedStatistics,
    TermEvidence,
)
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.models.mechanisms.mechanism import LogNormal
from bayes_intgen.models.terms import Decomposition, PseudoObservations

RNG = np.random.default_rng(0)
N, P = 60, 7
X = RNG.normal(size=(N, P))
Y = X[:, 0] + 0.5 * RNG.normal(size=N)
W = RNG.uniform(0.5, 2, size=N)
MEAN = np.array([0.3, 0, 0, 0, 0, 0, 0])
SD = RNG.uniform(0.1, 1, size=P)
NOISE = 0.6
ELIMINATED = np.array([2, 3, 5])


def conditional_on(sums: SufficientStatistics, mean: np.ndarray, sd: np.ndarray) -> Conditional:
    return Conditional.of(sums.centred_at(mean), mean, np.log(sd), NOISE)


@pytest.mark.parametrize("known", [False, True], ids=["rows", "with pseudo-observations"])
def test_elimination_leaves_evidence_and_moments(known) -> None:
    sums = SufficientStatistics.over(X, Y, W)
    if known:
        matrix = RNG.normal(size=(2, P))
        sums = sums._replace(known=PseudoObservations(matrix, np.ones(2), np.zeros(2)))
        with pytest.raises(ValueError, match="depend on an eliminated column"):
            ReducedStatistics.of(sums, ELIMINATED, SD[ELIMINATED] / NOISE)
        # The same array is in `sums`.
        matrix[:, ELIMINATED] = 0
    reduced = ReducedStatistics.of(sums, ELIMINATED, SD[ELIMINATED] / NOISE)
    columns = reduced.remaining
    whole = conditional_on(sums, MEAN, SD)
    part = conditional_on(reduced.sums, MEAN[columns], SD[columns])
    assert part.posterior.log_integral == pytest.approx(whole.posterior.log_integral, rel=1e-11)
    np.testing.assert_allclose(part.mean, whole.mean[columns], rtol=1e-9, atol=1e-13)
    expected = whole.covariance[np.ix_(columns, columns)]
    np.testing.assert_allclose(part.covariance, expected, rtol=1e-9, atol=1e-13)


def test_evidence_of_a_term_agrees_with_the_dense_density() -> None:
    """The dense density is evaluated on a grid of the term's scale, and without the term."""
    own, scale, log_median, sigma = slice(2, 5), 0.3, np.log(0.1), 1.5
    sums = SufficientStatistics.over(X, Y, W)

    def with_scale(value: float) -> np.ndarray:
        trial = SD.copy()
        trial[own] = value
        return trial

    def density(value: float) -> float:
        total = (X * with_scale(value) ** 2) @ X.T + np.diag(NOISE**2 / W)
        return float(multivariate_normal.logpdf(Y, X @ MEAN, total))

    conditional = conditional_on(sums, MEAN, with_scale(scale))
    mean, covariance = conditional.mean, conditional.covariance
    prior_of_scale = LogNormal(np.exp(log_median), sigma)
    evidence = TermEvidence.of_posterior(mean[own], covariance[own, own], scale, prior_of_scale)
    scales = np.exp(log_median + sigma * GRID)
    prior = np.exp(-(GRID**2) / 2)
    ratio = np.exp(np.array([density(s) for s in scales]) - density(0.0))
    expected = np.log((ratio * prior).sum() / prior.sum())
    assert evidence.log_bayes_factor == pytest.approx(expected)
    # The fixed scale gives the coefficients the same posterior variances as the mixture over
    # scales, weighted by the precision of their likelihood.
    weight = ratio * prior / (ratio * prior).sum()
    precision = np.linalg.inv(covariance[own, own]) - np.eye(3) / scale**2

    def weighted_variance(value: float) -> float:
        covariance = conditional_on(sums, MEAN, with_scale(value)).covariance
        return float(np.trace(precision @ covariance[own, own]))

    mixture = sum(w * weighted_variance(s) for w, s in zip(weight, scales, strict=True))
    assert weighted_variance(evidence.scale) == pytest.approx(mixture, rel=0.005)
    # Negative control: the root mean square of the scale would be too large.
    assert weighted_variance(float(np.sqrt(weight @ scales**2))) > 1.02 * mixture


MODEL = bi.models.additive("linear", groups={"patient": ["level", "a1"]})


def _data() -> bi.RegimeData:
    rng = np.random.default_rng(0)
    patient = rng.permutation(np.repeat(np.arange(90), 3))
    actions = rng.normal(size=(len(patient), 2))
    intervened = np.eye(3, 2, -1, dtype=bool)[patient % 3]
    level, slope = rng.normal(size=(2, 90))
    outcome = actions[:, 0] + level[patient] + slope[patient] * actions[:, 0]
    outcome = outcome + 0.3 * rng.normal(size=len(patient))
    groups = {"patient": patient.astype(str)}
    return bi.RegimeData.from_arrays(actions, outcome, intervened, groups=groups)


def _covariance(data: Observations, terms: Decomposition) -> np.ndarray:
    """Covariance of the rows' outcomes given the coefficients, in units of the noise."""
    effects = terms.random_effects
    assert effects is not None
    columns, codes = effects.functions(data.inputs), data.covariates[:, 0]
    same = codes[:, None] == codes
    return np.eye(len(data)) + same * ((columns * np.array(effects.ratio)) @ columns.T)


def test_log_evidence_is_that_of_a_normal_distribution_with_dense_covariance() -> None:
    data, sd, noise_sd = _data(), 0.7, 0.4
    terms = MODEL.decompose(data)
    assert terms.random_effects is not None
    terms = replace(terms, random_effects=replace(terms.random_effects, ratio=(0.8, 2.0)))
    posterior = marginal_posterior(data, MODEL, terms)
    priors = posterior.priors
    sites = {"scale": np.full(len(terms.scales), sd), "noise_sd": np.array(noise_sd)}
    matrix = terms.matrix(data.inputs, data.intervened)
    prior = matrix * np.exp(2 * priors.log_sd(sites)) @ matrix.T
    covariance = prior + noise_sd**2 * _covariance(data, terms)
    residual = data.outcome - terms.centre
    expected = multivariate_normal.logpdf(residual, matrix @ priors.mean, covariance)
    assert posterior.conditional(sites).posterior.log_integral == pytest.approx(expected, rel=1e-9)
    # Negative control: independent rows have another density.
    rows = replace(terms, random_effects=None)
    other = marginal_posterior(data, MODEL, rows).conditional(sites).posterior.log_integral
    assert abs(other - expected) > 10
