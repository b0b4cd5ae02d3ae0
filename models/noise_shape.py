"""Shape of the noise: dependence of its characteristic function on regime and actions.

Given a and R the outcome is a sum of independent parts, so that every cumulant is affine in the
mask, and so is their generating function, the logarithm of the characteristic function:

    log E exp(i t [Y - E Y]) = l_U(t) + sum_k [R_k l_k(t, a_k) + (1 - R_k) m_k(t, a_k)]

It is estimated at two frequencies, on the features of the variance function. Sines and cosines
are bounded; sample cumulants of third and fourth order, its derivatives at zero, have a variance
that heavy tails make useless or infinite. At a point the noise has the sinh-arcsinh law with these
values.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.models.line_search import backtracked
from bayes_intgen.models.sinh_arcsinh import BOUNDS, SinhArcsinh, match
from bayes_intgen.models.sparse_features import SparseFeatures
from bayes_intgen.models.variance_function import (
    Homoscedastic,
    VarianceFunction,
    draw_normal,
    knot_precision,
)

# Frequencies, per standard deviation of the noise: low enough for moduli to be estimated well, far
# enough apart to tell tails from the scale.
FREQUENCIES = (0.8, 2.0)
# Prior standard deviations of the values at the knots, relative to those of a normal law with the
# estimated variance (moduli), and to that of skewness one (arguments). Weak, as for the variance.
MODULUS_SD, SECOND_MODULUS_SD, ARGUMENT_SD = 2.0, 1.0, 8.0
# Prior standard deviation of changes from knot to knot, relative to that of values.
CHANGE_SD = 0.5
# Largest change of a log characteristic function in an iteration; largest gain, in squared error,
# of the last iteration, small against the error of a few percent; and maximum number of iterations.
LARGEST_CHANGE, TOLERANCE, MAX_ITERATIONS = 2.0, 1e-3, 50
# Tolerance of the ratio of both moduli's logarithms.
RATIO_TOLERANCE = 5e-3
# Least modulus exponent at the first frequency, and range of the ratio of both: 6.25 if normal.
LEAST_EXPONENT, RATIOS = 1e-3, (1.3, 8.0)
# Largest variance of a law, over the identified one. Both are estimates: the smaller of the two
# would be too small on average.
MAX_EXCESS = 1.2
# Largest deviations of a draw of log scale, skewness and log tail from their estimates. With few
# rows larger ones would make predicted outcomes too variable; with many they hardly matter.
LARGEST_MOVES = (0.15, 0.25, 0.05)
Complex = NDArray[np.complexfloating[Any]]
QUANTITIES = ("modulus", "argument", "second modulus")


class NoiseShape(NamedTuple):
    """Minus log modulus and argument at the first frequency, minus log modulus at the second.

    Attributes
    ----------
    values : ndarray, shape (3, H)
        Coefficients of the features.
    deviations : ndarray, shape (..., 3, H)
        Draws of their deviations.
    """

    values: Array
    deviations: Array

    def laws(self, features: Array, variance: Array) -> SinhArcsinh:
        """Laws of the noise in units of ``noise_sd``, shape (..., n), at features (n, H).

        The parameters are linearised in the deviations. The scale is reduced where the law of the
        estimate has a far larger variance than the identified one, ``variance`` (n,).
        """
        estimate, slopes = match(bounded(self.values @ features.T).T, FREQUENCIES)
        excess = SinhArcsinh.of_parameters(estimate).variance / variance
        estimate[:, 0] -= 0.5 * np.log(np.maximum(excess / MAX_EXCESS, 1.0))
        moved = self.deviations.astype(np.float64) @ features.T
        parameters = estimate + np.einsum("npq,...qn->...np", slopes, moved)
        return SinhArcsinh.of_parameters(bounded_parameters(parameters, estimate))


class NoiseShapeEstimate(NamedTuple):
    """Shape of the noise with its uncertainty.

    Attributes
    ----------
    values : ndarray, shape (3, H)
    covariance : ndarray, shape (3 H, 3 H)
    """

    values: Array
    covariance: Array

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw deviations of the values from their estimates, shape (*shape, 3, H)."""
        draws = draw_normal(self.covariance, shape, rng)
        return np.asarray(draws.reshape(*shape, *self.values.shape), dtype=np.float32)


def bounded(exponents: Array) -> Array:
    """Restrict values at points, shape (3, n), to what laws can have."""
    first = np.maximum(exponents[0], LEAST_EXPONENT)
    second = np.clip(exponents[2], RATIOS[0] * first, RATIOS[1] * first)
    return np.stack([first, exponents[1], second])


def bounded_parameters(parameters: Array, estimate: Array) -> Array:
    """Restrict draws of parameters, (..., n, 3), to a range about their estimate."""
    moved = np.clip(parameters - estimate, -np.array(LARGEST_MOVES), LARGEST_MOVES)
    return np.asarray(np.clip(estimate + moved, *BOUNDS.T))


def estimate_noise_shape(
    features: SparseFeatures,
    standardised: Array,
    spread: VarianceFunction | Homoscedastic,
) -> NoiseShapeEstimate:
    """Estimate the log characteristic function by penalised least squares, with a log link.

    Parameters
    ----------
    features : sparse array, shape (N, H)
    standardised : ndarray, shape (N,)
        Residuals over the noise standard deviation where the relative variance is one.
    spread : VarianceFunction or Homoscedastic
        Its knot values are the prior mean: a normal law at the first frequency. At the second, the
        prior mean is proportional to the estimate at the first.

    Notes
    -----
    The covariance is the sandwich estimator, which is valid whatever the law of the noise.
    """
    knots = spread.knot_values if isinstance(spread, VarianceFunction) else np.ones(1)
    low, high = FREQUENCIES
    normal = -0.5 * low**2 * knots + 0j
    skewed = low**3 * knots**1.5 / 6
    first = _LogLinear.fit(
        features,
        np.exp(1j * low * standardised),
        normal,
        knot_precision(0.5 * MODULUS_SD * low**2 * knots, CHANGE_SD),
        knot_precision(ARGUMENT_SD * skewed, CHANGE_SD),
    )
    ratio = _ratio(features, first.coefficients, np.exp(1j * high * standardised))
    skewed = high**3 * knots**1.5 / 6
    second = _LogLinear.fit(
        features,
        np.exp(1j * high * standardised),
        ratio * first.coefficients.real + 1j * ratio**1.5 * first.coefficients.imag,
        knot_precision(0.5 * SECOND_MODULUS_SD * high**2 * knots, CHANGE_SD),
        knot_precision(0.5 * ARGUMENT_SD * skewed, CHANGE_SD),
    )
    values = np.stack(
        [-first.coefficients.real, first.coefficients.imag, -second.coefficients.real]
    )
    covariance = _covariance(features, first, second, ratio)
    return NoiseShapeEstimate(np.asarray(values, dtype=np.float64), covariance)


class _LogLinear(NamedTuple):
    """Fit of E psi = exp(F c), with complex c.

    ``real`` and ``imaginary`` are pairs of inverse penalised information and prior precision;
    ``scores`` are the rows' weighted residuals.
    """

    coefficients: Complex
    real: tuple[Array, Array]
    imaginary: tuple[Array, Array]
    scores: Complex

    @classmethod
    def fit(
        cls,
        features: SparseFeatures,
        psi: Complex,
        prior: Complex,
        real: Array,
        imaginary: Array,
    ) -> "_LogLinear":
        """Gauss-Newton iterations from the prior mean, with backtracking."""

        def loss(coefficients: Complex) -> tuple[float, Complex]:
            mean, gap = np.exp(features @ coefficients), coefficients - prior
            penalty = gap.real @ real @ gap.real + gap.imag @ imaginary @ gap.imag
            return float(np.sum(np.abs(psi - mean) ** 2) + penalty) / 2, mean

        coefficients, (value, mean) = prior, loss(prior)
        for _ in range(MAX_ITERATIONS):
            weights = np.abs(mean) ** 2
            scores, gap = mean.conj() * psi - weights, coefficients - prior
            information, slope = features.gram(weights), features.transposed_times(scores)
            of_real, of_imaginary = (np.linalg.inv(information + p) for p in (real, imaginary))
            step = of_real @ (slope.real - real @ gap.real)
            step = step + 1j * (of_imaginary @ (slope.imag - imaginary @ gap.imag))
            step = step * min(1.0, LARGEST_CHANGE / float(np.abs(features @ step).max()))
            before = value
            coefficients, value, mean = backtracked(loss, coefficients, step, value)
            if before - value < TOLERANCE:
                break
        return cls(coefficients, (of_real, real), (of_imaginary, imaginary), scores)


def _ratio(features: SparseFeatures, coefficients: Complex, psi: Complex) -> float:
    """Ratio of minus the log moduli at both frequencies, if it is the same in all rows."""
    exponents = features @ coefficients
    first, angle = -exponents.real, exponents.imag
    ratio = 0.9 * (FREQUENCIES[1] / FREQUENCIES[0]) ** 2
    for _ in range(MAX_ITERATIONS):
        modulus = np.exp(-ratio * first)
        slope = first * modulus
        gap = psi.real - modulus * np.cos(ratio**1.5 * angle)
        step = float(slope @ gap / (slope @ slope))
        ratio = float(np.clip(ratio - step, *RATIOS))
        if abs(step) < RATIO_TOLERANCE:
            break
    return ratio


def _covariance(
    features: SparseFeatures, first: _LogLinear, second: _LogLinear, ratio: float
) -> Array:
    """Sandwich covariance of the three quantities' coefficients."""
    scores = (-first.scores.real, first.scores.imag, -second.scores.real)
    bread = (first.real, first.imaginary, second.real)
    size = features.shape[1]
    middle = np.empty((3, size, 3, size))
    for i in range(3):
        for j in range(i, 3):
            middle[i, :, j] = features.gram(scores[i] * scores[j])
            middle[j, :, i] = middle[i, :, j]
        middle[i, :, i] += bread[i][1]
    outer = np.zeros((3, size, 3, size))
    for i in range(3):
        outer[i, :, i] = bread[i][0]
    # The prior mean at the second frequency follows the estimate at the first.
    outer[2, :, 0] = ratio * second.real[0] @ second.real[1] @ first.real[0]
    flat = outer.reshape(3 * size, -1)
    return np.asarray(flat @ middle.reshape(3 * size, -1) @ flat.T)
