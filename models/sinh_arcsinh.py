"""The sinh-arcsinh family: noise of any location, scale, skewness and weight of tails.

With Z standard normal,

    Y = scale [sinh((arcsinh(Z) + skewness) / tail) - mean],   mean chosen such that E Y = 0.

It contains the normal law (skewness 0, tail 1), has lighter (tail > 1) or heavier (tail < 1) tails,
and its quantiles and probabilities are explicit and monotone for all parameters (Jones and Pewsey,
"Sinh-arcsinh distributions", Biometrika 2009).
"""

from typing import NamedTuple, Self

import numpy as np
import scipy

from bayes_intgen._typing import Array

# Nodes of expectations over Z: the trapezoidal rule, whose error here is below 1e-9.
NODES = np.linspace(-6.5, 6.5, 53)
WEIGHTS = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()
# Bounds of log scale, skewness, and log tail: beyond them laws are indistinguishable in practice.
BOUNDS = np.array([[-12.0, 12.0], [-2.0, 2.0], [-1.0, 1.0]])
# Iterations, damping, and largest first step of the Gauss-Newton method that matches two laws, and
# the ratio of the largest steps of successive iterations.
ITERATIONS, DAMPING, LARGEST_STEP, STEP_RATIO = 30, 1e-3, 0.3, 0.9
# Ridge of the derivatives of parameters: their changes stay below one.
RIDGE = 0.5


class SinhArcsinh(NamedTuple):
    """Laws with mean zero; all parameters have the same shape.

    Attributes
    ----------
    log_scale, skewness, log_tail : ndarray
    """

    log_scale: Array
    skewness: Array
    log_tail: Array

    @classmethod
    def of_parameters(cls, parameters: Array) -> Self:
        """Laws with parameters along the last axis."""
        return cls(*np.moveaxis(parameters, -1, 0))

    @property
    def mean(self) -> Array:
        """Mean before the location is subtracted, in units of the scale."""
        tail = np.exp(self.log_tail)
        return np.asarray(np.sinh(self.skewness / tail) * _mean_cosh(tail))

    @property
    def variance(self) -> Array:
        """Variance.

        Examples
        --------
        >>> SinhArcsinh(np.zeros(1), np.zeros(1), np.zeros(1)).variance.round(9)
        array([1.])
        """
        tail = np.exp(self.log_tail)
        # sinh(x)^2 = (cosh(2 x) - 1) / 2
        square = (np.cosh(2 * self.skewness / tail) * _mean_cosh(tail / 2) - 1) / 2
        return np.asarray(np.exp(2 * self.log_scale) * (square - self.mean**2))

    def quantile(self, normal: Array) -> Array:
        """Quantiles at the probabilities of standard normal quantiles.

        Examples
        --------
        >>> law = SinhArcsinh(np.zeros(1), np.zeros(1), np.zeros(1))
        >>> law.quantile(np.array([1.96])).round(9)
        array([1.96])
        """
        angle = (np.arcsinh(normal) + self.skewness) / np.exp(self.log_tail)
        return np.asarray(np.exp(self.log_scale) * (np.sinh(angle) - self.mean))

    def cdf(self, values: Array) -> Array:
        """Probabilities of at most these values.

        Examples
        --------
        >>> law = SinhArcsinh(np.zeros(1), np.zeros(1), np.zeros(1))
        >>> law.cdf(np.zeros(1))
        array([0.5])
        """
        angle = np.arcsinh(values / np.exp(self.log_scale) + self.mean)
        normal = np.sinh(np.exp(self.log_tail) * angle - self.skewness)
        return np.asarray(scipy.special.ndtr(normal))


def _mean_cosh(tail: Array) -> Array:
    """E cosh(arcsinh(Z) / tail)."""
    # Nodes and their negatives contribute the same.
    half = slice(len(NODES) // 2, None)
    weights = np.r_[WEIGHTS[half][0], 2 * WEIGHTS[half][1:]]
    total = np.zeros(np.shape(tail))
    for angle, weight in zip(np.arcsinh(NODES[half]), weights, strict=True):
        total += weight * np.cosh(angle / tail)
    return total


def match(targets: Array, frequencies: tuple[float, float]) -> tuple[Array, Array]:
    """Laws whose characteristic functions have given values at two frequencies.

    Parameters
    ----------
    targets : ndarray, shape (n, 3)
        Minus the log modulus and the argument at the first frequency, minus the log modulus at the
        second.
    frequencies : tuple of two floats

    Returns
    -------
    parameters : ndarray, shape (n, 3)
        Log scale, skewness and log tail of the nearest law within the bounds.
    slopes : ndarray, shape (n, 3, 3)
        Derivatives of the parameters with respect to the targets.
    """
    first, angle, second = targets.T
    wanted = np.stack([np.log(first), second / first, angle / first**1.5], axis=-1)
    parameters = np.zeros(targets.shape)
    parameters[:, 0] = 0.5 * np.log(2 * first) - np.log(frequencies[0])
    for i in range(ITERATIONS):
        values, slopes = _features(parameters, frequencies)
        transposed = np.swapaxes(slopes, 1, 2)
        inverse = np.linalg.solve(transposed @ slopes + DAMPING * np.eye(3), transposed)
        step = (inverse @ (wanted - values)[..., None])[..., 0]
        # Ever smaller limits end cycles between points.
        limit = LARGEST_STEP * STEP_RATIO**i
        step = np.clip(step, -limit, limit)
        parameters = np.clip(parameters + step, *BOUNDS.T)
    # Along directions that hardly change the features, parameters are not determined.
    inverse = np.linalg.solve(transposed @ slopes + RIDGE * np.eye(3), transposed)
    # Derivatives of `wanted` with respect to the targets.
    outer = np.zeros((len(targets), 3, 3))
    outer[:, 0, 0], outer[:, 1, 0], outer[:, 1, 2] = 1 / first, -second / first**2, 1 / first
    outer[:, 2, 0], outer[:, 2, 1] = -1.5 * angle / first**2.5, first**-1.5
    return parameters, inverse @ outer


def _features(parameters: Array, frequencies: tuple[float, float]) -> tuple[Array, Array]:
    """Scale-free features of characteristic functions, (n, 3), and their derivatives, (n, 3, 3)."""
    log_scale, skewness, log_tail = parameters.T[..., None]
    tail, scale = np.exp(log_tail), np.exp(log_scale)
    angle = (np.arcsinh(NODES) + skewness) / tail
    values, cosh = np.sinh(angle), np.cosh(angle)
    partial = np.stack([values, cosh / tail, -angle * cosh], axis=1)
    partial = scale[:, None] * (partial - (partial @ WEIGHTS)[..., None])
    logs, slopes = [], []
    for frequency in frequencies:
        terms = WEIGHTS * np.exp(1j * frequency * partial[:, 0])
        total = terms.sum(axis=-1)
        logs.append(np.log(total))
        slopes.append(1j * frequency * (partial @ terms[..., None])[..., 0] / total[:, None])
    first, angles, second = -logs[0].real, logs[0].imag, -logs[1].real
    d_first, d_angle, d_second = -slopes[0].real, slopes[0].imag, -slopes[1].real
    a = first[:, None]
    return (
        np.stack([np.log(first), second / first, angles / first**1.5], axis=-1),
        np.stack(
            [
                d_first / a,
                d_second / a - (second / first**2)[:, None] * d_first,
                d_angle / a**1.5 - 1.5 * (angles / first**2.5)[:, None] * d_first,
            ],
            axis=1,
        ),
    )
