import jax
import numpy as np
import pytest

from bayes_intgen.inference.density import partition
from bayes_intgen.inference.density.blocks import block_statistics
from bayes_intgen.inference.density.expansion_point import ExpansionPoint
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.partition import groups_of

from _modes import WORLD, at_mode

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def found() -> tuple[MarginalPosterior, np.ndarray, np.ndarray]:
    return at_mode(WORLD.dataset(800, seed=0))


def test_the_coefficients_at_the_reference_are_those_of_the_posterior(found) -> None:
    posterior, mode, points = found
    reference = ExpansionPoint.of(posterior, mode)
    sites = posterior.sites(mode)
    mean, covariance = posterior.moments(sites)
    noise = float(sites["noise_sd"])
    np.testing.assert_allclose(
        posterior.priors.mean + reference.sd * reference.mean, mean, atol=1e-3 * noise
    )
    unit = noise * reference.sd
    # Up to the floor under their prior variances.
    np.testing.assert_allclose(
        reference.covariance * np.outer(unit, unit),
        covariance,
        atol=1e-3 * np.sqrt(np.outer(np.diag(covariance), np.diag(covariance))).max(),
    )
    # Negative control: elsewhere they differ.
    elsewhere = posterior.moments(posterior.sites(points[0]))[0]
    assert np.abs(elsewhere - mean).max() > 0.1 * noise


def second_order(reference: ExpansionPoint, groups: list, at: np.ndarray) -> tuple[float, float]:
    """What is neglected in second order: of the determinant, and of the quadratic form."""
    own = np.zeros((reference.posterior.size,) * 2, dtype=bool)
    for group in groups:
        own[np.ix_(group, group)] = True
    within = np.where(own, reference.covariance, 0)
    between = np.where(own, 0, reference.covariance)
    sites = reference.posterior.sites(at)
    noise = float(sites["noise_sd"])
    prior_sd = np.exp(reference.posterior.priors.log_sd(sites)) / noise
    grown = np.diag(reference.sd**2 / (prior_sd**2 + reference.floor) - 1)
    pull = grown @ np.linalg.inv(np.eye(len(grown)) + within @ grown)
    mean = pull @ reference.mean / noise
    twice = pull @ between
    return np.trace(twice @ twice) / 4, -mean @ between @ pull @ between @ mean / 2


def test_what_is_neglected_is_of_second_order_and_as_large_as_it_is_said_to_be(
    found, monkeypatch
) -> None:
    posterior, mode, draws = found
    reference, points = ExpansionPoint.of(posterior, mode), draws[:30]
    monkeypatch.setattr(partition, "SIZES", (40,))
    groups = groups_of(reference, points)
    with jax.enable_x64(True):
        close = block_statistics(reference, groups, np.float64)
    missing = np.array([close.energy(at)[0] - posterior.value(at) for at in points])
    parts = np.array([second_order(reference, groups, at) for at in points])
    assert np.std(missing - parts.sum(axis=1)) < 0.2 * np.std(missing)
    # Negative control: either part alone leaves more.
    assert (np.std(missing[:, None] - parts, axis=0) > 0.3 * np.std(missing)).all()
    # Of each coefficient alone, and not of its group: of the same order.
    owner = np.argsort(np.concatenate(groups))
    owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])[owner]
    said = float(reference.second_order_remainder(points)[owner[:, None] < owner].sum())
    assert 0.3 * said < np.abs(parts).sum(axis=1).mean() < 3 * said


@pytest.mark.parametrize("size", [0.0, 1e-158, 1e-9], ids=["zero", "tiny", "small"])
def test_columns_that_hardly_vary_do_no_harm(found, size: float) -> None:
    posterior, mode, draws = found
    factor = np.ones(posterior.size)
    factor[3::7] = size
    sums = posterior.sums._replace(
        xx=posterior.sums.xx * np.outer(factor, factor), xy=posterior.sums.xy * factor
    )
    hardly = MarginalPosterior(posterior.priors, sums, posterior.terms)
    at = hardly.mode(mode, progress=False)
    points = draws[:24] - mode + at
    reference = ExpansionPoint.of(hardly, at)
    with jax.enable_x64(True):
        close = block_statistics(reference, groups_of(reference, points))
    log_ratio = np.array([close.energy(point)[0] - hardly.value(point) for point in points])
    assert np.std(log_ratio) < 0.3
    # Negative control: the density itself varies a great deal over these points.
    assert np.std([hardly.value(point) for point in points]) > 1
