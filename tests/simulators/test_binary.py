import numpy as np
import pytest

from bayes_intgen.simulators import Binary


@pytest.mark.parametrize("share", [(0.3, 0.7), (0.05, 0.1)])
def test_shares_of_ones_lie_in_the_range(share: tuple[float, float]) -> None:
    low, high = share
    for seed in range(5):
        model = Binary.random(3, seed=seed, share=share)
        rng = np.random.default_rng(0)
        observed, _ = model.sample((), 40_000, rng)
        was_set, _ = model.sample(model.names, 40_000, rng)
        for actions, slack in ((observed, 0.1 * high), (was_set, 4 * np.sqrt(high / 40_000))):
            assert set(np.unique(actions)) == {0.0, 1.0}
            assert (actions.mean(axis=0) > low - slack).all()
            assert (actions.mean(axis=0) < high + slack).all()


def test_cell_means_of_observed_rows_are_not_the_joint_effect() -> None:
    model = Binary.random(2, seed=1)
    cells = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])

    def scores(regime: tuple[str, ...]) -> np.ndarray:
        """Mean outcome of each cell less the joint effect, over its standard error."""
        actions, outcome = model.sample(regime, 40_000, np.random.default_rng(0))
        own = [outcome[(actions == cell).all(axis=1)] for cell in cells]
        means = np.array([values.mean() for values in own])
        errors = np.array([values.std() / np.sqrt(len(values)) for values in own])
        return np.abs(means - model.joint_effect(cells)) / errors

    assert scores(()).max() > 20
    assert scores(model.names).max() < 4


def test_parents_can_determine_most_of_a_child() -> None:
    """With a strong edge the share of ones differs by 40 points between values of the parent."""
    differences = []
    for seed in range(40):
        model = Binary.random(2, seed=seed)
        if model.graph["a2"]:
            actions, _ = model.sample((), 5000, np.random.default_rng(0))
            parent, child = actions.T
            differences.append(abs(child[parent == 1].mean() - child[parent == 0].mean()))
    assert max(differences) > 0.4
    assert min(differences) < 0.3
