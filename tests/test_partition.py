import jax
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen import partition as module
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.groups import grouped
from bayes_intgen.noise import ConstantSpread
from bayes_intgen.partition import Reference, groups_of, partition
from bayes_intgen.passes import sums_over
from bayes_intgen.simulators import Polynomial

WORLD = Polynomial.random(4, seed=5)


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


@pytest.mark.parametrize("most", [8, 16, 24, 40])
def test_what_is_said_to_be_neglected_is(found, monkeypatch, most) -> None:
    posterior, reference, points = found
    monkeypatch.setattr(module, "SIZES", (most,))
    groups = groups_of(reference, points)
    said = across(reference.neglected(points), groups)
    with jax.enable_x64(True):
        close = grouped(reference, groups, np.float64)
    missing = np.std([close.energy(at)[0] - posterior.value(at) for at in points])
    # Of the same order, from 0.07 to 1.
    assert 0.5 * said < missing < 2 * said


def most_shared(reference: Reference, points: np.ndarray, groups: list) -> float:
    """The most that two terms in different groups share."""
    shared, terms = reference.neglected(points), reference.posterior.terms
    where = [next(i for i, g in enumerate(groups) if own.start in g) for own in columns(terms)]
    return max(
        2 * float(shared[one, other].sum())
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
    # The smallest with which that is so.
    size = next(size for size in module.SIZES if size >= max(map(len, groups)))
    smaller = module.SIZES[module.SIZES.index(size) - 1]
    monkeypatch.setattr(module, "SIZES", (smaller,))
    smaller_groups = groups_of(reference, points)
    assert most_shared(reference, points, smaller_groups) > module.MOST_SHARED


def test_where_no_size_keeps_together_what_must_be_the_largest_is_taken(found, monkeypatch) -> None:
    _, reference, points = found
    monkeypatch.setattr(module, "MOST_SHARED", 0.0)
    assert max(map(len, groups_of(reference, points))) > module.SIZES[-2]
