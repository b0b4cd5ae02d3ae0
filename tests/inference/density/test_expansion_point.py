import jax
import numpy as np
import pytest

from bayes_intgen.inference.density.blocks import block_statistics
from bayes_intgen.inference.density.expansion_point import ExpansionPoint
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.partition import coefficient_blocks

from _modes import WORLD, at_mode

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def case() -> tuple[MarginalPosterior, np.ndarray, np.ndarray]:
    return at_mode(WORLD.dataset(800, seed=0))


def test_coefficients_have_the_posterior_mean_and_covariance(case) -> None:
    posterior, mode, points = case
    expansion = ExpansionPoint.of(posterior, mode)
    sites = posterior.sites(mode)
    mean, covariance = posterior.moments(sites)
    noise = float(sites["noise_sd"])
    np.testing.assert_allclose(
        posterior.priors.mean + expansion.sd * expansion.mean, mean, atol=1e-3 * noise
    )
    unit = noise * expansion.sd
    # Up to the minimum prior variances.
    np.testing.assert_allclose(
        expansion.covariance * np.outer(unit, unit),
        covariance,
        atol=1e-3 * np.sqrt(np.outer(np.diag(covariance), np.diag(covariance))).max(),
    )
    # Negative control: elsewhere they differ.
    elsewhere = posterior.moments(posterior.sites(points[0]))[0]
    assert np.abs(elsewhere - mean).max() > 0.1 * noise


def second_order(expansion: ExpansionPoint, blocks: list, at: np.ndarray) -> tuple[float, float]:
    """Second-order terms of the determinant and of the quadratic form."""
    own = np.zeros((expansion.posterior.size,) * 2, dtype=bool)
    for block in blocks:
        own[np.ix_(block, block)] = True
    within = np.where(own, expansion.covariance, 0)
    between = np.where(own, 0, expansion.covariance)
    sites = expansion.posterior.sites(at)
    noise = float(sites["noise_sd"])
    prior_sd = np.exp(expansion.posterior.priors.log_sd(sites)) / noise
    change = np.diag(expansion.sd**2 / (prior_sd**2 + expansion.floor) - 1)
    t = change @ np.linalg.inv(np.eye(len(change)) + within @ change)
    mean = t @ expansion.mean / noise
    product = t @ between
    return np.trace(product @ product) / 4, -mean @ between @ t @ between @ mean / 2


def test_error_of_the_surrogate_is_the_second_order_remainder(case) -> None:
    posterior, mode, draws = case
    expansion, points = ExpansionPoint.of(posterior, mode), draws[:30]
    blocks = coefficient_blocks(expansion, points, sizes=(40,))
    with jax.enable_x64(True):
        surrogate = block_statistics(expansion, blocks, np.float64)
    error = np.array([surrogate.value_and_grad(at)[0] - posterior.value(at) for at in points])
    terms = np.array([second_order(expansion, blocks, at) for at in points])
    assert np.std(error - terms.sum(axis=1)) < 0.2 * np.std(error)
    # Negative control: either term alone explains less.
    assert (np.std(error[:, None] - terms, axis=0) > 0.3 * np.std(error)).all()
    # The estimate treats each coefficient separately, and has the same order of magnitude.
    order = np.argsort(np.concatenate(blocks))
    block = np.repeat(np.arange(len(blocks)), [len(each) for each in blocks])[order]
    estimate = float(expansion.second_order_remainder(points)[block[:, None] < block].sum())
    assert 0.3 * estimate < np.abs(terms).sum(axis=1).mean() < 3 * estimate


@pytest.mark.parametrize("size", [0.0, 1e-158, 1e-9], ids=["zero", "tiny", "small"])
def test_nearly_constant_columns_do_no_harm(case, size: float) -> None:
    posterior, mode, draws = case
    factor = np.ones(posterior.size)
    factor[3::7] = size
    sums = posterior.sums._replace(
        xx=posterior.sums.xx * np.outer(factor, factor), xy=posterior.sums.xy * factor
    )
    scaled = MarginalPosterior(posterior.priors, sums, posterior.terms)
    at = scaled.mode(mode, progress=False)
    points = draws[:24] - mode + at
    expansion = ExpansionPoint.of(scaled, at)
    with jax.enable_x64(True):
        surrogate = block_statistics(expansion, coefficient_blocks(expansion, points))
    exact = np.array([scaled.value(point) for point in points])
    log_ratio = [surrogate.value_and_grad(point)[0] for point in points] - exact
    assert np.std(log_ratio) < 0.3
    # Negative control: the density itself varies much more over these points.
    assert np.std(exact) > 1
