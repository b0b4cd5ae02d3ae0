"""Laws of the outcome: what depends on its noise, its link and the values that it can take.

The terms of a model add up to a predictor, and a variance function gives the standard deviation of
the noise in each row. A law says on which scale rows are fitted, and what single outcomes are:

- numbers, the predictor plus noise (:class:`OutcomeLaw`);
- positive numbers, of which the logarithm is such a number (:class:`MultiplicativeLaw`);
- zeros and ones, of which the predictor is the probability of a one (:class:`BinaryLaw`);
- counts (:class:`CountLaw`).

The noise of numbers has the distribution of all standardised residuals, or a Student-t
distribution. Quantiles of outcomes are those of the posterior predictive distribution, a mixture
over draws: with mean_s and sd_s in draw s, they solve F(y) = 1/S sum_s G((y - mean_s) / sd_s) = p.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import ClassVar, Literal, NamedTuple, Self

import numpy as np
import scipy
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayes_intgen._arguments import MAX_MAGNITUDE
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations, OutcomeKind, Rows
from bayes_intgen.errors import DataError, ModelError
from bayes_intgen.text.formats import format_number
from bayes_intgen.text.messages import option

Link = Literal["identity", "log"]
Noise = Literal["gaussian", "student_t"]
# Number of quantiles that represent the noise distribution, and logarithms of the standard
# deviations at which its cumulant generating function is tabulated.
N_QUANTILES = 1000
LOG_SDS = np.linspace(-7, 7, N_QUANTILES)
# Smallest mean of a count, and smallest relative difference of its variance from its mean: Poisson
# numbers are the limit of zero.
MIN_MEAN, MIN_DISPERSION = 1e-9, 1e-6


@dataclass(frozen=True, eq=False)
class ResidualNoise:
    """Distribution of standardised residuals, by evenly spaced quantiles.

    Gaussian noise is a good approximation for estimating the mean and the variance, and for
    comparing models, but not for predicting single outcomes.

    Attributes
    ----------
    quantiles : ndarray, shape (q,)
    """

    quantiles: Array
    relative_scale: ClassVar[float] = 1.0
    variance: ClassVar[float] = 1.0

    @classmethod
    def of(cls, residuals: Array, relative_variance: Array) -> Self:
        """Learn from the residuals of rows: quantiles with mean 0 and variance 1."""
        standardised = residuals / np.sqrt(relative_variance)
        probabilities = (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES
        quantiles = np.quantile(standardised, probabilities)
        return cls(np.asarray((quantiles - quantiles.mean()) / quantiles.std()))

    @property
    def probabilities(self) -> Array:
        """Probabilities of the quantiles."""
        return np.asarray((np.arange(len(self.quantiles)) + 0.5) / len(self.quantiles))

    def draw(self, shape: tuple[int, ...], rng: Generator) -> Array:
        """Draw noise between the outermost quantiles, so without the tails beyond these."""
        return np.asarray(np.interp(rng.random(shape), self.probabilities, self.quantiles))

    def cdf(self, x: Array) -> Array:
        """Distribution function.

        Examples
        --------
        >>> float(ResidualNoise(np.array([-1.0, 1.0])).cdf(np.array(0.0)))
        0.5
        """
        return np.asarray(np.interp(x, self.quantiles, self.probabilities, left=0.0, right=1.0))

    @cached_property
    def cumulant_ratios(self) -> Array:
        """Values of :meth:`log_mean_exp` over those of Gaussian noise, at exp(LOG_SDS)."""
        noise = np.exp(LOG_SDS)[:, None] * self.quantiles
        mean = logsumexp(noise, axis=1) - np.log(len(self.quantiles))
        return np.asarray(2 * mean / np.exp(2 * LOG_SDS))

    def log_mean_exp(self, sd: Array) -> Array:
        """Logarithm of the mean of exp(sd times noise): ``sd^2 / 2`` if the noise is Gaussian.

        Examples
        --------
        >>> noise, sd = ResidualNoise(np.array([-1.0, 1.0])), np.array([0.1, 2.0])
        >>> bool(np.allclose(noise.log_mean_exp(sd), np.log(np.cosh(sd)), rtol=1e-4))
        True
        """
        return np.asarray(sd**2 / 2 * np.interp(np.log(sd), LOG_SDS, self.cumulant_ratios))

    def log_density(self, outcome: Array, mean: Array, sd: Array) -> Array:
        """Log density of Gaussian noise."""
        # The import takes half a second, and fits do not need it.
        from scipy import stats

        return np.asarray(stats.norm.logpdf(outcome, mean, sd))


class StudentTNoise(NamedTuple):
    """Student-t noise, in units of Gaussian noise that says as much about the mean.

    Attributes
    ----------
    df : float
        Degrees of freedom.
    relative_scale : float
    """

    df: float
    relative_scale: float

    @property
    def variance(self) -> float:
        """Variance; infinite below two degrees of freedom, and large there."""
        return self.relative_scale**2 * self.df / max(self.df - 2, 0.1)

    def draw(self, shape: tuple[int, ...], rng: Generator) -> Array:
        """Draw independent noise."""
        return np.asarray(self.relative_scale * rng.standard_t(self.df, shape))

    def cdf(self, x: Array) -> Array:
        """Distribution function.

        Examples
        --------
        >>> float(StudentTNoise(4.0, 0.8).cdf(np.zeros(1))[0])
        0.5
        """
        return np.asarray(scipy.special.stdtr(self.df, x / self.relative_scale))

    def log_mean_exp(self, sd: Array) -> Array:
        """Logarithm of the mean of exp(sd times noise), which is infinite."""
        return np.full(sd.shape, np.inf)

    def log_density(self, outcome: Array, mean: Array, sd: Array) -> Array:
        """Log density."""
        from scipy import stats

        return np.asarray(stats.t.logpdf(outcome, self.df, mean, self.relative_scale * sd))


@dataclass(frozen=True, eq=False)
class OutcomeLaw:
    """Law of a number, and base class of the other laws.

    Attributes
    ----------
    noise : ResidualNoise or StudentTNoise
    """

    kind: ClassVar[OutcomeKind] = "continuous"
    link: ClassVar[Link] = "identity"

    noise: ResidualNoise | StudentTNoise

    @classmethod
    def working_rows(cls, data: Rows) -> Rows:
        """Rows with their outcome on the scale on which the terms add up.

        Raises
        ------
        DataError, ModelError
            If the rows do not fit the law.
        """
        return data

    @classmethod
    def log_slope(cls, working: Array) -> Array | float:
        """Log derivative of the working outcome with respect to the outcome itself."""
        return 0.0

    def log_density(self, working: Array, predictor: Array, sd: Array) -> Array:
        """Log density of the outcome itself, given its value on the working scale."""
        density = self.noise.log_density(working, predictor, sd)
        return np.asarray(density + self.log_slope(working))

    def draw(self, predictor: Array, sd: Array, rng: Generator, units: Array | float = 1) -> Array:
        """Draw outcomes, shape (..., n), of rows that are means of several independent units."""
        noise = sd * self.noise.draw(predictor.shape, rng)
        return np.asarray(predictor + noise / np.sqrt(units))

    def quantiles(self, predictor: Array, sd: Array, probabilities: Sequence[float]) -> Array:
        """Quantiles of mixtures over draws.

        Parameters
        ----------
        predictor, sd : ndarray, shape (draws, n)
        probabilities : sequence of float
            Between 0 and 1.

        Returns
        -------
        ndarray, shape (len(probabilities), n)
            Accurate to about the last digits of float64.

        Examples
        --------
        >>> zero, one = np.zeros((5, 1)), np.ones((5, 1))
        >>> law = OutcomeLaw(ResidualNoise(np.linspace(-1, 1, 1001)))
        >>> law.quantiles(zero, one, [0.25, 0.5]).round(3).ravel() + 0
        array([-0.5,  0. ])
        """
        # Most questions need no solver, which takes 0.4 s to import.
        from scipy.optimize.elementwise import bracket_root, find_root

        centre = predictor.mean(axis=0)
        reach = predictor.std(axis=0) + sd.mean(axis=0)

        def quantile(p: float) -> Array:
            def excess(y: Array, points: NDArray[np.int_]) -> Array:
                points = points.astype(int)
                standardised = (y - predictor[:, points]) / sd[:, points]
                return self.noise.cdf(standardised).mean(axis=0) - p

            ends, points = (centre - 3 * reach, centre + 3 * reach), (np.arange(len(centre)),)
            bracket = bracket_root(excess, *ends, args=points).bracket
            return np.asarray(find_root(excess, bracket, args=points).x)

        return np.array([quantile(p) for p in probabilities])

    def summary(self, predictor: Array, sd: Array, tails: Sequence[float]) -> dict[str, Array]:
        """Columns of tables about single outcomes, (n,) each; arguments as :meth:`quantiles`.

        Both ends of a central interval, or the probability of a one.
        """
        ends = self.quantiles(predictor, sd, tails)
        return dict(zip(("outcome_low", "outcome_high"), ends, strict=True))

    def out_of_range(self, mean: Array) -> dict[str, NDArray[np.bool_]]:
        """Whether draws of the mean are impossible, by a name of what they exceed."""
        return {}


class MultiplicativeLaw(OutcomeLaw):
    """Law of a positive number whose logarithm is what the terms add up to."""

    link = "log"

    @classmethod
    def working_rows(cls, data: Rows) -> Rows:
        """Rows with the logarithm of their outcome.

        Raises
        ------
        DataError
            If an outcome is not positive.
        ModelError
            If rows are means of several units, or there are lift tests.

        Examples
        --------
        >>> rows = data.take(data.outcome > 0)
        >>> working = MultiplicativeLaw.working_rows(rows).in_memory
        >>> bool(np.allclose(np.exp(working.outcome), rows.outcome))
        True
        """
        if data.lift_tests:
            raise ModelError(
                "lift tests state changes of the outcome, not of its logarithm; fit "
                "models.additive(), or omit the lift tests"
            )
        if isinstance(data, Observations):
            return _with_log_outcome(data)
        return data.with_outcome(partial(_with_log_outcome, numbered=False))

    @classmethod
    def log_slope(cls, working: Array) -> Array | float:
        # The derivative of the logarithm is one over the outcome.
        return -working

    def draw(self, predictor: Array, sd: Array, rng: Generator, units: Array | float = 1) -> Array:
        return exponential(super().draw(predictor, sd, rng, units))

    def quantiles(self, predictor: Array, sd: Array, probabilities: Sequence[float]) -> Array:
        return exponential(super().quantiles(predictor, sd, probabilities))


def exponential(logarithm: Array) -> Array:
    """Exponential, within what floats hold: the tails of priors are longer.

    Examples
    --------
    >>> outcome = exponential(np.array([-1e4, 0.0, 1e4]))
    >>> bool(((outcome > 0) & np.isfinite(outcome)).all()), float(outcome[1])
    (True, 1.0)
    """
    floats = np.finfo(float)
    return np.asarray(np.exp(np.clip(logarithm, np.log(floats.tiny), np.log(floats.max))))


def _with_log_outcome(rows: Observations, numbered: bool = True) -> Observations:
    """Rows in memory with the logarithm of their outcome.

    ``numbered``: whether error messages may refer to row positions.
    """
    if rows.weights is not None and (rows.weights != 1).any():
        raise ModelError(
            "rows are means of several units (weights), and the logarithm of a mean is not the "
            "mean of logarithms; use one row per unit, or "
            + option("models.additive()", command="omit --multiplicative")
        )
    # Smaller ones are zeros that something has computed.
    refused = np.flatnonzero(~(rows.outcome >= 1 / MAX_MAGNITUDE))
    if refused.size:
        first = refused[0]
        place = f"row {first}" if numbered and rows.is_whole else "a row"
        raise DataError(
            "a multiplicative model needs positive outcomes, of at least "
            f"{format_number(1 / MAX_MAGNITUDE)}: "
            f"{rows.outcome_name!r} is {format_number(rows.outcome[first])} in {place} "
            f"({rows.label(rows.intervened[first])}), and below that in {refused.size} of "
            f"{len(rows)} rows; drop these rows, model zeros apart (as a 0/1 outcome), or "
            + option("use models.additive()", command="omit --multiplicative")
        )
    return replace(rows, outcome=np.log(rows.outcome), weights=None, within=None)


class BinaryLaw(OutcomeLaw):
    """Law of zeros and ones; probabilities outside [0, 1] are clipped."""

    kind = "binary"

    def draw(self, predictor: Array, sd: Array, rng: Generator, units: Array | float = 1) -> Array:
        return np.asarray(rng.random(predictor.shape) < predictor, dtype=np.float64)

    def quantiles(self, predictor: Array, sd: Array, probabilities: Sequence[float]) -> Array:
        ones = np.clip(predictor, 0, 1).mean(axis=0)
        return np.array([np.where(p > 1 - ones, 1.0, 0.0) for p in probabilities])

    def summary(self, predictor: Array, sd: Array, tails: Sequence[float]) -> dict[str, Array]:
        return {"probability": np.clip(predictor, 0, 1).mean(axis=0)}

    def out_of_range(self, mean: Array) -> dict[str, NDArray[np.bool_]]:
        return {"outside_0_1": (mean < 0) | (mean > 1)}


class CountLaw(OutcomeLaw):
    """Law of counts, by their mean and identified variance.

    Poisson where these are equal, negative binomial where the variance is larger, and binomial
    where it is smaller.
    """

    kind = "count"

    def draw(self, predictor: Array, sd: Array, rng: Generator, units: Array | float = 1) -> Array:
        mean, variance = np.broadcast_arrays(np.maximum(predictor, MIN_MEAN), self._variance(sd))
        shape, below = _parameters(mean, variance)
        # A negative binomial number is Poisson with a mean from a gamma law.
        out = rng.poisson(rng.gamma(shape) * mean / shape).astype(np.float64)
        # Binomial numbers need a whole number of trials: of both neighbours, at random.
        trials = np.maximum(np.floor(shape[below] + rng.random(int(below.sum()))), 1)
        trials = np.maximum(trials, np.ceil(mean[below]))
        out[below] = rng.binomial(trials.astype(np.int64), np.minimum(mean[below] / trials, 1))
        return np.asarray(out)

    def quantiles(self, predictor: Array, sd: Array, probabilities: Sequence[float]) -> Array:
        """Least counts with at least these probabilities."""
        p, variance = np.asarray(probabilities)[:, None], self._variance(sd)

        def below(counts: Array) -> Array:
            return np.array([count_cdf(predictor, variance, row).mean(axis=0) for row in counts])

        low = np.full((len(p), predictor.shape[1]), -1.0)
        high = np.full(low.shape, 1.0)
        while (short := below(high) < p).any():
            low, high = np.where(short, high, low), np.where(short, 2 * high + 1, high)
        while (high - low > 1).any():
            middle = np.floor((low + high) / 2)
            short = below(middle) < p
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        return high

    def _variance(self, sd: Array) -> Array:
        return np.asarray(self.noise.variance * sd**2)


def count_cdf(mean: Array, variance: Array, counts: Array) -> Array:
    """Probability of at most ``counts``, elementwise.

    Examples
    --------
    >>> from scipy.stats import poisson
    >>> two = np.array([2.0])
    >>> bool(abs(count_cdf(two, two, two) - poisson.cdf(2, 2)) < 1e-5)
    True
    """
    mean, variance, counts = np.broadcast_arrays(np.maximum(mean, MIN_MEAN), variance, counts)
    shape, below = _parameters(mean, variance)
    share = np.where(below, mean / np.maximum(shape, mean), shape / (shape + mean))
    # Parameters of the incomplete beta function; without trials left, the count is at most this.
    left = shape - counts
    certain = below & (left <= 0)
    first = np.where(below, np.where(certain, 1.0, left), shape)
    at = np.where(below, 1 - share, share)
    out = scipy.special.betainc(first, np.maximum(counts + 1, 1e-9), at)
    return np.where(counts < 0, 0.0, np.where(certain, 1.0, out))


def _parameters(mean: Array, variance: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Size of the negative binomial law or number of trials, and where it is the latter."""
    excess = variance - mean
    least = MIN_DISPERSION * mean
    below = excess < -least
    shape = mean**2 / np.maximum(np.abs(excess), least)
    return np.where(below, np.maximum(shape, mean), shape), below


# Law of numbers under each link.
LAWS: dict[Link, type[OutcomeLaw]] = {"identity": OutcomeLaw, "log": MultiplicativeLaw}
