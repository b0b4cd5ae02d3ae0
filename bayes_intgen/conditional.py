"""The coefficients given the hyperparameters: a normal distribution, and the evidence.

With coefficients beta ~ N(m, S^2), S diagonal, and rows that say exp(b'(beta - m) - (beta - m)' H
(beta - m) / 2) of them, everything follows from one Cholesky factor of A = I + S H S. Here one
point at a time, with a gradient in closed form and nothing to compile;
:func:`bayes_intgen.gram.log_marginal` is the same density for a sampler to differentiate.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from jax.typing import ArrayLike
from scipy.linalg.lapack import dtrtri, dtrtrs

from bayes_intgen.bases import Array
from bayes_intgen.gram import Sums


@dataclass(frozen=True, eq=False)
class Conditional:
    """Posterior of the coefficients at one point of the hyperparameters.

    Attributes
    ----------
    sums : Sums
    noise_sd : float
    sd : ndarray, shape (P,)
        Prior standard deviations s.
    prior_mean : ndarray, shape (P,)
    step : ndarray, shape (P,)
        How far the posterior mean is from the prior's, in units of s.
    factor : ndarray, shape (P, P)
        Upper Cholesky factor U of A = U'U; no numbers where rounding leaves A none.
    log_evidence : float
        Log density of all outcomes with the coefficients integrated out.
    """

    sums: Sums
    noise_sd: float
    sd: Array
    prior_mean: Array
    step: Array
    factor: Array
    log_evidence: float

    @classmethod
    def of(cls, sums: Sums, prior_mean: ArrayLike, log_sd: ArrayLike, noise_sd: float) -> Self:
        """From sums over rows, the coefficients' prior and the noise's standard deviation."""
        mean, sd = np.asarray(prior_mean), np.exp(np.asarray(log_sd))
        about, precision = sums.about(mean), 1 / noise_sd**2
        matrix = np.asarray(sums.xx) * (sd * precision)
        matrix *= sd[:, None]
        information = np.asarray(about.xy) * precision
        squares = float(np.asarray(about.yy)) * precision
        log_scale = float(np.asarray(sums.rows)) * np.log(2 * np.pi * noise_sd**2)
        log_scale -= float(np.asarray(sums.log_weight))
        if about.known is not None:
            known, residual = np.asarray(about.known.matrix), np.asarray(about.known.outcome)
            matrix += (known * sd).T @ (known * sd)
            information = information + known.T @ residual
            squares += float(residual @ residual)
            log_scale += len(residual) * np.log(2 * np.pi) + 2 * float(np.sum(about.known.log_sd))
        matrix[np.diag_indices_from(matrix)] += 1
        factor = _upper_factor(matrix)
        half, _ = dtrtrs(factor, sd * information, trans=1)
        step, _ = dtrtrs(factor, half)
        log_det = 2 * float(np.sum(np.log(np.diag(factor))))
        log_evidence = -0.5 * (squares - float(half @ half) + log_det + log_scale)
        return cls(sums, noise_sd, sd, mean, step, factor, log_evidence)

    @property
    def mean(self) -> Array:
        """Posterior mean, shape (P,)."""
        return np.asarray(self.prior_mean + self.sd * self.step)

    @property
    def root(self) -> Array:
        """Upper triangular R of the posterior covariance R R', shape (P, P)."""
        return np.asarray(self.sd[:, None] * self._inverse_factor)

    @property
    def covariance(self) -> Array:
        """Posterior covariance, shape (P, P)."""
        root = self.root
        return np.asarray(root @ root.T)

    @cached_property
    def share(self) -> Array:
        """Share of the prior variance that the data take from each coefficient, shape (P,)."""
        return np.asarray(1 - np.einsum("pq,pq->p", self._inverse_factor, self._inverse_factor))

    @cached_property
    def _inverse_factor(self) -> Array:
        """U^-1, of which A^-1 is the product with its transpose."""
        inverse, _ = dtrtri(self.factor)
        return np.asarray(inverse)

    def gradient(self) -> tuple[Array, float]:
        """Derivatives of the log evidence by the logarithms of s, shape (P,), and of noise_sd."""
        towards_log_sd = self.step**2 - self.share
        xx, xy = np.asarray(self.sums.xx), np.asarray(self.sums.xy)
        mean = self.mean
        # The sum of squares that is expected of the residuals.
        expected = float(np.asarray(self.sums.yy)) - 2 * mean @ xy + mean @ xx @ mean
        # What the uncertainty of the coefficients adds to it, in units of the noise's variance:
        # the trace of A^-1 S X'X S / noise^2, which is A - I less what known rows add.
        uncertain = float(np.sum(self.share))
        if self.sums.known is not None:
            scaled = self.sd[:, None] * np.asarray(self.sums.known.matrix).T
            half, _ = dtrtrs(self.factor, scaled, trans=1)
            uncertain -= float(np.sum(half**2))
        expected_ratio = expected / self.noise_sd**2 + uncertain
        return towards_log_sd, float(expected_ratio - np.asarray(self.sums.rows))


def _upper_factor(matrix: Array) -> Array:
    """Upper Cholesky factor of I plus a matrix without negative eigenvalues, in LAPACK's order.

    Where rounding leaves no factor, far from where the data want the scales, that of a matrix
    whose diagonal is larger by a little more than rounding: a search that strays there finds the
    density low, and its way back. NumPy's factorisation lets other threads run meanwhile, which
    SciPy's does not.
    """
    try:
        return np.asarray(np.linalg.cholesky(matrix).T)
    except np.linalg.LinAlgError:
        more = 10 * len(matrix) * np.finfo(matrix.dtype).eps
        raised = matrix + np.diag(more * np.diag(matrix))
    try:
        return np.asarray(np.linalg.cholesky(raised).T)
    except np.linalg.LinAlgError:
        return np.full_like(matrix, np.nan, order="F")
