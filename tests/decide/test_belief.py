"""Update of a belief: against normal equations, and of a covariance that is estimated by draws."""

import numpy as np
import pytest
from scipy.stats import chi2

from bayes_intgen.decide.belief import Belief
from bayes_intgen.decide.experiments import value_of_information


def linear_world(seed: int):
    """Posterior mean and covariance, loadings of plans, and rows of an experiment with precisions.

    The plans are in descending order of their means.
    """
    rng = np.random.default_rng(seed)
    size, count = int(rng.integers(5, 20)), int(rng.integers(5, 60))
    root = rng.normal(size=(size, size)) * rng.uniform(0.1, 1, size)
    covariance, mean = root @ root.T / size, rng.normal(size=size)
    plans = rng.normal(size=(40, size))
    plans -= 0.9 * np.outer(plans @ mean, mean) / (mean @ mean)
    plans = plans[np.argsort(-plans @ mean)]
    return rng, mean, covariance, plans, rng.normal(size=(count, size)), rng.uniform(0.1, 1, count)


def test_value_of_information_is_that_of_simulated_experiments() -> None:
    gaps, wrong = [], []
    for seed in range(30_000, 30_020):
        rng, mean, covariance, plans, rows, precision = linear_world(seed)
        belief, n = Belief.known(np.linalg.cholesky(covariance)), 6_000
        update = belief.update(belief.information(rows, precision))
        normals = rng.standard_normal((n, len(plans)))
        moves = update.moves(plans @ belief.root, normals)
        value, error = value_of_information(plans @ mean, moves)
        # Simulate coefficients and outcomes, update, and choose.
        coefficients = rng.multivariate_normal(mean, covariance, n)
        noise = rng.standard_normal((n, len(rows))) / np.sqrt(precision)
        weighted = (rows.T * precision) @ (coefficients @ rows.T + noise).T
        prior = np.linalg.inv(covariance)
        after = prior + (rows.T * precision) @ rows
        effects = plans @ np.linalg.solve(after, (prior @ mean)[:, None] + weighted)
        better = effects.max(axis=0) - effects[0]
        scale = np.hypot(error, better.std() / np.sqrt(n))
        gaps.append((value - better.mean()) / scale)
        # Negative control: plans that are believed independent.
        sd = moves.std(axis=0)
        alone = value_of_information(plans @ mean, sd * rng.standard_normal(moves.shape))[0]
        wrong.append((alone - better.mean()) / scale)
    assert np.square(gaps).sum() < chi2.ppf(0.999, 20)
    assert np.square(wrong).sum() > chi2.ppf(0.999, 20)


def test_variances_from_few_draws_are_not_too_small() -> None:
    # Rows that halve the variance of each of 20 coefficients, and 100 draws.
    rng, rows, plans = np.random.default_rng(30_003), np.eye(20), np.eye(20)
    corrected, plain = [], []
    for _ in range(300):
        draws = rng.standard_normal((100, 20))
        belief = Belief.of_draws(draws)
        loadings, rest = belief.loadings(draws @ plans.T)
        assert not rest.any()
        information = belief.information(rows, np.ones(20))
        corrected.append(2 * belief.update(information).variance(loadings).mean())
        # Negative control: as if the covariance of the draws were exact.
        plain.append(2 * Belief.known(belief.root).update(information).variance(loadings).mean())
    error = np.std(corrected) / np.sqrt(len(corrected))
    # The correction is of second order, so that the error that remains is a tenth of it.
    assert abs(np.mean(corrected) - 1) < 3 * error + 0.01
    assert np.mean(plain) < 0.97


def test_only_the_linear_part_of_a_target_is_updated() -> None:
    draws = np.random.default_rng(0).standard_normal((4_000, 3))
    belief = Belief.of_draws(draws)
    targets = np.stack([draws[:, 0], draws[:, 0] + draws[:, 1] ** 2], axis=1)
    loadings, rest = belief.loadings(targets)
    assert rest[0] == 0
    # The variance of the square of a standard normal variable is two.
    assert rest[1] == pytest.approx(2, rel=0.15)
    many = belief.information(np.eye(3), np.full(3, 1e9))
    after = belief.update(many).variance(loadings) + rest
    assert after[0] == pytest.approx(0, abs=1e-4)
    assert after[1] == pytest.approx(2, rel=0.15)


def test_few_large_draws_do_not_promise_too_much() -> None:
    # A scale mixture, as where the prior decides; one row is far more precise than the belief.
    rng = np.random.default_rng(30_004)
    draws = 0.4 * np.exp(1.5 * rng.standard_normal((4_000, 1))) * rng.standard_normal((4_000, 1))
    width, noise_sd = np.ptp(np.quantile(draws, [0.05, 0.95])), 0.1

    def after(belief: Belief) -> float:
        information = belief.information(np.eye(1), np.array([noise_sd**-2]))
        share = belief.update(information).variance(belief.root) / np.square(belief.root).sum()
        return float(width * np.sqrt(share[0]))

    # The interval is then that of the row.
    assert after(Belief.of_draws(draws)) == pytest.approx(3.29 * noise_sd, rel=0.05)
    # Negative control: the variance of the draws.
    assert after(Belief.known(np.diag(draws.std(axis=0)))) < 2 * noise_sd
    normal = Belief.of_draws(rng.standard_normal((1_000, 30)))
    assert np.all(np.asarray(normal.tails) == 1)
