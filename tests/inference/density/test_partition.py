from itertools import pairwise

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.density.blocks import block_statistics
from bayes_intgen.inference.density.expansion_point import ExpansionPoint
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.partition import (
    MAX_NEGLECTED,
    SIZES,
    coefficient_blocks,
    partition,
)
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.inference.sampling.marginalised import N_TEST_POINTS
from bayes_intgen.models.variance_function import Homoscedastic
from bayes_intgen.simulators import Polynomial

from _modes import WORLD, at_mode

pytestmark = pytest.mark.usefixtures("one_thread")


Case = tuple[MarginalPosterior, ExpansionPoint, np.ndarray]


@pytest.fixture(scope="module")
def case() -> Case:
    """A posterior, its coefficients at the mode, and approximate draws."""
    posterior, mode, draws = at_mode(WORLD.dataset(800, seed=0))
    return posterior, ExpansionPoint.of(posterior, mode), draws[:30]


def between(dependence: np.ndarray, clusters: list) -> float:
    """Sum of the dependence between items in different clusters."""
    owner = np.empty(len(dependence), dtype=int)
    for i, cluster in enumerate(clusters):
        owner[cluster] = i
    return float(dependence[owner[:, None] != owner].sum())


def test_partition_recovers_clusters_in_any_order() -> None:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(5), 4))
    noise = rng.uniform(0.5, 1, size=(20, 20))
    dependence = np.where(labels[:, None] == labels, 1.0, 0.1) * noise
    dependence = dependence + dependence.T
    clusters = partition(dependence, np.ones(20), max_size=4)
    assert sorted(len(cluster) for cluster in clusters) == [4] * 5
    assert all(len(set(labels[cluster])) == 1 for cluster in clusters)
    # Negative control: neighbours are in different clusters.
    neighbours = np.split(np.arange(20), 5)
    assert between(dependence, clusters) < 0.5 * between(dependence, neighbours)


def test_clusters_respect_the_maximum_size_and_none_could_be_merged() -> None:
    rng = np.random.default_rng(1)
    dependence = rng.random((30, 30))
    sizes = rng.integers(1, 9, size=30).astype(float)
    for most in (6, 12, 40, 1000):
        clusters = partition(dependence + dependence.T, sizes, most)
        assert sorted(i for cluster in clusters for i in cluster) == list(range(30))
        totals = sorted(float(sizes[cluster].sum()) for cluster in clusters)
        assert all(sizes[c].sum() <= most for c in clusters if len(c) > 1)
        assert len(clusters) == 1 or totals[0] + totals[1] > most


def max_neglected(expansion: ExpansionPoint, points: np.ndarray, blocks: list) -> float:
    """Largest neglected log density of two terms in different blocks."""
    remainder = expansion.second_order_remainder(points)
    columns = columns_of(expansion.posterior.terms)
    block = [next(i for i, each in enumerate(blocks) if own.start in each) for own in columns]
    return max(
        float(remainder[one, other].sum())
        for i, one in enumerate(columns)
        for j, other in enumerate(columns)
        if block[i] != block[j]
    )


def columns_of(terms) -> list[slice]:
    return [terms.columns[term.name] for term in terms.terms]


def test_blocks_are_whole_terms_with_little_dependence_between_them(case) -> None:
    posterior, expansion, points = case
    every = np.arange(posterior.size)
    blocks = coefficient_blocks(expansion, points)
    np.testing.assert_array_equal(np.sort(np.concatenate(blocks)), every)
    for block in blocks:
        inside = [np.isin(every[own], block).mean() for own in columns_of(posterior.terms)]
        assert set(inside) <= {0, 1}
    assert max_neglected(expansion, points, blocks) <= MAX_NEGLECTED
    # Negative control: the smallest size neglects too much.
    smallest = coefficient_blocks(expansion, points, SIZES[:1])
    assert max_neglected(expansion, points, smallest) > MAX_NEGLECTED
    # Larger blocks never neglect more.
    neglected = [
        max_neglected(expansion, points, coefficient_blocks(expansion, points, (size,)))
        for size in (24, 32, 48, 64, 96)
    ]
    assert all(more <= fewer + 1e-12 for fewer, more in pairwise(neglected))


def test_a_term_larger_than_all_sizes_sets_the_size(case) -> None:
    posterior, expansion, points = case
    largest = max(own.stop - own.start for own in columns_of(posterior.terms))
    assert max(map(len, coefficient_blocks(expansion, points, sizes=(2,)))) == largest > 2


def test_the_last_size_is_taken_if_none_suffices(case) -> None:
    _, expansion, points = case
    blocks = coefficient_blocks(expansion, points, max_neglected=0.0)
    last = coefficient_blocks(expansion, points, SIZES[-1:])
    assert list(map(list, blocks)) == list(map(list, last))
    assert len(blocks) < len(coefficient_blocks(expansion, points, sizes=(24,)))


@pytest.mark.parametrize("gp", [bi.GP(size=40), bi.GP(lengthscale=bi.LogNormal(4.0, 0.5))])
def test_uninformed_coefficients_belong_to_a_block(gp) -> None:
    rng = np.random.default_rng(0)
    actions = rng.normal(size=(400, 3))
    intervened = np.zeros((400, 3), dtype=bool)
    # Always set: no row informs its bias.
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
    expansion = ExpansionPoint.of(posterior, posterior.start)
    dispersion = rng.normal(size=(24, len(posterior.start))) * posterior.prior_sd
    blocks = coefficient_blocks(expansion, posterior.start + dispersion)
    np.testing.assert_array_equal(np.sort(np.concatenate(blocks)), np.arange(posterior.size))
    # At the expansion point the approximation is exact.
    value, _ = block_statistics(expansion, blocks).value_and_grad(posterior.start)
    assert value == pytest.approx(posterior.value(posterior.start), abs=0.05)


@pytest.mark.parametrize("seed", [4, 6, 8])
def test_block_sizes_hardly_depend_on_the_sample_of_points(seed: int) -> None:
    world = Polynomial.random(4, seed=seed)
    posterior, mode, _ = at_mode(world.dataset(800, seed=0), world)
    expansion, covariance = ExpansionPoint.of(posterior, mode), posterior.covariance(mode)
    rng = np.random.default_rng(3)

    def largest_blocks(count: int, samples: int) -> list[int]:
        points = rng.multivariate_normal(mode, covariance, size=(samples, count))
        return [max(map(len, coefficient_blocks(expansion, sample))) for sample in points]

    sizes = largest_blocks(N_TEST_POINTS, 8)
    assert len(set(sizes)) <= 2
    # Negative control: with a few points they vary more.
    few = largest_blocks(6, 24)
    assert len(set(few)) > 2
    assert np.std(few) > 2 * np.std(sizes)


def test_partition_rejects_nonfinite_dependence(case) -> None:
    _, expansion, points = case
    with pytest.raises(np.linalg.LinAlgError, match="overflows"), np.errstate(all="ignore"):
        coefficient_blocks(expansion, points + 1e3)
