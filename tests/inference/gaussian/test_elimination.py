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
    empirical_bayes_log_scale,
)
from bayes_intgen.inference.gaussian.evidence import log_marginal
from bayes_intgen.inference.gaussian.sufficient_statistics import (
    PseudoObservations,
    SufficientStatistics,
)

from conftest import confounded_rows

RNG = np.random.default_rng(0)
N, P = 60, 7
X = RNG.normal(size=(N, P))
Y = X[:, 0] + 0.5 * RNG.normal(size=N)
W = RNG.uniform(0.5, 2, size=N)
MEAN = np.array([0.3, 0, 0, 0, 0, 0, 0])
SD = RNG.uniform(0.1, 1, size=P)
NOISE = 0.6
DROPPED = np.array([2, 3, 5])


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def moments(
    sums: SufficientStatistics, mean: np.ndarray, sd: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    given = Conditional.of(sums, mean, np.log(sd), NOISE)
    return given.mean, given.covariance


def condensed() -> tuple[SufficientStatistics, ReducedStatistics]:
    sums = SufficientStatistics.over([(X, Y, W)])
    return sums, ReducedStatistics.of(sums, DROPPED, SD[DROPPED] / NOISE)


def test_the_marginal_stays_the_same() -> None:
    sums, less = condensed()
    whole = log_marginal(sums.centred_at(MEAN), jnp.log(SD), NOISE)
    part = log_marginal(less.sums.centred_at(MEAN[less.kept]), jnp.log(SD[less.kept]), NOISE)
    assert float(part) == pytest.approx(float(whole), rel=1e-11)


def test_known_rows_stay_beside_condensed_sums() -> None:
    matrix = RNG.normal(size=(2, P))
    sums = SufficientStatistics.over([(X, Y, W)])._replace(
        known=PseudoObservations(matrix, np.ones(2), np.zeros(2))
    )
    with pytest.raises(ValueError, match="depend on a column"):
        ReducedStatistics.of(sums, DROPPED, SD[DROPPED] / NOISE)
    # The arrays of a tuple may change.
    matrix[:, DROPPED] = 0
    less = ReducedStatistics.of(sums, DROPPED, SD[DROPPED] / NOISE)
    whole = log_marginal(sums.centred_at(MEAN), jnp.log(SD), NOISE)
    part = log_marginal(less.sums.centred_at(MEAN[less.kept]), jnp.log(SD[less.kept]), NOISE)
    assert float(part) == pytest.approx(float(whole), rel=1e-11)
    for of_whole, of_part in zip(
        moments(sums, MEAN, SD),
        moments(less.sums, MEAN[less.kept], SD[less.kept]),
        strict=True,
    ):
        kept = np.ix_(*[less.kept] * of_whole.ndim)
        np.testing.assert_allclose(of_part, np.asarray(of_whole)[kept], rtol=1e-9, atol=1e-13)


def test_without_dropped_columns_nothing_changes() -> None:
    sums = SufficientStatistics.over([(X, Y, W)])
    none = np.zeros(0, dtype=int)
    less = ReducedStatistics.of(sums, none, np.zeros(0))
    for before, after in zip(sums, less.sums, strict=True):
        np.testing.assert_array_equal(before, after)
    drawn = RNG.normal(size=(2, 3, P))
    np.testing.assert_array_equal(less.complete(drawn, np.ones((2, 3)), RNG), drawn)


def test_completed_draws_have_the_moments_of_all_coefficients() -> None:
    sums, less = condensed()
    count = 40_000
    given = Conditional.of(less.sums, MEAN[less.kept], np.log(SD[less.kept]), NOISE)
    normal = np.random.default_rng(0).standard_normal((count, len(less.kept)))
    kept = given.mean + normal @ given.root.T
    rng = np.random.default_rng(1)
    draws = less.complete(kept[None], np.full((1, count), NOISE), rng)[0]
    mean, covariance = moments(sums, MEAN, SD)
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(draws.mean(axis=0) - mean) < 4 * sd / np.sqrt(count)).all()
    expected = covariance / np.outer(sd, sd)
    assert (np.abs(np.corrcoef(draws.T) - expected) < 4.5 / np.sqrt(count)).all()
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=4 / np.sqrt(2 * count))


def test_the_evidence_of_a_term_is_that_of_the_dense_density() -> None:
    """Against direct evaluation with the term's scale on a grid, and with the term left out."""
    own, scale, log_median, sigma = slice(2, 5), 0.3, np.log(0.1), 1.5
    sd = SD.copy()
    sd[own] = scale
    sums = SufficientStatistics.over([(X, Y, W)])
    mean, covariance = moments(sums, MEAN, sd)
    likelihood = TermLikelihood.of(mean[own], covariance[own, own], scale)
    found = TermEvidence.of(likelihood, log_median, sigma)

    def density(value: float) -> float:
        trial = sd.copy()
        trial[own] = value
        total = (X * trial**2) @ X.T + np.diag(NOISE**2 / W)
        return float(multivariate_normal.logpdf(Y, X @ MEAN, total))

    scales = np.exp(log_median + sigma * GRID)
    prior = np.exp(-(GRID**2) / 2)
    ratio = np.exp(np.array([density(s) for s in scales]) - density(0.0))
    assert found.log_bayes_factor == pytest.approx(np.log((ratio * prior).sum() / prior.sum()))
    # The fixed scale gives the coefficients the posterior variances that the mixture gives,
    # each weighed by what the data say of it.
    weight = ratio * prior / (ratio * prior).sum()

    precision = np.linalg.inv(covariance[own, own]) - np.eye(3) / scale**2

    def weighed_variance(value: float) -> float:
        trial = sd.copy()
        trial[own] = value
        _, total = moments(sums, MEAN, trial)
        return float(np.trace(precision @ total[own, own]))

    mixture = sum(w * weighed_variance(s) for w, s in zip(weight, scales, strict=True))
    assert weighed_variance(found.scale) == pytest.approx(mixture, rel=0.005)
    # Negative control: the median of the prior, or the mean square, would be off.
    mean_square = float(np.sqrt(weight @ scales**2))
    assert weighed_variance(mean_square) > 1.02 * mixture


def test_a_term_of_which_the_data_say_nothing_has_no_evidence() -> None:
    nothing = TermLikelihood.of(np.zeros(3), 0.3**2 * np.eye(3), 0.3)
    found = TermEvidence.of(nothing, np.log(0.1), 1.5)
    assert found.log_bayes_factor == pytest.approx(0, abs=1e-9)


def test_terms_that_are_there_are_sampled_and_effects_stay_the_same() -> None:
    data = confounded_rows(400, seed=7)
    points = np.array([[0.0, 0.0], [0.5, 1.25], [-0.5, -1.25]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.SamplingWarning)
        simple = bi.fit(data, progress=False)
        full = bi.fit(data, simplify=False, progress=False)
    fixed = simple.tree["constant_data"]["fixed_scale_of"].to_numpy().tolist()
    # Green's bias depends on red, by a straight line: nothing interacts.
    assert "delta(green | red)" not in fixed
    assert {"delta(green | red) interaction", "delta(red | green) interaction"} <= set(fixed)
    assert "delta(green | red)" in simple.tree["posterior"]["scale_of"]
    assert full.tree["constant_data"].sizes["fixed_scale_of"] == 0
    for chosen in (["red", "green"], []):
        one, other = (p.effect(points, chosen) for p in (simple, full))
        sd = other.std(("chain", "draw"))
        gap = one.mean(("chain", "draw")) - other.mean(("chain", "draw"))
        # Monte Carlo error of two means of some 1,000 effective draws, and a tenth of an sd
        # that the approximation may cost.
        assert (np.abs(gap) < (0.1 + 4 * np.sqrt(2 / 1000)) * sd).all()
        ratio = one.std(("chain", "draw")) / sd
        np.testing.assert_allclose(ratio, 1, atol=0.05 + 4 * np.sqrt(2 / 2000))


def test_the_typical_scale_is_learned_from_all_terms() -> None:
    rng = np.random.default_rng(3)
    log_median, sigma, precision = np.log(0.05), 1.0, 400.0

    def terms(count: int, median: float) -> list[TermLikelihood]:
        """Estimates of 4 coefficients each, with a known precision."""
        scales = median * np.exp(sigma * rng.normal(size=count))
        estimates = rng.normal(size=(count, 4)) * np.sqrt(scales**2 + 1 / precision)[:, None]
        return [TermLikelihood(np.full(4, precision), (precision * e) ** 2) for e in estimates]

    # 200 terms determine it: the error of a mean of 200 logarithms, each known to about sigma.
    for median in (0.03, 0.15):
        found = empirical_bayes_log_scale(terms(200, median), log_median, sigma)
        assert found == pytest.approx(np.log(median), abs=4 * 1.5 * sigma / np.sqrt(200))
    # Without terms the prior stays, and where nothing is there the scale goes below it.
    assert empirical_bayes_log_scale([], log_median, sigma) == pytest.approx(log_median)
    assert empirical_bayes_log_scale(terms(200, 1e-6), log_median, sigma) < log_median - 1.5


def test_coefficients_with_next_to_no_prior_variance_are_dropped_as_if_they_were_zero() -> None:
    sums = SufficientStatistics.over([(X, Y, W)])
    for ratio in (1e-200, 0.0):
        less = ReducedStatistics.of(sums, DROPPED, np.full(len(DROPPED), ratio))
        for one, other in zip(less.sums[:-1], sums.select(less.kept)[:-1], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)
        drawn = RNG.normal(size=(2, 3, len(less.kept)))
        every = less.complete(drawn, np.ones((2, 3)), RNG)
        np.testing.assert_array_equal(every[..., less.kept], drawn)
        assert (np.abs(every[..., DROPPED]) < 1e-190).all()
    # Negative control: with the usual prior variances the sums change.
    assert not np.allclose(condensed()[1].sums.xx, sums.select(less.kept).xx)
