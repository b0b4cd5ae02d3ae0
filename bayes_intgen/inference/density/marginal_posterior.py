"""Marginal posterior of the hyperparameters, coefficients integrated out: target of the samplers.

Its argument is a flat vector of the logarithms of the hyperparameters. The density is that of
:meth:`bayes_intgen.models.Model.program` with the coefficients integrated out. NumPy evaluates
single points without compilation. For NUTS, JAX evaluates the same density of padded arrays, which
are arguments of compiled programs: a second fit of about the same size compiles nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.errors import BayesIntgenError
from bayes_intgen.inference.gaussian.conditional import Conditional
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.models import Model
from bayes_intgen.models.hyperpriors import FlatPrior, Hyperpriors, log_sd_of
from bayes_intgen.models.terms import Decomposition

# Number of elements of the matrices that are factorised together: two megabytes, for the cache.
MAX_BATCH_SIZE = 2**18
# Step of forward differences in logarithms of hyperparameters.
HESSIAN_STEP = 1e-4
# Number of hyperparameters to multiples of which compiled densities are padded.
SITE_STEP = 24
# Processes that have run compiled programs, of which a forked child inherits its parent's.
_STARTED: set[int] = set()


def padded_size(count: int) -> int:
    """Number of coefficients to which statistics are padded: fits of similar size share programs.

    Examples
    --------
    >>> [padded_size(count) for count in (50, 100, 150)]
    [64, 128, 192]
    """
    step = 16 if count <= 64 else 64
    return -(-count // step) * step


def log_evidence(statistics: Any, log_sd: jax.Array, noise_sd: ArrayLike) -> jax.Array:
    """Log evidence whose derivatives are slopes in closed form, instead of those of its steps."""
    arguments = log_sd, jnp.log(noise_sd)
    constants = tuple(map(lax.stop_gradient, arguments))
    value, *slopes = statistics.evidence_and_slopes(constants[0], lax.stop_gradient(noise_sd), jnp)
    for slope, argument, constant in zip(slopes, arguments, constants, strict=True):
        # Zero, with a derivative of one.
        value = value + jnp.vdot(slope, argument - constant)
    return jnp.asarray(value)


@dataclass(frozen=True, eq=False)
class Density:
    """Log density of the hyperparameters, exact or approximate.

    Attributes
    ----------
    priors : Hyperpriors
        Of P coefficients.
    statistics : SufficientStatistics or BlockStatistics
        Of the same coefficients. ``evidence_and_slopes`` is the log density of all outcomes with
        the coefficients integrated out, exact or approximate, and its derivatives.
    """

    priors: Hyperpriors
    statistics: Any

    def sites(self, flat: Array) -> dict[str, Array]:
        """Hyperparameters by name, from flat vectors (..., D) of their logarithms."""
        every = np.exp(flat)
        return {name: every[..., index] for name, index in self.priors.positions.items()}

    def value_and_grad(self, flat: Array) -> tuple[float, Array]:
        """Minus the log density and its gradient, shape (D,), without compilation."""
        sites = self.sites(flat)
        log_sd, noise_sd = self.priors.log_sd(sites), float(sites["noise_sd"])
        # Far from the mode numbers overflow, as in the compiled program: no draw is accepted there.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            evidence, *slopes = self.statistics.evidence_and_slopes(log_sd, noise_sd)
        value = float(-evidence - self.priors.flat.log_density(flat))
        return value, self.gradient(flat, *slopes)

    def gradient(self, flat: Array, towards_log_sd: Array, towards_noise: Any) -> Array:
        """Gradient of minus the log density, from the derivatives of the log evidence.

        Parameters
        ----------
        flat : ndarray, shape (D,)
        towards_log_sd : ndarray, shape (P,)
            Derivatives with respect to the log prior standard deviations of the coefficients.
        towards_noise : float
            Derivative with respect to the log standard deviation of the noise.
        """
        towards = self.priors.towards_sites(self.sites(flat), towards_log_sd)
        towards["noise_sd"] = np.asarray(towards_noise)
        prior, every = self.priors.flat, [np.ravel(towards[name]) for name in self.priors.positions]
        return np.asarray((flat - prior.mean) / prior.sd**2 - np.concatenate(every))

    @cached_property
    def compiled(self) -> CompiledDensity:
        """The same density for compiled programs."""
        return CompiledDensity.of(self.priors, self.statistics)


class CompiledDensity(NamedTuple):
    """Log density of padded flat vectors, for compiled programs.

    Densities of similar size share a program: numbers say which hyperparameter is which. Vectors
    are padded by standard normal hyperparameters, on which nothing depends.

    Attributes
    ----------
    prior : FlatPrior
    scale_of, lengthscale_of : (P, D)
        One for the hyperparameter that is the scale or lengthscale of a coefficient, zero for the
        others.
    noise_sd_of : (D,)
        The same for the noise.
    mean, fixed, frequency, roughness : (P,)
        Those of :class:`Hyperpriors`.
    statistics : SufficientStatistics or BlockStatistics
    """

    prior: FlatPrior
    scale_of: Any
    lengthscale_of: Any
    noise_sd_of: Any
    mean: Any
    fixed: Any
    frequency: Any
    roughness: Any
    statistics: Any

    @classmethod
    def of(cls, priors: Hyperpriors, statistics: Any) -> Self:
        """Arrange the priors of hyperparameters and P coefficients, and their statistics."""
        mean, sd, constant = priors.flat
        more = -len(mean) % SITE_STEP
        size = len(mean) + more

        def one_hot(site: str, index: NDArray[Any]) -> Array:
            """Rows for indices of hyperparameters of a site, counted from one; zero for none."""
            every = np.eye(size)[priors.positions.get(site, [])]
            return np.asarray(np.concatenate([np.zeros((1, size)), every])[index])

        return cls(
            FlatPrior(
                np.pad(mean, (0, more)), np.pad(sd, (0, more), constant_values=1.0), constant
            ),
            one_hot("scale", priors.scale_of),
            one_hot("lengthscale", priors.lengthscale_of),
            np.eye(size)[priors.positions["noise_sd"]],
            priors.mean,
            priors.fixed,
            priors.frequency,
            priors.roughness,
            statistics,
        )

    @property
    def size(self) -> int:
        """Length D of flat vectors."""
        return len(self.prior.mean)

    def potential(self, flat: jax.Array) -> jax.Array:
        """Minus the log density, in JAX."""
        evidence = log_evidence(self.statistics, *self._sds(flat))
        return jnp.asarray(-self.prior.log_density(flat) - evidence)

    def potential_and_draw(self, flat: jax.Array, normal: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Minus the log density, and the coefficients from standard normal numbers, in JAX.

        For sufficient statistics.
        """
        log_sd, noise_sd = self._sds(flat)
        sd = jnp.exp(log_sd)
        posterior = self.statistics.posterior(sd, noise_sd, jnp).factorise(jnp)
        potential = -self.prior.log_density(flat) - posterior.log_integral
        return potential, jnp.asarray(self.mean) + sd * posterior.draw(normal)

    def _sds(self, flat: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Log prior sds of the coefficients, shape (P,), and ``noise_sd``, shape (), in JAX."""
        log_scale, log_length = self.scale_of @ flat, self.lengthscale_of @ flat
        sds = log_sd_of(self.fixed, self.frequency, self.roughness, log_scale, log_length, jnp)
        return sds, jnp.exp(self.noise_sd_of @ flat)


@contextmanager
def on_cpu() -> Iterator[None]:
    """Compute in double precision on the CPU; on another device if JAX has no CPU.

    An accelerator would be idle between the steps most of the time. JAX's own settings stay as they
    are: whatever the caller allows JAX to promote or transfer, and with whatever precision it
    multiplies matrices, results are the same.

    Raises
    ------
    BayesIntgenError
        In a process forked from one that has run compiled programs, whose threads it lacks: it
        would wait for them forever. Also if JAX's platform is not available.
    """
    if _STARTED and os.getpid() not in _STARTED:
        raise BayesIntgenError(
            "this process was forked from one that had fitted, and would hang; start processes "
            'with multiprocessing.get_context("spawn")'
        )
    _STARTED.add(os.getpid())
    try:
        jax.local_devices()
    except (RuntimeError, AssertionError) as error:
        platforms = jax.config.jax_platforms or os.environ.get("JAX_PLATFORMS")
        raise BayesIntgenError(
            f"JAX cannot start on the platform {platforms!r}"
            f"{f' ({error})' if str(error) else ''}; set JAX_PLATFORMS=cpu"
        ) from error
    try:
        device = jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:
        device = nullcontext()
    with (
        jax.enable_x64(True),
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
        jax.transfer_guard("allow"),
        jax.default_matmul_precision(None),
        jax.threefry_partitionable(True),
        device,
    ):
        yield


@dataclass(frozen=True, eq=False)
class MarginalPosterior(Density):
    """Exact log density of the hyperparameters, which can draw the coefficients given them.

    Its statistics are :class:`SufficientStatistics`, centred at the prior mean.

    Attributes
    ----------
    sums : SufficientStatistics
        Not centred.
    terms : Decomposition
        Terms of the coefficients.
    """

    sums: SufficientStatistics
    terms: Decomposition

    @classmethod
    def of(cls, model: Model, terms: Decomposition, sums: SufficientStatistics) -> Self:
        """Combine statistics with the priors of a model."""
        return cls.given(terms.hyperpriors(model.noise_scale), sums, terms)

    @classmethod
    def given(cls, priors: Hyperpriors, sums: SufficientStatistics, terms: Decomposition) -> Self:
        """Combine priors with sufficient statistics of the columns of the same coefficients."""
        return cls(priors, sums.centred_at(priors.mean), sums, terms)

    @property
    def start(self) -> Array:
        """Logarithms of the hyperparameters at their prior medians, shape (D,)."""
        return np.asarray(self.priors.flat.mean)

    def value(self, flat: Array) -> float:
        """Minus the log density, without the time of its gradient."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            evidence = self.conditional(self.sites(flat)).posterior.log_integral
        return float(-evidence - self.priors.flat.log_density(flat))

    def conditional(self, sites: Mapping[str, Any]) -> Conditional:
        """Conditional distribution of the coefficients given the hyperparameters."""
        mean, log_sd = self.priors.mean, self.priors.log_sd(sites)
        return Conditional.of(self.statistics, mean, log_sd, float(sites["noise_sd"]))

    def evaluate(
        self, points: Array, counts: NDArray[np.int_], rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Minus the log density at points, and draws of the coefficients with the same factors.

        A few points at a time, in threads.

        Parameters
        ----------
        points : ndarray, shape (n, D)
        counts : ndarray of int, shape (n,)
            Number of draws at each point.
        rng : Generator

        Returns
        -------
        values : ndarray, shape (n,)
            NaN where numbers overflow.
        draws : ndarray, shape (n, largest count, P)
        """
        size = len(self.priors.mean)
        normal = np.zeros((len(points), counts.max(), size))
        for numbers, count in zip(normal, counts, strict=True):
            numbers[:count] = rng.standard_normal((count, size))
        evidence, draws = np.empty(len(points)), np.empty_like(normal)
        with np.errstate(over="ignore", invalid="ignore"):
            sites = self.sites(points)
            log_sd = np.broadcast_to(self.priors.log_sd(sites), (len(points), size))

        def evaluate(batch: slice) -> None:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                mean, noise_sd = self.priors.mean, sites["noise_sd"][batch]
                conditional = Conditional.of(self.statistics, mean, log_sd[batch], noise_sd)
                draws[batch] = conditional.draw(normal[batch])
                evidence[batch] = conditional.posterior.log_integral

        step = max(MAX_BATCH_SIZE // size**2, 1)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            batches = (slice(begin, begin + step) for begin in range(0, len(points), step))
            # Consumed for the errors of the threads.
            list(pool.map(evaluate, batches))
        return np.asarray(-evidence - self.priors.flat.log_density(points)), draws

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
        moved, noise = flat + step * np.eye(size), self.priors.positions["noise_sd"]
        conditional = self.conditional(self.sites(flat))
        slopes = self.statistics.slopes(conditional.sd, conditional.posterior)
        log_sd = self.priors.log_sd(self.sites(np.vstack([flat, moved])))
        slopes_of_log_sd = (log_sd[1:] - log_sd[0]) / step
        second = slopes_of_log_sd @ conditional.curvature() @ slopes_of_log_sd.T
        gradient, *gradients = (self.gradient(point, *slopes) for point in (flat, *moved))
        hessian = (np.array(gradients) - gradient) / step - second
        row = (self.value_and_grad(moved[noise])[1] - gradient) / step
        hessian[noise], hessian[:, noise] = row, row
        return np.asarray((hessian + hessian.T) / 2)

    @cached_property
    def compiled(self) -> CompiledDensity:
        size = padded_size(len(self.priors.mean))
        return CompiledDensity.of(self.priors.padded(size), self.statistics.padded(size))

    def point(self, sites: Mapping[str, Any], terms: Decomposition) -> Array:
        """Starting point, shape (D,), from the hyperparameters of another decomposition.

        Hyperparameters that it lacks start at their prior medians.
        """
        start, positions, now = self.start.copy(), self.priors.positions, self.terms
        start[positions["noise_sd"]] = np.log(sites["noise_sd"])
        for name, before, labels in (
            ("scale", terms.scales, now.scales),
            ("lengthscale", terms.lengthscales, now.lengthscales),
        ):
            values = dict(zip(before, np.log(sites.get(name, ())), strict=True))
            for i, label in zip(positions.get(name, ()), labels, strict=True):
                start[i] = values.get(label, start[i])
        return start
