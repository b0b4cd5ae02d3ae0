"""Conditional distribution of the coefficients given the hyperparameters, and the evidence.

The formulas are those of `evidence`, evaluated with NumPy and LAPACK: a search
for modes needs hundreds of evaluations, which take less time than compiling one. With 281
coefficients on one core, value and gradient take 1.3 ms here; with JAX 3.5 s to compile, and then
1.1 ms.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from jax.typing import ArrayLike
from scipy.linalg.lapack import dtrtri, dtrtrs

from bayes_intgen._typing import Array
from bayes_intgen.inference.gaussian.evidence import PosteriorSystem
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics


@dataclass(frozen=True, eq=False)
class Conditional:
    """Posterior of the coefficients at one point of the hyperparameters.

    Attributes
    ----------
    noise_sd : float
    sd : ndarray, shape (P,)
        Prior standard deviations s.
    prior_mean : ndarray, shape (P,)
    system : PosteriorSystem
    half : ndarray, shape (P,)
        Inverse of U', times the information of ``system``.
    step : ndarray, shape (P,)
        How far the posterior mean is from the prior's, in units of s.
    factor : ndarray, shape (P, P)
        Upper Cholesky factor U of A = U'U; no numbers where rounding leaves A none.
    log_evidence : float
        Log density of all outcomes with the coefficients integrated out.
    """

    noise_sd: float
    sd: Array
    prior_mean: Array
    system: PosteriorSystem
    half: Array
    step: Array
    factor: Array
    log_evidence: float

    @classmethod
    def of(
        cls, sums: SufficientStatistics, prior_mean: ArrayLike, log_sd: ArrayLike, noise_sd: float
    ) -> Self:
        """From sums over rows, the coefficients' prior and the noise's standard deviation."""
        mean, sd = np.asarray(prior_mean), np.exp(np.asarray(log_sd))
        system = PosteriorSystem.of(sums.centred_at(mean), sd, noise_sd, np)
        factor = _upper_factor(system.precision)
        half, _ = dtrtrs(factor, system.information, trans=1)
        step, _ = dtrtrs(factor, half)
        log_det = 2 * float(np.sum(np.log(np.diag(factor))))
        log_evidence = float(system.log_evidence(half, log_det))
        return cls(noise_sd, sd, mean, system, half, step, factor, log_evidence)

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
        known = self.system.known
        known_half = None if known is None else dtrtrs(self.factor, known, trans=1)[0]
        towards_log_sd, towards_noise = self.system.gradient(
            self.half, self.step, self.share, known_half
        )
        return towards_log_sd, float(towards_noise)


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
