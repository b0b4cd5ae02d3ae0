import numpy as np
import pytest
from scipy.stats import multivariate_normal

import bayes_intgen as bi
from bayes_intgen.inference.gaussian.conditional import (
    GRID,
    Conditional,
    ReducedStatistics,
    TermEvidence,
)
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.models.mechanisms.mechanism import LogNormal
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
    assert part.log_evidence == pytest.approx(whole.log_evidence, rel=1e-11)
    np.testing.assert_allclose(part.mean, whole.mean[columns], rtol=1e-9, atol=1e-13)
    expected = whole.covariance[np.ix_(columns, columns)]
    np.testing.assert_allclose(part.covariance, expected, rtol=1e-9, atol=1e-13)


def test_evidence_of_a_term_agrees_with_the_dense_density() -> None:
    """The dense density is evaluated on a grid of the term's scale, and without the term."""
    own, scale, log_median, sigma = slice(2, 5), 0.3, np.log(0.1), 1.5
    sd = SD.copy()
    sd[own] = scale
    sums = SufficientStatistics.over(X, Y, W)
    conditional = conditional_on(sums, MEAN, sd)
    mean, covariance = conditional.mean, conditional.covariance
    prior_of_scale = LogNormal(np.exp(log_median), sigma)
    evidence = TermEvidence.of_posterior(mean[own], covariance[own, own], scale, prior_of_scale)

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
        covariance = conditional_on(sums, MEAN, trial).covariance
        return float(np.trace(precision @ covariance[own, own]))

    mixture = sum(w * weighted_variance(s) for w, s in zip(weight, scales, strict=True))
    assert weighted_variance(evidence.scale) == pytest.approx(mixture, rel=0.005)
    # Negative control: the root mean square of the scale would be too large.
    mean_square = float(np.sqrt(weight @ scales**2))
    assert weighted_variance(mean_square) > 1.02 * mixture


@pytest.mark.slow
def test_simplified_fit_samples_present_terms_and_preserves_effects() -> None:
    data = confounded_rows(400, seed=7)
    points = np.array([[0.0, 0.0], [0.5, 1.25], [-0.5, -1.25]])
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
