"""Approximation of a target: the normal distribution at its mode, and a cheaper density."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from bayes_intgen._progress import bar_of_steps, stage
from bayes_intgen._typing import Array
from bayes_intgen.inference.density.marginal_posterior import Density, Target

# Tolerance of a quick search for a mode: log density that one more step could add.
QUICK_TOLERANCE = 0.03
# Maximum distance of a search from the prior median, in prior standard deviations: farther out the
# prior density is negligible, and numbers overflow.
MAX_DISTANCE = 10
MAX_STEPS = 300
# Number of past steps in the approximation of the Hessian (SciPy's ``maxcor``).
MEMORY = 40
# Maximum component of the gradient at which a search ends whatever its last step gained.
GRADIENT_TOLERANCE = 1e-2


@dataclass(frozen=True, eq=False)
class Approximation:
    """Approximation of a target, from which samplers start.

    Attributes
    ----------
    point : ndarray, shape (D,)
        Mode: logarithms of the hyperparameters.
    covariance : ndarray, shape (D, D)
        Inverse Hessian of minus the log density at the mode, at most twice the prior variance.
    density : Density
        Density that NUTS samples, with a correction by the exact one: a cheaper one, or the target
        itself.
    """

    point: Array
    covariance: Array
    density: Density

    @classmethod
    def of(cls, target: Target, start: Array, progress: bool) -> Self:
        """Search for the mode from ``start``, shape (D,), and take the target itself as density."""
        with stage("Search for the mode", progress):
            point = find_mode(target, start, progress=False)
        prior_sd = target.prior.sd
        hessian = target.hessian(point) * np.outer(prior_sd, prior_sd)
        values, vectors = np.linalg.eigh(hessian)
        root = prior_sd[:, None] * vectors / np.sqrt(np.clip(values, 0.5, None))
        return cls(point, np.asarray(root @ root.T), target)

    def points(self, count: int, rng: np.random.Generator) -> Array:
        """Draw points from the normal distribution, shape (count, D)."""
        normal = rng.standard_normal((count, len(self.point)))
        return np.asarray(self.point + normal @ np.linalg.cholesky(self.covariance).T)


def find_mode(target: Target, start: Array, progress: bool, tolerance: float = 1e-6) -> Array:
    """Search for the mode over the logarithms of the hyperparameters, shape (D,).

    The search from ``start`` ends if a step adds less than ``tolerance`` to the log density.
    SciPy's own tolerance is relative to the value, which may be near zero.
    """
    # In units in which the curvature is of order one the search takes a quarter of the steps:
    # prior sds, except for the noise, whose sd given N rows is 1 / sqrt(2 N).
    prior, rows = target.prior, float(np.asarray(target.statistics.rows))
    units, noise = prior.sd.copy(), prior.positions["noise_sd"]
    units[noise] = np.minimum(units[noise], 4 / np.sqrt(2 * rows))
    farthest = MAX_DISTANCE * prior.sd
    bounds = np.stack([prior.mean - farthest, prior.mean + farthest], axis=1) / units[:, None]
    values: list[float] = []

    def end(intermediate_result: OptimizeResult) -> None:
        values.append(float(intermediate_result.fun))
        if values[-2] - values[-1] < tolerance:
            raise StopIteration

    with bar_of_steps("Search for the mode", progress, unit="steps") as bar:

        def value_and_grad(scaled: Array) -> tuple[float, Array]:
            bar.update()
            value, gradient = target.value_and_grad(scaled * units)
            if not values:
                values.append(value)
            return value, gradient * units

        result = minimize(
            value_and_grad,
            start / units,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            callback=end,
            options={
                "maxiter": MAX_STEPS,
                "maxcor": MEMORY,
                "ftol": 0.0,
                "gtol": GRADIENT_TOLERANCE,
            },
        )
    return np.asarray(result.x * units)
