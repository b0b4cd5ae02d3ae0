"""Minimisation by L-BFGS that ends where a step gains less than a given amount."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from bayes_intgen._typing import Array

MAX_STEPS = 300
# Pairs of steps and changes of the gradient that L-BFGS remembers.
MEMORY = 40
# Slope below which a search ends whatever its last step has gained.
MIN_SLOPE = 1e-2


def minimise(
    value_and_gradient: Callable[[Array], tuple[float, Array]],
    start: Array,
    tolerance: float,
    bounds: Array | None = None,
    abandon: Callable[[Array, float], bool] | None = None,
) -> tuple[Array, float]:
    """Minimise a smooth function, in coordinates in which its curvature is of order one.

    Parameters
    ----------
    value_and_gradient : callable
    start : ndarray, shape (D,)
    tolerance : float
        Least gain of a step, in units of the function. SciPy's own is a share of the function's
        value, which may be near zero.
    bounds : ndarray, shape (D, 2), optional
    abandon : callable, optional
        Whether to give the search up, from where a step ends and the value there.

    Returns
    -------
    point : ndarray, shape (D,)
    value : float

    Examples
    --------
    >>> point, value = minimise(lambda x: (float(x @ x), 2 * x), np.ones(2), tolerance=1e-6)
    >>> round(value, 6)
    0.0
    """
    values: list[float] = []

    def evaluated(point: Array) -> tuple[float, Array]:
        value, gradient = value_and_gradient(point)
        if not values:
            values.append(value)
        return value, gradient

    def end(intermediate_result: OptimizeResult) -> None:
        values.append(float(intermediate_result.fun))
        if values[-2] - values[-1] < tolerance:
            raise StopIteration
        if abandon is not None and abandon(np.asarray(intermediate_result.x), values[-1]):
            raise StopIteration

    result = minimize(
        evaluated,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        callback=end,
        options={"maxiter": MAX_STEPS, "maxcor": MEMORY, "ftol": 0.0, "gtol": MIN_SLOPE},
    )
    return np.asarray(result.x), float(result.fun)
