"""Log evidence of Gaussian rows: the coefficients integrated out, in closed form.

With coefficients beta = m + S b, b standard normal and S diagonal, the posterior precision of b is
A = I + S H S, where H is the precision of the likelihood. Everything follows from a Cholesky factor
of A. The formulas are stated once, for NumPy (`conditional`: single points,
nothing to compile) and for JAX (here: what NUTS runs).
"""

from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from bayes_intgen.inference.gaussian.blocked_cholesky import inverse_cholesky
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics


class PosteriorSystem(NamedTuple):
    """Posterior of the whitened coefficients b before it is factorised.

    Attributes
    ----------
    precision : (P, P)
        A = I + S H S.
    information : (P,)
        Right-hand side of the equations for the posterior mean of b.
    squares, log_scale : ()
        Sum of squares of the outcomes, and logarithm of the normalising constants.
    rows : ()
        Number of rows N, without those of known variance.
    known : (P, L), known_outcome : (L,); or None
        S K', K the rows of known variance, and their outcomes.
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
    ) -> "PosteriorSystem":
        """From sums about the prior mean, prior sds (P,) and ``noise_sd``; ``xp`` is an array API.

        ``xp`` is ``numpy`` or ``jax.numpy``.
        """
        precision = 1 / noise_sd**2
        matrix = xp.asarray(sums.xx) * (sd * precision) * sd[:, None]
        information = xp.asarray(sums.xy) * precision
        squares = xp.asarray(sums.yy) * precision
        log_scale = sums.rows * xp.log(2 * np.pi * noise_sd**2) - sums.log_weight
        known = outcome = None
        if sums.known is not None:
            rows, outcome = xp.asarray(sums.known.matrix), xp.asarray(sums.known.outcome)
            known = (rows * sd).T
            matrix = matrix + known @ known.T
            information = information + rows.T @ outcome
            squares = squares + outcome @ outcome
            log_scale += len(outcome) * np.log(2 * np.pi) + 2 * xp.sum(
                xp.asarray(sums.known.log_sd)
            )
        matrix = matrix + xp.eye(len(sd))
        return cls(matrix, sd * information, squares, log_scale, sums.rows, known, outcome)

    def log_evidence(self, half: Any, log_det: Any) -> Any:
        """Log density of all outcomes.

        Parameters
        ----------
        half : (P,)
            The lower Cholesky factor's inverse times ``information``.
        log_det : ()
            Log determinant of ``precision``.
        """
        return -0.5 * (self.squares - half @ half + log_det + self.log_scale)

    def gradient(self, half: Any, step: Any, share: Any, known_half: Any) -> tuple[Any, Any]:
        """Derivatives of the log evidence by the logarithms of S, (P,), and of ``noise_sd``, ().

        Parameters
        ----------
        half : (P,)
            As in :meth:`log_evidence`.
        step : (P,)
            Posterior mean of b.
        share : (P,)
            Share of the prior variance that the data take from each coefficient: one less the
            diagonal of A^-1.
        known_half : (P, L) or None
            The lower Cholesky factor's inverse times ``known``.
        """
        # Expected squares of the residuals, in units of the noise: those at the posterior mean, and
        # the trace of A^-1 S X'WX S / noise_sd^2, which the uncertainty of the coefficients adds.
        # That is the trace of A^-1 (A - I) less the part of known rows.
        squares = self.squares - half @ half - step @ step
        uncertain = share.sum()
        if self.known is not None:
            squares = squares - ((self.known_outcome - step @ self.known) ** 2).sum()
            uncertain = uncertain - (known_half**2).sum()
        return step**2 - share, squares + uncertain - self.rows


@jax.custom_vjp
def log_marginal(sums: SufficientStatistics, log_sd: jax.Array, noise_sd: jax.Array) -> jax.Array:
    """Log density of the outcome with the coefficients integrated out, for NUTS to differentiate.

    Parameters
    ----------
    sums : SufficientStatistics
        About the coefficients' prior mean m; treated as constants by differentiation.
    log_sd : Array, shape (P,)
        Log prior standard deviations.
    noise_sd : float
        Standard deviation of the noise of a row of weight one.

    Returns
    -------
    Array, shape ()
        log N(y; X m, X diag(s^2) X' + noise_sd^2 W^-1), and on top of it the log density of the
        outcomes of known rows given y.
    """
    return log_marginal_and_draw(sums, log_sd, noise_sd, jnp.zeros(len(log_sd)))[0]


def log_marginal_and_draw(
    sums: SufficientStatistics, log_sd: jax.Array, noise_sd: jax.Array, normal: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """:func:`log_marginal`, and with the same factor a conditional draw of the coefficients.

    Parameters
    ----------
    sums, log_sd, noise_sd
        As there.
    normal : Array, shape (P,)
        Standard normal numbers.

    Returns
    -------
    log_density : Array, shape ()
    draw : Array, shape (P,)
        About the prior mean.
    """
    sd = jnp.exp(log_sd)
    system = PosteriorSystem.of(sums, sd, noise_sd, jnp)
    factor = jnp.linalg.cholesky(system.precision, symmetrize_input=False)
    half = solve_triangular(factor, system.information, lower=True)
    step = solve_triangular(factor, half + normal, lower=True, trans="T")
    log_det = 2 * jnp.sum(jnp.log(jnp.diag(factor)))
    return jnp.asarray(system.log_evidence(half, log_det)), sd * step


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
    value = system.log_evidence(half, 2 * jnp.sum(jnp.log(diagonal)))
    return value, (towards_log_sd, towards_log_noise / noise_sd)


def _backward(slopes: Any, cotangent: jax.Array) -> tuple[None, jax.Array, jax.Array]:
    towards_log_sd, towards_noise = slopes
    return None, cotangent * towards_log_sd, cotangent * towards_noise


log_marginal.defvjp(_forward, _backward)
