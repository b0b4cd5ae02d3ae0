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
        # The nearest row of a row is the row itself.
        own = np.sort(brute_force(regime, regime, RANK + 1))
        np.testing.assert_allclose(neighbours.within[i], own, rtol=1e-12)


@pytest.mark.parametrize("share", [0.01, 0.1, 1 / 41, 0.5])
def test_radius_is_where_the_conformal_p_value_falls_to_the_share(share) -> None:
    regimes = regimes_of([40, 3, 200], 1, 5)
    neighbours = Neighbours(regimes, RANK)
    radii = neighbours.radii([share] * len(regimes))
    for within, radius in zip(neighbours.within, radii, strict=True):
        for at in [*within, *(within + 1e-6), *(within - 1e-6)]:
            p = (1 + (within >= at).sum()) / (1 + len(within))
            # Shares are counted, so that equality is exact up to rounding.
            assert (at <= radius) == (p > share + 1e-9)
