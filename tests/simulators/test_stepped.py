import numpy as np
import pytest

from bayes_intgen.simulators import Stepped
from bayes_intgen.simulators.stepped import SHAPES, Shape


def curve(shape: Shape, z: np.ndarray) -> np.ndarray:
    """Effect at distance z from the turn, over its size."""
    model = Stepped.random(1, seed=0, shape=shape)
    return model.effect_of(0, model.turn[0] + z) / model.size[0]


def test_steps_jump_and_sigmoids_rise_by_three_per_standard_deviation() -> None:
    near = np.array([-1e-4, 1e-4])
    np.testing.assert_array_equal(curve("step", near), [0, 1])
    # The derivative of expit(12 z) at zero is 12 / 4.
    assert np.diff(curve("sigmoid", near))[0] / 2e-4 == pytest.approx(3, rel=1e-4)


def test_sines_repeat_after_one_or_two_standard_deviations() -> None:
    z = np.linspace(-1, 1, 21)
    for shape, period in (("sine 1", 1), ("sine 2", 2)):
        np.testing.assert_allclose(curve(shape, z + period), curve(shape, z), atol=1e-12)
        assert np.abs(curve(shape, z + period / 2) - curve(shape, z)).max() > 0.9


def test_hinges_bend_once_and_u_shapes_turn() -> None:
    np.testing.assert_allclose(curve("hinge", np.array([-2.0, 0.0, 2.0])), [0, 0, 2], atol=1e-12)
    np.testing.assert_allclose(curve("u", np.array([-2.0, 0.0, 2.0])), [2, 0, 2], atol=1e-12)


def test_all_actions_share_the_shape() -> None:
    for shape in SHAPES:
        assert Stepped.random(2, seed=0, shape=shape).shape == shape
