"""Support of points at which actions interact."""

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.identification.verdict import separates_pair
from bayes_intgen.posterior.draws import support_of

SHORT = {"draws": 50, "warmup": 50, "chains": 2, "progress": False}


def test_pairs_are_separated_as_the_equations_of_their_functions_say() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        masks = [tuple(mask) for mask in (rng.random((5, 3)) < 0.5).tolist()]
        parents = [[j for j in range(3) if j != k and rng.random() < 0.5] for k in range(3)]
        target = tuple((rng.random(3) < 0.5).tolist())
        reached = rng.random((1, 5)) < 0.6
        # Coefficients of psi, and of those biases that are functions of both actions.
        biases = [k for k, j in ((0, 2), (2, 0)) if j in parents[k]]
        rows = [[1.0, *(1.0 - mask[k] for k in biases)] for mask in masks]
        wanted = np.array([1.0, *(1.0 - target[k] for k in biases)])
        system = np.array(rows)[reached[0]].reshape(-1, len(wanted))
        rank = np.linalg.matrix_rank(system) if len(system) else 0
        spanned = np.linalg.matrix_rank(np.vstack([system, wanted])) == rank
        assert separates_pair(masks, reached, target, (0, 2), parents)[0] == spanned


def square(seed: int, corner: bool) -> bi.RegimeData:
    """Two actions that interact, set and observed in a square, without one corner by default."""
    rng = np.random.default_rng(seed)
    masks = np.repeat([[False, False], [True, False], [False, True]], 400, axis=0)
    actions = rng.uniform(-1, 1, (len(masks), 2))
    if not corner:
        in_corner = (actions > 0.2).all(axis=1)
        actions[in_corner, 1] -= 1.2
    outcome = actions.sum(axis=1) + actions[:, 0] * actions[:, 1]
    return bi.RegimeData.from_arrays(
        actions, outcome + 0.3 * rng.normal(size=len(masks)), masks, ("a", "b")
    )


def test_a_corner_that_no_regime_reaches_is_supported_without_the_interaction_only() -> None:
    points = [[0.8, 0.8], [-0.8, 0.5], [0.5, -0.8]]
    graph: dict[str, list[str]] = {"a": [], "b": []}
    supported = {}
    for corner in (False, True):
        for interactions in (None, [("a", "b")]):
            model = bi.models.additive(graph=graph, interactions=interactions)
            posterior = bi.fit(square(1, corner), model, **SHORT)
            verdict = support_of(posterior).verdict(np.array(points), np.array([True, True]))
            supported[corner, interactions is None] = verdict.together.all(axis=1).tolist()
    assert supported[False, False] == [False, True, True]
    assert supported[True, False] == supported[False, True] == supported[True, True] == [True] * 3


def test_a_point_in_the_empty_corner_warns_of_the_interaction() -> None:
    model = bi.models.additive(graph={}, interactions=[("b", "a")])
    posterior = bi.fit(square(2, corner=False), model, **SHORT)
    with pytest.warns(bi.SupportWarning, match="actions that interact together"):
        posterior.joint_effect([[0.8, 0.8], [-0.8, 0.5]])
