import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from bayes_intgen.assess.scale_mixture import NODES, NUISANCE_NODES, PRESENT, ScaleMixture
from bayes_intgen.models.mechanisms.mechanism import LogNormal

SCALE, UNIT = LogNormal(0.2, 2.0), 1.7


def test_bayes_factors_integrate_over_nuisances() -> None:
    rng = np.random.default_rng(0)
    root, information = rng.normal(size=(4, 4)), 2 * rng.normal(size=(4, 4))
    precision = root @ root.T
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
