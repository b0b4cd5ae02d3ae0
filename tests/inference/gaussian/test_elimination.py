import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

import bayes_intgen as bi
from bayes_intgen.inference.gaussian.conditional import Conditional
from bayes_intgen.inference.gaussian.elimination import (
    GRID,
    ReducedStatistics,
    TermEvidence,
    TermLikelihood,
)
from bayes_intgen.inference.gaussian.evidence import log_marginal
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.models.terms import PseudoObservations

from conftest import confounded_rows

RNG = np.random.default_rng(0)
N, P = 60, 7
X = RNG.normal(size=(N, P))
Y = X[:, 0] + 0.5 * RNG.normal(size=N)
W = RNG.uniform(0.5, 2, size=N)
MEAN = np.array([0.3, 0, 0, 0, 0, 0, 0])
SD = RNG.uniform(0.1, 1, size=P)
NOISE = 0.6
ELIMINATED = np.array([2, 3, 5])


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def moments(
    sums: SufficientStatistics, mean: np.ndarray, sd: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    conditional = Conditional.of(sums, mean, np.log(sd), NOISE)
    return conditional.mean, conditional.covariance


def whole_and_reduced() -> tuple[SufficientStatistics, ReducedStatistics]:
    sums = SufficientStatistics.over(X, Y, W)
    return sums, ReducedStatistics.of(sums, ELIMINATED, SD[ELIMINATED] / NOISE)


def assert_same_marginal(sums: SufficientStatistics, reduced: ReducedStatistics) -> None:
    columns = reduced.remaining
    whole = log_marginal(sums.centred_at(MEAN), jnp.log(SD), NOISE)
    part = log_marginal(reduced.sums.centred_at(MEAN[columns]), jnp.log(SD[columns]), NOISE)
    assert float(part) == pytest.approx(float(whole), rel=1e-11)


def test_elimination_preserves_the_marginal_likelihood() -> None:
    assert_same_marginal(*whole_and_reduced())


def test_pseudo_observations_of_the_remaining_columns_are_preserved() -> None:
    matrix = RNG.normal(size=(2, P))
    sums = SufficientStatistics.over(X, Y, W)._replace(
        known=PseudoObservations(matrix, np.ones(2), np.zeros(2))
    )
    with pytest.raises(ValueError, match="depend on an eliminated column"):
        ReducedStatistics.of(sums, ELIMINATED, SD[ELIMINATED] / NOISE)
    # The same array is in `sums`.
    matrix[:, ELIMINATED] = 0
    reduced = ReducedStatistics.of(sums, ELIMINATED, SD[ELIMINATED] / NOISE)
    assert_same_marginal(sums, reduced)
    columns = reduced.remaining
    mean, covariance = moments(reduced.sums, MEAN[columns], SD[columns])
    whole_mean, whole_covariance = moments(sums, MEAN, SD)
    np.testing.assert_allclose(mean, whole_mean[columns], rtol=1e-9, atol=1e-13)
    expected = whole_covariance[np.ix_(columns, columns)]
    np.testing.assert_allclose(covariance, expected, rtol=1e-9, atol=1e-13)


def test_completed_draws_have_the_moments_of_all_coefficients() -> None:
    sums, reduced = whole_and_reduced()
    count, columns = 40_000, reduced.remaining
    conditional = Conditional.of(reduced.sums, MEAN[columns], np.log(SD[columns]), NOISE)
    normal = np.random.default_rng(0).standard_normal((count, len(columns)))
    remaining = conditional.mean + normal @ conditional.root.T
    rng = np.random.default_rng(1)
    draws = reduced.complete(remaining[None], np.full((1, count), NOISE), rng)[0]
    mean, covariance = moments(sums, MEAN, SD)
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(draws.mean(axis=0) - mean) < 4 * sd / np.sqrt(count)).all()
    expected = covariance / np.outer(sd, sd)
    assert (np.abs(np.corrcoef(draws.T) - expected) < 4.5 / np.sqrt(count)).all()
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=4 / np.sqrt(2 * count))


def test_evidence_of_a_term_agrees_with_the_dense_density() -> None:
    """The dense density is evaluated on a grid of the term's scale, and without the term."""
    own, scale, log_median, sigma = slice(2, 5), 0.3, np.log(0.1), 1.5
    sd = SD.copy()
    sd[own] = scale
    sums = SufficientStatistics.over(X, Y, W)
    mean, covariance = moments(sums, MEAN, sd)
    likelihood = TermLikelihood.of(mean[own], covariance[own, own], scale)
    evidence = TermEvidence.of(likelihood, log_median, sigma)

    def density(value: float) -> float:
        trial = sd.copy()
        trial[own] = value
        total = (X * trial**2) @ X.T + np.diag(NOISE**2 / W)
        return float(multivariate_normal.logpdf(Y, X @ MEAN, total))

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
        trial = sd.copy()
        trial[own] = value
        _, total = moments(sums, MEAN, trial)
        return float(np.trace(precision @ total[own, own]))

    mixture = sum(w * weighted_variance(s) for w, s in zip(weight, scales, strict=True))
    assert weighted_variance(evidence.scale) == pytest.approx(mixture, rel=0.005)
    # Negative control: the root mean square of the scale would be too large.
    mean_square = float(np.sqrt(weight @ scales**2))
    assert weighted_variance(mean_square) > 1.02 * mixture


@pytest.mark.slow
def test_simplified_fit_samples_present_terms_and_preserves_effects() -> None:
    data = confounded_rows(400, seed=7)
    points = np.array([[0.0, 0.0], [0.5, 1.25], [-0.5, -1.25]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.SamplingWarning)
        model = bi.models.additive(graph={"green": ["red"]}, interactions=[("red", "green")])
        simple = bi.fit(data, model, progress=False)
        full = bi.fit(data, model, simplify=False, progress=False)
    fixed = simple.tree["constant_data"]["fixed_scale_of"].to_numpy().tolist()
    # Red and green do not interact.
    assert "psi(red, green)" in fixed
    assert "delta(green) slope" in simple.tree["posterior"]["scale_of"]
    # Without selection products with the control variable are in the fit.
    assert "delta(green) control, red" in full.tree["posterior"]["scale_of"]
    # The scale of errors of control variables is known.
    unpruned = full.tree["constant_data"]["fixed_scale_of"].to_numpy().tolist()
    assert unpruned == ["delta(green) control error"]
    for intervened in (["red", "green"], []):
        one, other = (p.effect(points, intervened) for p in (simple, full))
        sd = other.std(("chain", "draw"))
        gap = one.mean(("chain", "draw")) - other.mean(("chain", "draw"))
        # Monte Carlo error of two means of some 1,000 effective draws, plus a tenth of an sd for
        # the approximation.
        assert (np.abs(gap) < (0.1 + 4 * np.sqrt(2 / 1000)) * sd).all()
        ratio = one.std(("chain", "draw")) / sd
        np.testing.assert_allclose(ratio, 1, atol=0.05 + 4 * np.sqrt(2 / 2000))
