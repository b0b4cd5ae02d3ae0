import numpy as np
from scipy.stats import kstest

from bayes_intgen.assess.bootstrap import (
    N_BOOTSTRAP,
    Family,
    RowScores,
    critical_value,
    smallest_size,
    wild_bootstrap,
)


def test_samples_have_the_covariance_of_the_score_and_share_signs() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 3))
    half = np.arange(0, 300, 2)
    scores = [RowScores(slice(None), rows), RowScores(half, rows[half])]
    every, some = wild_bootstrap(scores, 300, np.random.default_rng(1))
    assert every.shape == some.shape == (N_BOOTSTRAP, 3)
    for samples, each in ((every, rows), (some, rows[half])):
        covariance = each.T @ each
        sd = np.sqrt(np.diag(covariance))
        gap = (np.cov(samples.T) - covariance) / np.outer(sd, sd)
        assert np.abs(gap).max() < 5 * np.sqrt(2 / N_BOOTSTRAP)
        assert (np.abs(samples.mean(axis=0)) < 4.5 * sd / np.sqrt(N_BOOTSTRAP)).all()
    # Sums over half of the rows are part of the sums over all.
    assert 0.5 < np.corrcoef(every[:, 0], some[:, 0])[0, 1] < 0.95
    (again,) = wild_bootstrap(scores[:1], 300, np.random.default_rng(1))
    np.testing.assert_array_equal(every, again)


def test_familywise_p_values_are_uniform_and_the_threshold_has_the_level() -> None:
    rng = np.random.default_rng(0)
    smallest, rejected = [], 0
    for _ in range(300):
        # Two dependent tests and an independent one.
        values = rng.normal(size=(500, 3)) + np.array([1, 1, 0]) * rng.normal(size=(500, 1))
        family = Family.of(list(values.T), level=0.2)
        smallest.append(family.p_familywise.min())
        rejected += bool(family.p.min() <= family.threshold)
    assert kstest(smallest, "uniform").pvalue > 0.01
    assert abs(rejected / 300 - 0.2) < 4 * np.sqrt(0.16 / 300)


def test_smallest_size_is_found_or_infinite() -> None:
    assert abs(smallest_size(lambda size: min(size / 3, 1.0), 0.1, 50.0) - 2.7) < 0.06
    assert smallest_size(lambda size: 0.5, 0.1, 50.0) == float("inf")


def test_p_values_reach_below_the_number_of_samples() -> None:
    # With sixty tests and 999 samples, no share of samples could be significant at 1%.
    values = np.random.default_rng(0).chisquare(4, size=(1000, 60))
    assert Family.of(list(values.T), level=0.01).p_familywise.min() > 0.02
    values[0, 7] = 60.0
    family = Family.of(list(values.T), level=0.01)
    assert family.p_familywise[7] <= 0.001
    assert family.p[7] < family.threshold < 0.001
    # Rank and tail agree where both are accurate.
    values[0, 8] = critical_value(values[1:, 8], 0.03)
    assert abs(Family.of(list(values.T), level=0.01).p[8] - 0.03) < 0.005
