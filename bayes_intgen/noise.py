"""The spread of the noise: how the residual variance depends on regime and actions.

Given a and R the hidden causes are independent, so the variance decomposes as the mean
does,

    Var(Y | a, R) = s_U^2 + sum_k [R_k v_k(a_k) + (1 - R_k) w_k(a_k)],

with all parts positive. Rows are weighted by its inverse. The function is estimated from
the residuals of a pilot fit and then held fixed up to one common factor, which is
sampled; that keeps the sums over rows, and hence the collapsed posterior, exact.
"""

from dataclasses import dataclass
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from bayes_intgen.bases import Array, Coordinate

# Knots of the piecewise linear parts: close enough to the ends to follow a tail, never so
# close that a handful of rows decides a knot.
KNOTS = (0.003, 0.03, 0.2, 0.5, 0.8, 0.97, 0.997)
# Prior of the logarithm of each height, and of its change from knot to knot. Weak: a
# hundred rows at a knot outweigh it.
HEIGHT_SD, CHANGE_SD = 2.0, 1.0


@dataclass(frozen=True, eq=False)
class Spread:
    """Relative variance of the noise as a function of actions and mask.

    Attributes
    ----------
    coordinates : tuple of Coordinate, length K
    knots : ndarray, shape (K, 7)
        In the squashed coordinates.
    constant : float
        Relative variance s_U^2.
    heights : ndarray, shape (2, K, 7)
        Values of v_k (first) and w_k (second) at the knots, relative.
    """

    coordinates: tuple[Coordinate, ...]
    knots: Array
    constant: float
    heights: Array

    @classmethod
    def of(
        cls,
        actions: Array,
        intervened: NDArray[np.bool_],
        residuals: Array,
        coordinates: tuple[Coordinate, ...],
    ) -> Self:
        """Penalised maximum likelihood from the residuals of a pilot fit, shape (N,).

        Normalised so that the relative variance averages one over the rows.
        """
        knots = np.stack(
            [
                np.quantile(coordinate(actions[:, k]), KNOTS)
                for k, coordinate in enumerate(coordinates)
            ]
        )
        count = len(coordinates)
        start = cls(coordinates, knots, 1.0, np.ones((2, count, len(KNOTS))))
        hats = start._features(actions, intervened)
        squares = residuals**2 / np.mean(residuals**2)
        expected = -np.log(1 + count)

        @jax.jit
        def objective(
            log_heights: jax.Array, hats: jax.Array, squares: jax.Array
        ) -> tuple[jax.Array, jax.Array]:
            def loss(log_heights: jax.Array) -> jax.Array:
                variance = hats @ jnp.exp(log_heights)
                curves = log_heights[1:].reshape(-1, len(KNOTS))
                return (
                    0.5 * jnp.sum(jnp.log(variance) + squares / variance)
                    + 0.5 * jnp.sum(((log_heights - expected) / HEIGHT_SD) ** 2)
                    + 0.5 * jnp.sum((jnp.diff(curves, axis=1) / CHANGE_SD) ** 2)
                )

            return jax.value_and_grad(loss)(log_heights)

        with jax.enable_x64(True):
            on_device = jnp.asarray(hats), jnp.asarray(squares)

            def evaluate(log_heights: Array) -> tuple[float, Array]:
                value, gradient = objective(jnp.asarray(log_heights), *on_device)
                return float(value), np.asarray(gradient)

            found = minimize(
                evaluate,
                np.full(hats.shape[1], expected),
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": 100},
            )
        heights = np.exp(found.x)
        heights /= np.mean(hats @ heights)
        return cls(coordinates, knots, float(heights[0]), heights[1:].reshape(2, count, len(KNOTS)))

    def _features(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """The constant and every hat function times its gate, shape (n, 1 + 14 K)."""
        rows = len(actions)
        out = np.zeros((rows, 2, len(self.coordinates), len(KNOTS)))
        for k, (coordinate, knots) in enumerate(zip(self.coordinates, self.knots, strict=True)):
            z = coordinate(actions[:, k])
            # np.interp needs rising knots; equal ones (many equal values) share a height.
            rising, owner = np.unique(knots, return_index=True)
            hats = np.zeros((rows, len(KNOTS)))
            for i, knot in enumerate(owner):
                hats[:, knot] = np.interp(z, rising, np.eye(len(rising))[i])
            was_set = intervened[:, k].astype(np.float64)[:, None]
            out[:, 0, k] = hats * was_set
            out[:, 1, k] = hats * (1 - was_set)
        return np.concatenate([np.ones((rows, 1)), out.reshape(rows, -1)], axis=1)

    def __call__(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """Relative variance, shape (n,)."""
        heights = np.concatenate([[self.constant], self.heights.ravel()])
        return np.asarray(self._features(actions, intervened) @ heights)


@dataclass(frozen=True)
class ConstantSpread:
    """One variance everywhere."""

    def __call__(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """Relative variance: ones, shape (n,)."""
        return np.ones(len(actions))
