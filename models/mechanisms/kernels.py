"""Spectral densities of kernels."""

import math
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from bayes_intgen._typing import Array

KernelName = Literal["squared_exponential", "matern32", "matern52"]
# Smoothness nu of each kernel in the Matérn family.
SMOOTHNESS: dict[str, float] = {
    "squared_exponential": math.inf,
    "matern32": 1.5,
    "matern52": 2.5,
}


def log_spectral_sd(
    kernel: KernelName, frequency: Any, lengthscale: Any, xp: ModuleType = np
) -> Any:
    """Log standard deviations of the coefficients of a unit-scale Hilbert-space GP, elementwise.

    Parameters
    ----------
    kernel : str
    frequency : array_like
        Square roots of the Laplacian's eigenvalues.
    lengthscale : array_like
    xp : module
        ``numpy`` or ``jax.numpy``.

    Notes
    -----
    Half the log spectral density at each frequency (Solin and Särkkä 2020, eq. 20; Rasmussen and
    Williams 2006, eqs. 4.11 and 4.15). The density itself may underflow.
    """
    nu, square = SMOOTHNESS[kernel], (frequency * lengthscale) ** 2
    if nu == math.inf:
        return 0.5 * (xp.log(lengthscale) + 0.5 * math.log(2 * math.pi)) - square / 4
    constant = 0.5 * math.log(2 * math.pi / nu) + math.lgamma(nu + 0.5) - math.lgamma(nu)
    decay = (nu + 0.5) * xp.log1p(square / (2 * nu))
    return 0.5 * (xp.log(lengthscale) + constant - decay)


def spectral_slope(kernel: KernelName, frequency: Array, lengthscale: ArrayLike) -> Array:
    """Derivative of :func:`log_spectral_sd` with respect to the log lengthscale, elementwise."""
    nu, square = SMOOTHNESS[kernel], (frequency * np.asarray(lengthscale)) ** 2
    falling = square if nu == math.inf else (2 * nu + 1) * square / (2 * nu + square)
    return np.asarray(0.5 * (1 - falling))
