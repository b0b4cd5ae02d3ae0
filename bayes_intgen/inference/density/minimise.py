"""Minimisation by L-BFGS with an absolute tolerance."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from bayes_intgen._typing import Array

MAX_STEPS = 300
# Number of past steps in the approximation of the Hessian (SciPy's ``maxcor``).
MEMORY = 40
# Maximum component of the gradient at which a search ends whatever its last step gained.
GRADIENT_TOLERANCE = 1e-2


def minimise(
    value_and_grad: Callable[[Array], tuple[float, Array]],
    start: Array,
    tolerance: float,
    bounds: Array | None = None,
) -> tuple[Array, float]:
    """Minimise a smooth function in coordinates in which its curvature is of order one.

    Parameters
    ----------
    value_and_grad : callable
    start : ndarray, shape (D,)
    tolerance : float
        Minimum gain of a step, in units of the function. SciPy's own tolerance is relative to the
        value of the function, which may be near zero.
    bounds : ndarray, shape (D, 2), optional

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

    def evaluate(point: Array) -> tuple[float, Array]:
        value, gradient = value_and_grad(point)
        if not values:
            values.append(value)
        return value, gradient

    def end(intermediate_result: OptimizeResult) -> None:
        values.append(float(intermediate_result.fun))
        if values[-2] - values[-1] < tolerance:
            raise StopIteration

    result = minimize(
        evaluate,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        callback=end,
        options={"maxiter": MAX_STEPS, "maxcor": MEMORY, "ftol": 0.0, "gtol": GRADIENT_TOLERANCE},
    )
    return np.asarray(result.x), float(result.fun)
