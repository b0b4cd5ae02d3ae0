"""Backtracking: halve the steps of Newton's method and its relatives while they go too far."""

from collections.abc import Callable
from typing import Any

MAX_HALVINGS = 20


def backtracked[T](
    loss: Callable[[Any], tuple[float, T]], point: Any, step: Any, value: float
) -> tuple[Any, float, T]:
    """Halve a step until the loss at its end is at most ``value``, that at its start.

    Parameters
    ----------
    loss : callable
        Loss at a point, and what else is computed there.
    point, step : ndarray
    value : float

    Returns
    -------
    point : ndarray
        End of the step; the start if no step lowers the loss.
    value : float
        Loss there.
    other : T
        Second result of ``loss`` there.

    Examples
    --------
    >>> backtracked(lambda x: (x**2, None), 1.0, -4.0, 1.0)
    (-1.0, 1.0, None)
    """
    for _ in range(MAX_HALVINGS):
        end = point + step
        lower, other = loss(end)
        # NaN, from overflow, is not lower.
        if lower <= value:
            return end, lower, other
        step = step / 2
    return point, *loss(point)
