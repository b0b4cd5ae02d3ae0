"""Log evidence of Gaussian rows with marginalised coefficients, in closed form.

For coefficients beta = m + S b, with b standard normal and S diagonal, the posterior precision of b
is A = I + S H S, where H is the precision of the likelihood. Everything follows from a Cholesky
factor of A. `PosteriorSystem` states the formulas once, for NumPy (`conditional`, for single points
without compilation) and for JAX (this module, for NUTS).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from bayes_intgen.inference.gaussian.blocked_cholesky import inverse_cholesky
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics


class PosteriorSystem(NamedTuple):
    """Unfactorised posterior of the whitened coefficients b.

    Attributes
    ----------
    precision : (..., P, P)
        A = I + S H S.
    information : (..., P)
        A times the posterior mean of b.
    squares, log_scale : (...)
        Sum of squares of the outcomes, and logarithm of the normalising constants.
    rows : ()
        Number of rows N, without pseudo-observations.
    known : (..., P, L), known_outcome : (L,); or None
        S K' for pseudo-observations K, and their outcomes.
    """

    precision: Any
    information: Any
    squares: Any
    log_scale: Any
    rows: Any
    known: Any
    known_outcome: Any

    @classmethod
    def of(
        cls, sums: SufficientStatistics, sd: Any, noise_sd: Any, xp: ModuleType
    ) -> PosteriorSystem:
        """Set up the system from statistics centred at the prior mean.

        Parameters
        ----------
        sums : SufficientStatistics
        sd : (..., P)
            Prior standard deviations.
        noise_sd : (...)
        xp : module
            ``numpy`` or ``jax.numpy``.
        """
        precision = 1 / xp.asarray(noise_sd) ** 2
        matrix = xp.asarray(sums.xx) * (sd * precision[..., None])[..., None, :]
        # In place in NumPy.
        matrix *= sd[..., None]
        information = xp.asarray(sums.xy) * precision[..., None]
        squares = xp.asarray(sums.yy) * precision
        log_scale = sums.rows * xp.log(2 * np.pi * noise_sd**2) - sums.log_weight
        known = outcome = None
        if sums.known is not None:
            rows, outcome = xp.asarray(sums.known.matrix), xp.asarray(sums.known.outcome)
            known = xp.swapaxes(rows * sd[..., None, :], -1, -2)
            matrix += known @ xp.swapaxes(known, -1, -2)
            information = information + rows.T @ outcome
            squares = squares + outcome @ outcome
            log_scale += len(outcome) * np.log(2 * np.pi) + 2 * xp.sum(
                xp.asarray(sums.known.log_sd)
            )
        if xp is np:
            # Without a pass over all elements.
            np.einsum("...pp->...p", matrix)[...] += 1
        else:
            matrix += xp.eye(sd.shape[-1])
        return cls(matrix, sd * information, squares, log_scale, sums.rows, known, outcome)

    def log_evidence(self, residual: Any, log_det: Any) -> Any:
        """Log density of all outcomes, shape (...).

        Parameters
        ----------
        residual : (...)
            ``squares`` minus those of the inverse Cholesky factor times ``information``.
        log_det : (...)
            Log determinant of ``precision``.
        """
        return -0.5 * (residual + log_det + self.log_scale)

    def gradient(self, half: Any, step: Any, share: Any, known_half: Any) -> tuple[Any, Any]:
        """Gradient of the log evidence with respect to log S, (P,), and log ``noise_sd``, ().

        Parameters
        ----------
        half : (P,)
            Inverse of the lower Cholesky factor times ``information``.
        step : (P,)
            Posterior mean of b.
        share : (P,)
            Fraction of each prior variance removed by the data: one minus the diagonal of A^-1.
        known_half : (P, L) or None
            Inverse of the lower Cholesky factor times ``known``.
        """
        # Posterior mean of the residual sum of squares, in units of the noise: its value at the
        # posterior mean, plus the trace of A^-1 S X'WX S / noise_sd^2. The trace is that of
        # A^-1 (A - I), minus the pseudo-observations' contribution.
        squares = self.squares - half @ half - step @ step
        uncertain = share.sum()
        if self.known is not None:
            squares = squares - ((self.known_outcome - step @ self.known) ** 2).sum()
            uncertain = uncertain - (known_half**2).sum()
        return step**2 - share, squares + uncertain - self.rows


def log_marginal_and_draw(
    sums: SufficientStatistics, log_sd: jax.Array, noise_sd: jax.Array, normal: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Evaluate :func:`log_marginal`, and draw the coefficients with the same Cholesky factor.

    Parameters
    ----------
    sums, log_sd, noise_sd
        As in :func:`log_marginal`.
    normal : Array, shape (P,)
        Standard normal random numbers.

    Returns
    -------
    log_density : Array, shape ()
    draw : Array, shape (P,)
        Conditional draw of the coefficients minus their prior mean.
    """
    sd = jnp.exp(log_sd)
    system = PosteriorSystem.of(sums, sd, noise_sd, jnp)
    factor = jnp.linalg.cholesky(system.precision, symmetrize_input=False)
    half = solve_triangular(factor, system.information, lower=True)
    step = solve_triangular(factor, half + normal, lower=True, trans="T")
    log_det = 2 * jnp.sum(jnp.log(jnp.diag(factor)))
    return jnp.asarray(system.log_evidence(system.squares - half @ half, log_det)), sd * step


def _forward(
    sums: SufficientStatistics, log_sd: jax.Array, noise_sd: jax.Array
) -> tuple[jax.Array, Any]:
    sd = jnp.exp(log_sd)
    system = PosteriorSystem.of(sums, sd, noise_sd, jnp)
    diagonal, inverse = inverse_cholesky(system.precision)
    half = inverse @ system.information
    step = inverse.T @ half
    share = 1 - jnp.sum(inverse**2, axis=0)
    known_half = None if system.known is None else inverse @ system.known
    towards_log_sd, towards_log_noise = system.gradient(half, step, share, known_half)
    value = system.log_evidence(system.squares - half @ half, 2 * jnp.sum(jnp.log(diagonal)))
    return value, (towards_log_sd, towards_log_noise / noise_sd)


def _backward(gradient: Any, cotangent: jax.Array) -> tuple[None, jax.Array, jax.Array]:
    towards_log_sd, towards_noise = gradient
    return None, cotangent * towards_log_sd, cotangent * towards_noise


@jax.custom_vjp
def _log_marginal(sums: SufficientStatistics, log_sd: jax.Array, noise_sd: jax.Array) -> jax.Array:
    return log_marginal_and_draw(sums, log_sd, noise_sd, jnp.zeros(len(log_sd)))[0]


_log_marginal.defvjp(_forward, _backward)


def log_marginal(sums: SufficientStatistics, log_sd: jax.Array, noise_sd: jax.Array) -> jax.Array:
    """Log density of the outcome with marginalised coefficients, with a closed-form gradient.

    Parameters
    ----------
    sums : SufficientStatistics
        Centred at the coefficients' prior mean m; constant under differentiation.
    log_sd : Array, shape (P,)
        Log prior standard deviations.
    noise_sd : float
        Noise standard deviation of a row of weight one.

    Returns
    -------
    Array, shape ()
        log N(y; X m, X diag(s^2) X' + noise_sd^2 W^-1), plus the log density of
        pseudo-observations given y.
    """
    return jnp.asarray(_log_marginal(sums, log_sd, noise_sd))
