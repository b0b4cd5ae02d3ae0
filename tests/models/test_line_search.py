import numpy as np

from bayes_intgen.models.line_search import backtracked


def test_a_step_that_lowers_the_loss_is_taken_whole() -> None:
    assert backtracked(lambda x: (x**2, "there"), 3.0, -2.0, 9.0) == (1.0, 1.0, "there")


def test_a_step_too_far_is_halved_until_the_loss_is_lower() -> None:
    assert backtracked(lambda x: (x**2, None), 1.0, -8.0, 1.0) == (-1.0, 1.0, None)


def test_overflow_is_not_lower() -> None:
    def loss(x: float) -> tuple[float, None]:
        return (np.nan if abs(x) > 1 else x**2), None

    assert backtracked(loss, 1.0, -4.0, 1.0) == (-1.0, 1.0, None)


def test_without_a_lower_point_the_start_stays() -> None:
    assert backtracked(lambda x: (x**2, None), 0.0, 1.0, 0.0) == (0.0, 0.0, None)
