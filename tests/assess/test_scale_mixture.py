import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from bayes_intgen.assess.scale_mixture import NODES, NUISANCE_NODES, PRESENT, ScaleMixture
from bayes_intgen.inference.gaussian.elimination import TermEvidence, TermLikelihood
from bayes_intgen.models.mechanisms.mechanism import LogNormal

SCALE, UNIT = LogNormal(0.2, 2.0), 1.7


def likelihood(size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(size, size))
    return root @ root.T, rng.normal(size=(4, size)) * 2


def test_bayes_factors_without_nuisances_equal_those_of_selection() -> None:
    precision, information = likelihood(3)
    results = ScaleMixture.of(precision, [], [], SCALE, UNIT).log_bayes_factors(information)
    for one, score in zip(results, information, strict=True):
        of_term = TermLikelihood.of_information(precision, score)
        expected = TermEvidence.of(of_term, np.log(0.2 * UNIT), 2.0).log_bayes_factor
        # The quadrature is coarser than the term's.
        assert one == pytest.approx(expected, abs=0.2)


def test_bayes_factors_integrate_over_nuisances() -> None:
    precision, information = likelihood(4)
    mixture = ScaleMixture.of(precision, [2], [SCALE], SCALE, UNIT)

    def prior_of(nodes: np.ndarray) -> list[tuple[float, float]]:
        weights = np.exp(-0.5 * nodes**2) / np.exp(-0.5 * nodes**2).sum()
        return list(zip(0.2 * UNIT * np.exp(2.0 * nodes), weights, strict=True))

    def log_evidence(score: np.ndarray, tested: bool) -> float:
        """Log density of the information, by brute force over all scales."""
        terms = []
        present = [(s, PRESENT * weight) for s, weight in prior_of(NUISANCE_NODES)]
        for s, weight in [(0.0, 1 - PRESENT), *present]:
            for t, more in prior_of(NODES) if tested else [(0.0, 1.0)]:
                prior = np.diag([s**2, s**2, t**2, t**2])
                covariance = precision + precision @ prior @ precision
                density = multivariate_normal(cov=covariance).logpdf(score)
                terms.append(np.log(weight * more) + density)
        return float(logsumexp(terms))

    results = mixture.log_bayes_factors(information)
    for one, score in zip(results, information, strict=True):
        assert one == pytest.approx(log_evidence(score, True) - log_evidence(score, False))


def test_null_mean_follows_a_strong_nuisance_and_forgets_a_weak_one() -> None:
    precision = np.eye(4) * 1000 + 200
    strong = precision[:, :2] @ [2.0, -1.0]
    mixture = ScaleMixture.of(precision, [2], [SCALE], SCALE, UNIT)
    np.testing.assert_allclose(mixture.null_mean(strong), strong, rtol=0.02)
    weak = np.full(4, 20.0)
    assert np.abs(mixture.null_mean(weak)).max() < 5


def test_estimate_is_the_tested_coefficients() -> None:
    precision = np.eye(4) * 1000 + 200
    mixture = ScaleMixture.of(precision, [2], [SCALE], SCALE, UNIT)
    information = precision @ [0.0, 0.0, 2.0, -1.0]
    np.testing.assert_allclose(mixture.estimate(information), [2.0, -1.0], rtol=0.05)
    np.testing.assert_allclose(mixture.shift(np.array([2.0, -1.0])), information)
