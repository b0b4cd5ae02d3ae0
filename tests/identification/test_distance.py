import numpy as np
import pytest

from bayes_intgen.identification import distance
from bayes_intgen.identification.distance import Neighbours

RANK = 3


def brute_force(regime: np.ndarray, points: np.ndarray, rank: int) -> np.ndarray:
    """Distance of each point to its ``rank``-th nearest row, or to the last one."""
    gaps = np.linalg.norm(points[:, None] - regime, axis=2)
    return np.sort(gaps, axis=1)[:, min(rank, len(regime)) - 1]


def regimes_of(sizes: list[int], inputs: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    # Rounding makes ties.
    return [rng.normal(size=(size, inputs)).round(1) * 10.0**i for i, size in enumerate(sizes)]


@pytest.mark.parametrize(("inputs", "pairs"), [(1, 500_000), (2, 500_000), (2, 0)])
def test_distances_equal_those_of_all_pairs(inputs, pairs, monkeypatch) -> None:
    # With more pairs than this, distances come from a tree.
    monkeypatch.setattr(distance, "MAX_PAIRS", pairs)
    regimes = regimes_of([1, 2, 3, 4, 5, 40, 33, 64, 200], inputs, inputs)
    points = np.random.default_rng(9).normal(size=(50, inputs)) * 30
    neighbours = Neighbours(regimes, RANK)
    measured = neighbours.distance(points)
    for i, regime in enumerate(regimes):
        np.testing.assert_allclose(measured[:, i], brute_force(regime, points, RANK), rtol=1e-12)
