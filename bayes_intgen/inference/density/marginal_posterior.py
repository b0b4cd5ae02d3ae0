"""Marginal posterior of the hyperparameters: coefficients marginalised, rows as statistics."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from bayes_intgen._progress import bar_of_steps, stage
from bayes_intgen._typing import Array
from bayes_intgen.inference.density.log_density import (
    Evidence,
    FlatLayout,
    FlatPrior,
    LogDensity,
    MarginalDensity,
    MarginalPotential,
    MarginalPotentialAndDraw,
    ValueAndGrad,
    padded_size,
    padding_to,
)
from bayes_intgen.inference.gaussian.conditional import Conditional, log_marginal
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.models import Model
from bayes_intgen.models.hyperpriors import Hyperpriors
from bayes_intgen.models.terms import Decomposition

# Tolerance of a quick search for a mode: log density that one more step could add.
QUICK_TOLERANCE = 0.03
# Maximum distance of a search from the prior median, in prior standard deviations: farther out the
# prior density is negligible, and numbers overflow.
MAX_DISTANCE = 10
# Number of elements of the matrices that are factorised together: two megabytes, for the cache.
MAX_BATCH_SIZE = 2**18
# Step of forward differences in logarithms of hyperparameters.
HESSIAN_STEP = 1e-4
MAX_STEPS = 300
# Number of past steps in the approximation of the Hessian (SciPy's ``maxcor``).
MEMORY = 40
# Maximum component of the gradient at which a search ends whatever its last step gained.
GRADIENT_TOLERANCE = 1e-2


class MarginalPosterior:
    """Marginal posterior of the hyperparameters of a decomposition.

    Its argument is a flat vector of their logarithms, in the order of ``layout``.

    Parameters
    ----------
    priors : Hyperpriors
    sums : SufficientStatistics
        Of the columns of the same coefficients.
    terms : Decomposition
    """

    def __init__(
        self,
        priors: Hyperpriors,
        sums: SufficientStatistics,
        terms: Decomposition,
    ) -> None:
        self.priors, self.sums, self.terms = priors, sums, terms
        self.layout = FlatLayout.of(self.priors.start)
        self.prior = FlatPrior.of(priors, self.layout)
        self.start, self.prior_sd = self.prior.mean, self.prior.sd

    @classmethod
    def of(cls, model: Model, terms: Decomposition, sums: SufficientStatistics) -> Self:
        """Combine statistics with the priors of a model."""
        return cls(model.hyperpriors(terms), sums, terms)

    @property
    def size(self) -> int:
        """Number of coefficients P."""
        return len(self.priors.mean)

    @cached_property
    def centred(self) -> SufficientStatistics:
        """Sums centred at the prior mean."""
        return self.sums.centred_at(self.priors.mean)

    @cached_property
    def density(self) -> MarginalDensity:
        """Log density for NUTS, padded: fits of similar size share compiled programs."""
        size = padded_size(self.size)
        density = self.density_of(
            log_marginal,
            self.priors.padded(size),
            self.centred.padded(size),
            self.value_and_grad,
        )
        return MarginalDensity(
            **vars(density),
            potential_and_draw=MarginalPotentialAndDraw(FlatLayout.of(density.data[1].start)),
            n_coefficients=size,
            draw=self.draw,
        )

    def draw(self, flat: Array, rng: np.random.Generator) -> Array:
        """Draw the coefficients, shape (P,), given the hyperparameters, without compilation."""
        normal = rng.standard_normal((1, self.size))
        return np.asarray(self.conditional(self.sites(flat)).draw(normal)[0])

    def density_of(
        self,
        evidence: Evidence,
        priors: Hyperpriors,
        statistics: Any,
        value_and_grad: ValueAndGrad,
    ) -> LogDensity:
        """Log density with another evidence, of coefficients with these priors.

        Flat vectors of its potential are padded.
        """
        padding = padding_to(12, self.layout.size)
        priors = priors.with_more_scales(padding)
        return LogDensity(
            MarginalPotential(evidence, FlatLayout.of(priors.start)),
            (self.prior.padded(padding), priors, statistics),
            value_and_grad,
            padding,
        )

    def sites(self, flat: Array) -> dict[str, Array]:
        """Hyperparameters by name, from flat vectors (..., D)."""
        return self.layout.sites(np.exp(flat))

    def point(self, sites: Mapping[str, Any], terms: Decomposition) -> Array:
        """Starting point, shape (D,), from the hyperparameters of another decomposition.

        Hyperparameters that it lacks start at their prior medians.
        """
        start = self.start.copy()
        labels, own = labels_of(terms), labels_of(self.terms)
        for name, index in self.layout.positions.items():
            if name not in labels:
                start[index] = np.log(sites[name])
                continue
            values = dict(zip(labels[name], np.log(sites.get(name, ())), strict=True))
            for i, label in zip(index, own[name], strict=True):
                start[i] = values.get(label, start[i])
        return start

    def conditional(self, sites: Mapping[str, Any]) -> Conditional:
        """Conditional distribution of the coefficients given the hyperparameters."""
        log_sd = self.priors.log_sd(sites)
        return Conditional.of(self.centred, self.priors.mean, log_sd, float(sites["noise_sd"]))

    def moments(self, sites: Mapping[str, Any]) -> tuple[Array, Array]:
        """Mean and covariance of the coefficients given the hyperparameters."""
        conditional = self.conditional(sites)
        return conditional.mean, conditional.covariance

    def value(self, flat: Array) -> float:
        """Minus the log density."""
        conditional = self.conditional(self.sites(flat))
        return float(-conditional.log_evidence - self.prior.log_density(flat))

    def map_conditionals[T](
        self, function: Callable[[Conditional, slice], T], points: Array
    ) -> list[T]:
        """Apply a function to the conditional distributions at a few points at a time, in threads.

        Parameters
        ----------
        function : callable
            Takes the conditional distributions, and the points they are of.
        points : ndarray, shape (n, D)
        """
        count = max(MAX_BATCH_SIZE // self.size**2, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            sites = self.sites(points)
            log_sd = np.broadcast_to(self.priors.log_sd(sites), (len(points), self.size))

        def of_batch(begin: int) -> T:
            at = slice(begin, begin + count)
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                noise_sd = sites["noise_sd"][at]
                here = Conditional.of(self.centred, self.priors.mean, log_sd[at], noise_sd)
                return function(here, at)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(of_batch, range(0, len(points), count)))

    def value_and_grad(self, flat: Array) -> tuple[float, Array]:
        """Minus the log density and its gradient, shape (D,), without compilation."""
        conditional = self.conditional(self.sites(flat))
        evidence = conditional.log_evidence, *conditional.gradient()
        return self.with_prior(flat, self.priors, *evidence)

    def with_prior(
        self,
        flat: Array,
        priors: Hyperpriors,
        log_evidence: float,
        towards_log_sd: Array,
        towards_noise: float,
    ) -> tuple[float, Array]:
        """Minus the log density and its gradient, from the log evidence and its derivatives.

        Parameters
        ----------
        flat : ndarray, shape (D,)
        priors : Hyperpriors
            Of the coefficients in ``towards_log_sd``.
        log_evidence : float
        towards_log_sd : ndarray, shape (number of coefficients,)
            Derivatives with respect to the log prior standard deviations.
        towards_noise : float
            Derivative with respect to the log standard deviation of the noise.
        """
        towards = priors.towards_sites(self.sites(flat), towards_log_sd)
        towards["noise_sd"] = np.asarray(towards_noise)
        gradient = (flat - self.start) / self.prior_sd**2 - self.layout.flat(towards)
        return float(-log_evidence - self.prior.log_density(flat)), gradient

    def mode(self, start: Array, progress: bool, tolerance: float = 1e-6) -> Array:
        """Search for the mode over the logarithms of the hyperparameters, shape (D,).

        The search from ``start`` ends if a step adds less than ``tolerance`` to the log density.
        """
        # In units in which the curvature is of order one the search takes a quarter of the
        # steps: prior sds, except for the noise, whose sd given N rows is 1 / sqrt(2 N).
        units = self.prior_sd.copy()
        noise = self.layout.positions["noise_sd"]
        units[noise] = np.minimum(units[noise], 4 / np.sqrt(2 * float(np.asarray(self.sums.rows))))
        reach = MAX_DISTANCE * self.prior_sd
        bounds = np.stack([self.start - reach, self.start + reach], axis=1) / units[:, None]
        with bar_of_steps("Search for the mode", progress, unit="steps") as bar:

            def value_and_grad(scaled: Array) -> tuple[float, Array]:
                bar.update()
                value, gradient = self.value_and_grad(scaled * units)
                return value, gradient * units

            return minimise(value_and_grad, start / units, tolerance, bounds)[0] * units

    def covariance(self, mode: Array) -> Array:
        """Inverse Hessian at the mode, at most twice the prior variance, shape (D, D).

        An initial estimate for the sampler.
        """
        units = np.outer(self.prior_sd, self.prior_sd)
        hessian = self.hessian(mode) * units
        values, vectors = np.linalg.eigh(hessian)
        root = self.prior_sd[:, None] * vectors / np.sqrt(np.clip(values, 0.5, None))
        return np.asarray(root @ root.T)

    def hessian(self, flat: Array) -> Array:
        """Hessian of minus the log density at one point, shape (D, D).

        Notes
        -----
        With respect to the log prior sds of the coefficients, the log evidence has the Hessian
        2 C^2 + 4 u C u', less twice the diagonal of C + u u', where C and u are the posterior
        covariance and mean in units of the prior sds, and the square is elementwise. Forward
        differences, which need no factorisation, give the dependence of these sds on the
        hyperparameters; those of the gradient give the row of the noise.
        """
        step, size = HESSIAN_STEP, len(flat)
        moved, noise = flat + step * np.eye(size), self.layout.positions["noise_sd"]
        conditional = self.conditional(self.sites(flat))
        evidence = conditional.log_evidence, *conditional.gradient()
        log_sd = self.priors.log_sd(self.sites(np.vstack([flat, moved])))
        slopes_of_log_sd = (log_sd[1:] - log_sd[0]) / step
        second = slopes_of_log_sd @ conditional.curvature() @ slopes_of_log_sd.T
        gradient, *gradients = (
            self.with_prior(at, self.priors, *evidence)[1] for at in (flat, *moved)
        )
        hessian = (np.array(gradients) - gradient) / step - second
        (row,) = (self.value_and_grad(at)[1] - gradient for at in moved[noise])
        hessian[noise], hessian[:, noise] = row / step, (row / step)[:, None]
        return np.asarray((hessian + hessian.T) / 2)


def labels_of(terms: Decomposition) -> dict[str, tuple[str, ...]]:
    """Labels of the scales and of the lengthscales, by site."""
    return {"scale": tuple(terms.scaled), "lengthscale": tuple(terms.lengthscales)}


class Mode(NamedTuple):
    """Mode of a marginal posterior, with the Laplace approximation about it.

    Attributes
    ----------
    point : ndarray, shape (D,)
        Logarithms of the hyperparameters.
    covariance : ndarray, shape (D, D)
        Inverse Hessian of minus the log density.
    """

    point: Array
    covariance: Array

    @classmethod
    def nearest(cls, posterior: MarginalPosterior, start: Array, progress: bool) -> Self:
        """Search for the mode from ``start``, shape (D,)."""
        with stage("Search for the mode", progress):
            point = posterior.mode(start, progress=False)
        return cls(point, posterior.covariance(point))

    def points(self, count: int, rng: np.random.Generator) -> Array:
        """Draw points from the Laplace approximation, shape (count, D)."""
        normal = rng.standard_normal((count, len(self.point)))
        return np.asarray(self.point + normal @ np.linalg.cholesky(self.covariance).T)


def minimise(
    value_and_grad: Callable[[Array], tuple[float, Array]],
    start: Array,
    tolerance: float,
    bounds: Array | None = None,
) -> tuple[Array, float]:
    """Minimise a smooth function in coordinates in which its curvature is of order one.

    Parameters
    ----------
    value_and_grad : callable
    start : ndarray, shape (D,)
    tolerance : float
        Minimum gain of a step, in units of the function. SciPy's own tolerance is relative to the
        value of the function, which may be near zero.
    bounds : ndarray, shape (D, 2), optional

    Returns
    -------
    point : ndarray, shape (D,)
    value : float

    Examples
    --------
    >>> point, value = minimise(lambda x: (float(x @ x), 2 * x), np.ones(2), tolerance=1e-6)
    >>> round(value, 6)
    0.0
    """
    values: list[float] = []

    def evaluate(point: Array) -> tuple[float, Array]:
        value, gradient = value_and_grad(point)
        if not values:
            values.append(value)
        return value, gradient

    def end(intermediate_result: OptimizeResult) -> None:
        values.append(float(intermediate_result.fun))
        if values[-2] - values[-1] < tolerance:
            raise StopIteration

    result = minimize(
        evaluate,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        callback=end,
        options={"maxiter": MAX_STEPS, "maxcor": MEMORY, "ftol": 0.0, "gtol": GRADIENT_TOLERANCE},
    )
    return np.asarray(result.x), float(result.fun)
