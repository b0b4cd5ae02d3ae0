"""Roots of increasing functions, elementwise, with NumPy alone.

The solvers of SciPy take longer to import than a question to a saved fit takes to answer.
"""

from collections.abc import Callable

import numpy as np

from bayes_intgen._typing import Array

# One step in so many bisects, so that no function defeats the secants.
BISECTING = 3
# Absolute value of a function, at most one elsewhere, that counts as zero; relative width of a
# bracket that counts as a point.
ZERO, ROUNDING = 1e-15, 4e-16
MAX_STEPS = 1000


def increasing_roots(
    function: Callable[[Array], Array], low: Array, high: Array, resolution: float
) -> Array:
    """Find roots of increasing functions by the Illinois method.

    Regula falsi, except that the value at an end of the bracket is halved where the end stays twice
    in succession (Dowell and Jarratt, "A modified regula falsi method", BIT 1971).

    Parameters
    ----------
    function : callable
        Values, shape (n,), at points, shape (n,): each a function of its own point, increasing,
        between -1 and 1, with a change of sign.
    low, high : ndarray, shape (n,)
        Ends of a bracket of each root; it is widened where it does not contain the root.
    resolution : float
        Width of a bracket that counts as a point.

    Returns
    -------
    ndarray, shape (n,)
        NaN where the function is.

    Raises
    ------
    ArithmeticError
        If there is no root, or its bracket does not shrink.

    Examples
    --------
    >>> increasing_roots(lambda x: np.tanh(x - 0.25), np.zeros(1), np.ones(1), 1e-12)
    array([0.25])
    """
    low, at_low = _widened(lambda x: -function(x), low, low - high)
    high, at_high = _widened(function, high, high - low)
    at_low, last = -at_low, np.zeros(low.shape)
    for step in range(MAX_STEPS):
        share = at_low / np.minimum(at_low - at_high, -ZERO)
        if step % BISECTING == BISECTING - 1:
            share = np.full(low.shape, 0.5)
        point = np.clip(low + share * (high - low), low, high)
        value = function(point)
        width = resolution + ROUNDING * np.abs(point)
        if (np.isnan(value) | (np.abs(value) <= ZERO) | (high - low <= width)).all():
            return point
        below = value < 0
        at_low = np.where(below, value, np.where(last > 0, at_low / 2, at_low))
        at_high = np.where(below, np.where(last < 0, at_high / 2, at_high), value)
        low, high = np.where(below, point, low), np.where(below, high, point)
        last = np.where(below, -1, 1)
    raise ArithmeticError(f"the bracket of a root did not shrink in {MAX_STEPS} steps")


def _widened(function: Callable[[Array], Array], end: Array, step: Array) -> tuple[Array, Array]:
    """Move the ends of brackets by ever longer steps to where the function is not negative."""
    value = function(end)
    for _ in range(MAX_STEPS):
        outside = value < 0
        if not outside.any():
            return end, value
        end, step = np.where(outside, end + step, end), 2 * step
        value = function(end)
    raise ArithmeticError(f"no bracket contains a root after {MAX_STEPS} steps")
