"""Student-t noise as Gaussian rows: pseudo-values, for the pilot fit.

Pseudo-values are outcomes whose residuals are bounded: fitted values plus residuals times their
weights in the estimating equation, over the expected information. Least squares on them have the
same solution as the Student-t likelihood, and standard errors that are right to first order (Huber,
*Robust Statistics*, 1981, section 7.9). So everything that the pilot fit learns from Gaussian rows
holds for them: hyperparameters, variance function, selection of terms, tests of fit.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln

from bayes_intgen._typing import Array
from bayes_intgen.data.batches import map_batches
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.conditional import Conditional
from bayes_intgen.inference.gaussian.passes import relative_noise_sd
from bayes_intgen.models.hyperpriors import DEGREES_OF_FREEDOM, GammaPrior
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.models.variance_function import Homoscedastic, VarianceFunction

# Convergence threshold for changes of log scale and log degrees of freedom, and maximum number of
# iterations.
LOG_TOLERANCE, MAX_ITERATIONS = 0.01, 50
# Distance from the median, in robust standard deviations, to which outcomes are clipped before the
# first fit. Their units and the first residuals then hardly depend on outliers.
MAX_DEVIATION = 4.0
# Least power of the likelihood.
MIN_POWER = 0.5
# Standard deviation of a normal variable over its median absolute deviation.
NORMAL_MAD = 1.4826


class StudentTFit(NamedTuple):
    """Student-t noise fitted to rows, at fixed hyperparameters.

    Attributes
    ----------
    log_mode : ndarray, shape (2,)
        Log scale and log degrees of freedom of the noise.
    covariance : ndarray, shape (2, 2)
        Covariance of ``log_mode``.
    mean : ndarray, shape (P,)
        Coefficients at the mode.
    power : float
        Power of the likelihood, from :func:`likelihood_power`.
    """

    log_mode: Array
    covariance: Array
    mean: Array
    power: float

    @property
    def scale(self) -> float:
        """Scale of the noise."""
        return float(np.exp(self.log_mode[0]))

    @property
    def information(self) -> float:
        """Expected information about the mean, over that of Gaussian noise of the same scale.

        (df + 1) / (df + 3) (Lange, Little and Taylor, "Robust statistical modeling using the t
        distribution", JASA 1989).
        """
        return _information(float(np.exp(self.log_mode[1])))

    def with_pseudo_values(
        self,
        rows: Observations,
        terms: Decomposition,
        spread: VarianceFunction | Homoscedastic,
    ) -> Observations:
        """Replace the outcomes by pseudo-values."""

        def of_batch(batch: Observations) -> Array:
            design = terms.matrix(batch.inputs, batch.intervened, evaluation=batch.evaluation)
            fitted = design @ self.mean + terms.centre
            relative_sd = relative_noise_sd(spread, batch)
            residual = (batch.outcome - fitted) / relative_sd
            return np.asarray(fitted + relative_sd * bounded_residuals(residual, self.log_mode))

        pseudo = np.concatenate(list(map_batches(rows, of_batch, "Pseudo-values", False)))
        return replace(rows, outcome=pseudo)


def clipped(rows: Observations) -> Observations:
    """Clip outcomes to a few robust standard deviations from their median."""
    median = np.median(rows.outcome)
    deviation = MAX_DEVIATION * NORMAL_MAD * np.median(np.abs(rows.outcome - median))
    if not deviation > 0:
        return rows
    return replace(rows, outcome=rows.outcome.clip(median - deviation, median + deviation))


def fit_student_t(
    posterior: MarginalPosterior,
    sites: dict[str, Array],
    rows: Observations,
    spread: VarianceFunction | Homoscedastic,
) -> StudentTFit:
    """Fit Student-t noise and coefficients at fixed scales and lengthscales.

    Each step fits the noise to the residuals, and the coefficients to pseudo-values.

    Parameters
    ----------
    posterior : MarginalPosterior
    sites : dict
        Hyperparameters of ``posterior``.
    rows : Observations
        With their own outcomes.
    spread : VarianceFunction or Homoscedastic
    """
    terms = posterior.terms
    matrix = terms.matrix(rows.inputs, rows.intervened, evaluation=rows.evaluation)
    outcome = rows.outcome - terms.centre
    relative_sd = relative_noise_sd(spread, rows)
    scaled = matrix / relative_sd[:, None]
    xx, target = scaled.T @ scaled, outcome / relative_sd
    log_sd, prior = posterior.priors.log_sd(sites), DEGREES_OF_FREEDOM
    mean = posterior.conditional(sites).mean
    log_noise = np.array([np.nan, np.log(4.0)])
    for _ in range(MAX_ITERATIONS):
        residual = target - scaled @ mean
        if np.isnan(log_noise[0]):
            log_noise[0] = np.log(max(np.median(np.abs(residual)) * NORMAL_MAD, 1e-300))
        previous = log_noise
        log_noise = minimize(
            noise_potential, previous, (residual**2, prior), method="Nelder-Mead"
        ).x
        pseudo = target - residual + bounded_residuals(residual, log_noise)
        sums = posterior.sums._replace(xx=xx, xy=scaled.T @ pseudo, yy=float(pseudo @ pseudo))
        noise_sd = np.exp(log_noise[0]) / np.sqrt(_information(np.exp(log_noise[1])))
        mean = Conditional.of(sums, posterior.priors.mean, log_sd, float(noise_sd)).mean
        if np.abs(log_noise - previous).max() < LOG_TOLERANCE:
            break
    power = likelihood_power(residual, log_noise)
    covariance = inverse_curvature(log_noise, residual**2, prior, power)
    return StudentTFit(log_noise, covariance, mean, power)


def likelihood_power(residual: Array, log_noise: Array) -> float:
    """Power of the likelihood with which the posterior is as wide as estimates vary.

    With slopes and curvatures of the rows' log likelihoods in their means, estimates have variance
    V / (N J^2), with V the mean square of the slopes and J the mean curvature, and the posterior
    has variance 1 / (N J). Both agree if the noise is Student-t. Of outliers among Gaussian noise
    V is larger than J; the likelihood to the power of J / V then has the right width (Lyddon,
    Holmes and Walker, "General Bayesian updating and the loss-likelihood bootstrap", Biometrika
    2019).

    Parameters
    ----------
    residual : ndarray, shape (n,)
    log_noise : ndarray, shape (2,)
        Log scale and log degrees of freedom.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=4000)
    >>> round(likelihood_power(noise, np.log([1.0, 100.0])), 1)
    1.0
    >>> noise[:200] += 20
    >>> round(likelihood_power(noise, np.log([0.74, 1.4])), 1)
    0.7
    """
    scale, df = np.exp(log_noise)
    squares = (residual / scale) ** 2
    slopes = (df + 1) * residual / scale / (df + squares)
    curvature = (df + 1) * (df - squares) / (df + squares) ** 2
    return float(np.clip(curvature.mean() / np.mean(slopes**2), MIN_POWER, 1.0))


def bounded_residuals(residual: Array, log_noise: Array) -> Array:
    """Residuals times their weights, over the expected information.

    The weight is (df + 1) / (df + r^2), with the residual r in units of the scale.
    """
    scale, df = np.exp(log_noise)
    weights = (df + 1) / (df + (residual / scale) ** 2)
    return np.asarray(residual * weights / _information(df))


def noise_potential(
    log_noise: Array, squares: Array, prior: GammaPrior, power: float = 1.0
) -> float:
    """Minus the log density of squared residuals and of log df, up to a constant.

    The likelihood of the residuals has the power ``power``.
    """
    scale, df = np.exp(log_noise)
    constant = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(df) - log_noise[0]
    logs = np.log1p(squares / (scale**2 * df)).sum()
    of_rows = 0.5 * (df + 1) * logs - len(squares) * constant
    return float(power * of_rows + prior.rate * df - prior.concentration * log_noise[1])


def _information(df: float) -> float:
    return (df + 1) / (df + 3)


def inverse_curvature(log_noise: Array, squares: Array, prior: GammaPrior, power: float) -> Array:
    """Inverse Hessian of :func:`noise_potential`, by central differences."""
    step = 0.02
    shifts = step * np.array([[1, 0], [0, 1], [1, 1]])
    centre = noise_potential(log_noise, squares, prior, power)
    one, other, both = (
        noise_potential(log_noise + shift, squares, prior, power)
        + noise_potential(log_noise - shift, squares, prior, power)
        - 2 * centre
        for shift in shifts
    )
    mixed = (both - one - other) / 2
    values, vectors = np.linalg.eigh(np.array([[one, mixed], [mixed, other]]) / step**2)
    # The rows may barely inform the degrees of freedom.
    return np.asarray(vectors / np.clip(values, 1.0, None) @ vectors.T)
