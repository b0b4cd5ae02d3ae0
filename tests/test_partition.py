from itertools import pairwise

import jax
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import bayes_intgen as bi
from bayes_intgen import partition as module
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.groups import grouped
from bayes_intgen.noise import ConstantSpread
from bayes_intgen.partition import groups_of, partition
from bayes_intgen.passes import sums_over
from bayes_intgen.reference import Reference
from bayes_intgen.simulators import Polynomial

WORLD = Polynomial.random(4, seed=5)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    # As in a fit.
    with threadpool_limits(1, "blas"):
        yield


@pytest.fixture(scope="module")
def found() -> tuple[Collapsed, Reference, np.ndarray]:
    """A posterior, its coefficients at the mode, and points that stand for draws."""
    data = WORLD.dataset(800, seed=0)
    model = bi.models.additive(graph=WORLD.graph)
    terms = model.decompose(data)
    posterior = Collapsed.of(model, terms, sums_over(data, terms, ConstantSpread(), progress=False))
    mode = posterior.mode(posterior.start, progress=False)
    rng = np.random.default_rng(0)
    points = rng.multivariate_normal(mode, posterior.covariance(mode), size=30)
    return posterior, Reference.of(posterior, mode), points


def across(shared: np.ndarray, groups: list) -> float:
    """What coefficients in different groups share."""
    owner = np.empty(len(shared), dtype=int)
    for i, group in enumerate(groups):
        owner[group] = i
    return float(shared[owner[:, None] != owner].sum())


def test_what_belongs_together_is_found_whatever_the_order() -> None:
    rng = np.random.default_rng(0)
    blocks = np.repeat(np.arange(5), 4)
    order = rng.permutation(len(blocks))
    belongs = blocks[order]
    shared = np.where(belongs[:, None] == belongs, 1.0, 0.1) * rng.uniform(0.5, 1, size=(20, 20))
    shared = shared + shared.T
    groups = partition(shared, np.ones(20), most=4)
    assert sorted(len(group) for group in groups) == [4] * 5
    assert all(len(set(belongs[group])) == 1 for group in groups)
    # Negative control: neighbours do not belong together.
    assert across(shared, groups) < 0.5 * across(shared, np.split(np.arange(20), 5))


def test_groups_are_no_larger_than_they_may_be_and_no_two_of_them_would_fit_together() -> None:
    rng = np.random.default_rng(1)
    shared = rng.random((30, 30))
    sizes = rng.integers(1, 9, size=30).astype(float)
    for most in (6, 12, 40, 1000):
        groups = partition(shared + shared.T, sizes, most)
        assert sorted(i for group in groups for i in group) == list(range(30))
        loads = sorted(float(sizes[group].sum()) for group in groups)
        assert all(sizes[g].sum() <= most for g in groups if len(g) > 1)
        assert len(groups) == 1 or loads[0] + loads[1] > most


def test_the_coefficients_at_the_reference_are_those_of_the_posterior(found) -> None:
    posterior, reference, points = found
    mode = posterior.mode(posterior.start, progress=False)
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


def most_shared(reference: Reference, points: np.ndarray, groups: list) -> float:
    """The most that two terms in different groups share."""
    shared, terms = reference.neglected(points), reference.posterior.terms
    where = [next(i for i, g in enumerate(groups) if own.start in g) for own in columns(terms)]
    return max(
        float(shared[one, other].sum())
        for i, one in enumerate(columns(terms))
        for j, other in enumerate(columns(terms))
        if where[i] != where[j]
    )


def columns(terms) -> list[slice]:
    return [terms.columns[term.name] for term in terms.terms]


def test_groups_are_of_whole_terms_that_share_little_with_others(found, monkeypatch) -> None:
    posterior, reference, points = found
    every = np.arange(posterior.size)
    groups = groups_of(reference, points)
    np.testing.assert_array_equal(np.sort(np.concatenate(groups)), every)
    for group in groups:
        inside = [np.isin(every[own], group).mean() for own in columns(posterior.terms)]
        assert set(inside) <= {0, 1}
    assert most_shared(reference, points, groups) <= module.MOST_SHARED
    # Negative control: the smallest size does not keep together what should be.
    monkeypatch.setattr(module, "SIZES", module.SIZES[:1])
    smallest = groups_of(reference, points)
    assert most_shared(reference, points, smallest) > module.MOST_SHARED
    # Larger groups never have more of it between them.
    for size, more in pairwise((24, 32, 48, 64, 96)):
        monkeypatch.setattr(module, "SIZES", (size,))
        before = most_shared(reference, points, groups_of(reference, points))
        monkeypatch.setattr(module, "SIZES", (more,))
        assert most_shared(reference, points, groups_of(reference, points)) <= before + 1e-12


def test_a_term_that_is_larger_than_every_size_sets_it(found, monkeypatch) -> None:
    posterior, reference, points = found
    monkeypatch.setattr(module, "SIZES", (2,))
    largest = max(own.stop - own.start for own in columns(posterior.terms))
    assert max(map(len, groups_of(reference, points))) == largest > 2


def test_where_no_size_keeps_together_what_must_be_the_largest_is_taken(found, monkeypatch) -> None:
    _, reference, points = found
    monkeypatch.setattr(module, "MOST_SHARED", 0.0)
    found_last = groups_of(reference, points)
    monkeypatch.setattr(module, "SIZES", module.SIZES[-1:])
    assert list(map(list, found_last)) == list(map(list, groups_of(reference, points)))
    monkeypatch.setattr(module, "SIZES", (24,))
    assert len(found_last) < len(groups_of(reference, points))


def second_order(reference: Reference, groups: list, at: np.ndarray) -> tuple[float, float]:
    """What is neglected in second order: of the determinant, and of the quadratic form."""
    own = np.zeros((reference.posterior.size,) * 2, dtype=bool)
    for group in groups:
        own[np.ix_(group, group)] = True
    within = np.where(own, reference.covariance, 0)
    between = np.where(own, 0, reference.covariance)
    sites = reference.posterior.sites(at)
    noise = float(sites["noise_sd"])
    prior_sd = np.exp(reference.posterior.priors.log_sd_at(sites)) / noise
    grown = np.diag(reference.sd**2 / (prior_sd**2 + reference.floor) - 1)
    pull = grown @ np.linalg.inv(np.eye(len(grown)) + within @ grown)
    mean = pull @ reference.mean / noise
    twice = pull @ between
    return np.trace(twice @ twice) / 4, -mean @ between @ pull @ between @ mean / 2


def test_what_is_neglected_is_of_second_order_and_as_large_as_it_is_said_to_be(
    found, monkeypatch
) -> None:
    posterior, reference, points = found
    monkeypatch.setattr(module, "SIZES", (40,))
    groups = groups_of(reference, points)
    with jax.enable_x64(True):
        close = grouped(reference, groups, np.float64)
    missing = np.array([close.energy(at)[0] - posterior.value(at) for at in points])
    parts = np.array([second_order(reference, groups, at) for at in points])
    assert np.std(missing - parts.sum(axis=1)) < 0.2 * np.std(missing)
    # Negative control: either part alone leaves more.
    assert (np.std(missing[:, None] - parts, axis=0) > 0.3 * np.std(missing)).all()
    said = across(reference.neglected(points), groups) / 2
    assert 0.3 * said < np.abs(parts).sum(axis=1).mean() < 3 * said


@pytest.mark.parametrize("gp", [bi.GP(size=40), bi.GP(lengthscale=bi.LogNormal(4.0, 0.5))])
def test_columns_of_which_the_data_say_nothing_are_in_some_group(gp) -> None:
    rng = np.random.default_rng(0)
    actions = rng.normal(size=(400, 3))
    intervened = np.zeros((400, 3), dtype=bool)
    # Always set: what it adds where it is not set is in no row.
    intervened[:, 0] = True
    intervened[200:, 1] = True
    data = bi.RegimeData.from_arrays(
        actions, actions.sum(axis=1) + rng.normal(size=400), intervened,
        require_observational=False,
    )  # fmt: skip
    model = bi.models.additive(gp)
    terms = model.decompose(data)
    posterior = Collapsed.of(model, terms, sums_over(data, terms, ConstantSpread(), progress=False))
    assert (np.diag(posterior.sums.xx) == 0).any()
    reference = Reference.of(posterior, posterior.start)
    scattered = rng.normal(size=(24, len(posterior.start))) * posterior.prior_sd
    groups = groups_of(reference, posterior.start + scattered)
    np.testing.assert_array_equal(np.sort(np.concatenate(groups)), np.arange(posterior.size))
    assert np.isfinite(grouped(reference, groups).energy(posterior.start)[0])


def test_what_cannot_be_told_is_no_partition(found) -> None:
    _, reference, points = found
    with pytest.raises(np.linalg.LinAlgError), np.errstate(all="ignore"):
        groups_of(reference, points + 1e3)
