import numpy as np
import pytest

from bayes_intgen.simulators import Linear, Mistyped


def test_exactly_one_cell_is_an_outlier() -> None:
    base = Linear.random(3, seed=0)
    scale = base.sample(base.names, 100_000, np.random.default_rng(0))[0].std(axis=0)
    cells = set()
    for seed in range(10):
        right = base.dataset(50, seed=seed)
        wrong = Mistyped(base, 1e4).dataset(50, seed=seed)
        np.testing.assert_array_equal(wrong.outcome, right.outcome)
        np.testing.assert_array_equal(wrong.intervened, right.intervened)
        ((row, action),) = np.argwhere(wrong.actions != right.actions)
        off = wrong.actions[row, action] - right.actions[row, action]
        assert off == pytest.approx(1e4 * scale[action], rel=0.05)
        cells.add((int(row), int(action)))
    assert len(cells) > 5


def test_true_effects_and_strength_zero_equal_the_base() -> None:
    base = Linear.random(2, seed=0)
    points, _ = base.sample(base.names, 5, np.random.default_rng(0))
    np.testing.assert_array_equal(
        Mistyped(base, 1e6).joint_effect(points), base.joint_effect(points)
    )
    same = Mistyped(base, 0.0).dataset(20, seed=3)
    np.testing.assert_array_equal(same.actions, base.dataset(20, seed=3).actions)
