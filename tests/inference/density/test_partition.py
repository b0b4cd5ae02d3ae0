from itertools import pairwise

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.density import partition as module
from bayes_intgen.inference.density.blocks import block_statistics
from bayes_intgen.inference.density.expansion_point import ExpansionPoint
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.partition import groups_of, partition
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.inference.sampling.starting_points import N_TEST_POINTS
from bayes_intgen.models.variance_function import Homoscedastic
from bayes_intgen.simulators import Polynomial

from _modes import WORLD, at_mode

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def found() -> tuple[MarginalPosterior, ExpansionPoint, np.ndarray]:
    """A posterior, its coefficients at the mode, and points that stand for draws."""
    posterior, mode, draws = at_mode(WORLD.dataset(800, seed=0))
    return posterior, ExpansionPoint.of(posterior, mode), draws[:30]


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


def most_shared(reference: ExpansionPoint, points: np.ndarray, groups: list) -> float:
    """The most that two terms in different groups share."""
    shared, terms = reference.second_order_remainder(points), reference.posterior.terms
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
    assert most_shared(reference, points, groups) <= module.MAX_SHARED
    # Negative control: the smallest size does not keep together what should be.
    monkeypatch.setattr(module, "SIZES", module.SIZES[:1])
    smallest = groups_of(reference, points)
    assert most_shared(reference, points, smallest) > module.MAX_SHARED
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
    posterior = MarginalPosterior.of(
        model, terms, sufficient_statistics(data, terms, Homoscedastic(), progress=False)
    )
    assert (np.diag(posterior.sums.xx) == 0).any()
    reference = ExpansionPoint.of(posterior, posterior.start)
    scattered = rng.normal(size=(24, len(posterior.start))) * posterior.prior_sd
    groups = groups_of(reference, posterior.start + scattered)
    np.testing.assert_array_equal(np.sort(np.concatenate(groups)), np.arange(posterior.size))
    assert np.isfinite(block_statistics(reference, groups).energy(posterior.start)[0])


@pytest.mark.parametrize("seed", [3, 7, 8])
def test_how_large_groups_are_hardly_depends_on_which_points_are_drawn(seed: int) -> None:
    world = Polynomial.random(4, seed=seed)
    posterior, mode, _ = at_mode(world.dataset(800, seed=0), world)
    reference, covariance = ExpansionPoint.of(posterior, mode), posterior.covariance(mode)
    rng = np.random.default_rng(3)

    def largest(count: int) -> set[int]:
        drawn = [rng.multivariate_normal(mode, covariance, size=count) for _ in range(8)]
        return {max(map(len, groups_of(reference, points))) for points in drawn}

    assert len(largest(N_TEST_POINTS)) <= 2
    # Negative control: a few points.
    assert len(largest(6)) > 2


def test_what_cannot_be_told_is_no_partition(found) -> None:
    _, reference, points = found
    with pytest.raises(np.linalg.LinAlgError), np.errstate(all="ignore"):
        groups_of(reference, points + 1e3)
