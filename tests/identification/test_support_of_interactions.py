"""Support of points at which actions interact."""

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.posterior.draws import support_of

SHORT = {"draws": 50, "warmup": 50, "chains": 2, "progress": False}


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
