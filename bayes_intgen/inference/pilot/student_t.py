"""Student-t noise as Gaussian rows: pseudo-values.

Pseudo-values are outcomes whose residuals are bounded: fitted values plus residuals times their
weights in the estimating equation, over the mean curvature J of the rows' log likelihoods. Least
squares on them have the same solution as the Student-t likelihood. Their variance is V / J^2, with
V the mean square of the slopes: the sandwich variance of that solution, which is right to first
order whether the noise is Student-t or has outliers of another kind (Huber, *Robust Statistics*,
1981, section 7.9). So whatever a fit does with Gaussian rows it does with them.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln

from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.errors import ModelError
from bayes_intgen.inference.density.mode import Mode
from bayes_intgen.inference.gaussian.conditional import Conditional
from bayes_intgen.inference.gaussian.factor import GaussianFactor
from bayes_intgen.inference.gaussian.passes import relative_noise_sd
from bayes_intgen.inference.pilot.residuals import NORMAL_MAD, column_sums, within_groups
from bayes_intgen.models.hyperpriors import DEGREES_OF_FREEDOM
from bayes_intgen.models.laws import StudentTNoise
from bayes_intgen.models.terms import Decomposition, RandomEffects
from bayes_intgen.models.variance_function import VarianceFunction
from bayes_intgen.text.formats import format_number
from bayes_intgen.text.messages import option

# Convergence threshold for changes of log scale and log degrees of freedom, and maximum number of
# iterations.
LOG_TOLERANCE, MAX_ITERATIONS = 0.01, 50
# Limit of residuals in Huber's estimate, in robust standard deviations, for an efficiency of 95%
# with normal noise, and maximum change of a fitted value at convergence.
HUBER, TOLERANCE = 1.345, 0.1
# Number of reweighted steps to the effects of groups.
GROUP_ITERATIONS = 10
# Distance from the median, in robust standard deviations, to which outcomes are clipped before the
# first fit. Their units and the first residuals then hardly depend on outliers.
MAX_DEVIATION = 4.0
# Minimum mean curvature, over that of Gaussian noise: it could be negative if the noise has several
# modes.
MIN_CURVATURE = 0.05


class StudentTFit(NamedTuple):
    """Student-t noise fitted to rows, at fixed hyperparameters.

    Attributes
    ----------
    terms : Decomposition
    mean : ndarray, shape (P,)
        Coefficients at the mode.
    spread : VarianceFunction
        Relative variance of the rows' noise.
    scale, df : float
        Scale and degrees of freedom of the noise.
    curvature : float
        Mean curvature J of the rows' log likelihoods, times the squared scale.
    square : float
        Mean square V of their slopes, likewise.
    """

    terms: Decomposition
    mean: Array
    spread: VarianceFunction
    scale: float
    df: float
    curvature: float
    square: float

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise of pseudo-values."""
        return float(self.scale * np.sqrt(self.square) / self.curvature)

    @property
    def law(self) -> StudentTNoise:
        """Distribution of the noise in units of that standard deviation."""
        return StudentTNoise(self.df, self.scale / self.noise_sd)

    def with_pseudo_values(self, data: Rows) -> Rows:
        """Replace the outcomes by pseudo-values, of rows out of memory when they are read."""
        return data.with_outcome(self.pseudo_values)

    def pseudo_values(self, rows: Observations) -> Observations:
        """Replace the outcomes of rows in memory by pseudo-values.

        Squares within rows are left out: outliers among the units of a row inflate them.
        """

        def fitted(batch: Observations) -> Array:
            design = self.terms.design(batch)
            return np.asarray(design @ self.mean + self.terms.centre)

        mean = np.concatenate(list(rows.map_batches(fitted, "Pseudo-values", False)))
        relative_sd = relative_noise_sd(self.spread, rows)
        residual = (rows.outcome - mean) / relative_sd
        groups = _Groups(rows, self.terms.random_effects, relative_sd)
        effects = groups.effects(residual, self.scale)
        pseudo = effects + self.bounded(residual - effects)
        return replace(rows, outcome=mean + relative_sd * pseudo, within=None)

    def bounded(self, residual: Array) -> Array:
        """Residuals of pseudo-values, in units of the same relative noise."""
        weights = (self.df + 1) / (self.df + (residual / self.scale) ** 2)
        return np.asarray(residual * weights / self.curvature)


class _Groups(NamedTuple):
    """Rows in units of their relative noise, and the effects of many groups, if there are any.

    Without them outliers would be judged by the spread of the groups.
    """

    rows: Observations
    random_effects: RandomEffects | None
    relative_sd: Array

    def within(self, columns: Array, weights: float | Array = 1.0) -> Array:
        """Subtract predicted effects from columns, shape (N, C)."""
        if self.random_effects is None:
            return columns
        sd = self.relative_sd[:, None]
        precision = weights / self.relative_sd**2
        return within_groups(self.rows, self.random_effects, columns * sd, precision) / sd

    def effects(self, residual: Array, scale: float) -> Array:
        """Predict effects from residuals, shape (N,), with Huber's weights.

        Those of Student-t noise would let the scale collapse where groups have few rows.
        """
        weights, effects = np.ones(len(residual)), np.zeros(len(residual))
        for _ in range(0 if self.random_effects is None else GROUP_ITERATIONS):
            effects = residual - self.within(residual[:, None], weights)[:, 0]
            weights = 1 / np.maximum(np.abs(residual - effects) / (HUBER * scale), 1)
        return effects

    @property
    def inflation(self) -> float:
        """Root of the number of rows over the degrees of freedom that the effects leave."""
        if self.random_effects is None:
            return 1.0
        count = len(self.rows)
        precision, none = self.relative_sd**-2.0, np.zeros((count, 1))
        zz = column_sums(self.rows, self.random_effects, none, precision).zz
        shrunk = np.linalg.solve(zz + np.diag(1 / np.array(self.random_effects.ratio)), zz)
        return float(np.sqrt(count / (count - np.trace(shrunk, axis1=1, axis2=2).sum())))


def clipped(rows: Observations) -> Observations:
    """Clip outcomes to a few robust standard deviations from their median.

    Squares within rows are left out.
    """
    rows = replace(rows, within=None)
    median = np.median(rows.outcome)
    deviation = MAX_DEVIATION * NORMAL_MAD * np.median(np.abs(rows.outcome - median))
    if not deviation > 0:
        return rows
    return replace(rows, outcome=rows.outcome.clip(median - deviation, median + deviation))


def refuse_shared_value(rows: Observations) -> None:
    """Raise ModelError if most outcomes are one value: others would be outliers, however many."""
    values, counts = np.unique(rows.outcome, return_counts=True)
    share = counts.max() / len(rows)
    if share > 0.5:
        raise ModelError(
            f"outcome {rows.outcome_name!r} is {format_number(values[counts.argmax()])} in "
            f"{share:.0%} of rows, and Student-t noise would treat all others as outliers; "
            + option("use noise='gaussian'", command="omit --noise")
        )


def fit_student_t(fit: Mode, rows: Observations, spread: VarianceFunction) -> StudentTFit:
    """Fit Student-t noise and coefficients at fixed scales and lengthscales.

    Each step fits the noise to the residuals, and the coefficients to pseudo-values. The first
    steps are those of Huber's estimate, whose loss is convex: of the modes of the Student-t
    likelihood the next is then that in which the fewest rows are outliers.

    Parameters
    ----------
    fit : Mode
    rows : Observations
        With their own outcomes.
    spread : VarianceFunction
    """
    terms, relative_sd = fit.terms, relative_noise_sd(spread, rows)
    matrix = terms.design(rows)
    scaled, target = matrix / relative_sd[:, None], (rows.outcome - terms.centre) / relative_sd
    groups = _Groups(rows, terms.random_effects, relative_sd)
    sums, within = fit.posterior.sums, groups.within(scaled)
    gram = scaled.T @ within
    prior_mean, log_sd = fit.posterior.priors.mean, fit.posterior.priors.log_sd(fit.sites)

    def fitted_to(pseudo: Array, noise_sd: float) -> Array:
        """Coefficients of the posterior mode with Gaussian noise."""
        factor = GaussianFactor.of(gram, within.T @ pseudo, pseudo @ pseudo, 0.0)
        centred = sums._replace(factor=factor).centred_at(prior_mean)
        return Conditional.of(centred, prior_mean, log_sd, noise_sd).mean

    def residual_of(mean: Array, scale: float) -> Array:
        residual = target - scaled @ mean
        return residual - groups.effects(residual, scale)

    mean = fit.conditional.mean
    residual = residual_of(mean, np.inf)
    for _ in range(MAX_ITERATIONS):
        previous, scale = residual, NORMAL_MAD * max(float(np.median(np.abs(residual))), 1e-300)
        bounded = residual.clip(-HUBER * scale, HUBER * scale)
        mean = fitted_to(target - residual + bounded, scale)
        residual = residual_of(mean, scale)
        if np.abs(residual - previous).max() < TOLERANCE * scale:
            break
    log_noise, inflation = np.log([scale, 4.0]), groups.inflation
    for _ in range(MAX_ITERATIONS):
        previous = log_noise
        log_noise = minimize(
            _potential, previous, (inflation * residual) ** 2, method="Nelder-Mead"
        ).x
        found = StudentTFit(terms, mean, spread, *_moments(inflation * residual, log_noise))
        mean = fitted_to(target - residual + found.bounded(residual), found.noise_sd)
        residual = residual_of(mean, found.scale)
        if np.abs(log_noise - previous).max() < LOG_TOLERANCE:
            break
    return found._replace(mean=mean)


def _moments(residual: Array, log_noise: Array) -> tuple[float, float, float, float]:
    """Scale and degrees of freedom, and the mean curvature and mean square slope of residuals."""
    scale, df = np.exp(log_noise)
    squares = (residual / scale) ** 2
    curvature = np.mean((df + 1) * (df - squares) / (df + squares) ** 2)
    square = np.mean((df + 1) ** 2 * squares / (df + squares) ** 2)
    return float(scale), float(df), max(float(curvature), MIN_CURVATURE), float(square)


def _potential(log_noise: Array, squares: Array) -> float:
    """Minus the log density of squared residuals and of log df, up to a constant."""
    scale, df = np.exp(log_noise)
    constant = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(df) - log_noise[0]
    logs = np.log1p(squares / (scale**2 * df)).sum()
    of_rows = 0.5 * (df + 1) * logs - len(squares) * constant
    concentration, rate = DEGREES_OF_FREEDOM
    return float(of_rows + rate * df - concentration * log_noise[1])
