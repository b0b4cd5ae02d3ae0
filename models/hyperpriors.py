"""Hyperpriors, and the prior of the coefficients given the hyperparameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.models.mechanisms.mechanism import KernelName, log_spectral_sd, spectral_slope

# Fields of hyperpriors that have a value per coefficient.
PER_COEFFICIENT = ("mean", "fixed", "scale_of", "lengthscale_of", "frequency", "kernel_of")


class LogNormals(NamedTuple):
    """Log-normal priors of several hyperparameters: log medians and sds of the logarithm."""

    log_median: Array
    sigma: Array


# Gamma prior of the degrees of freedom of Student-t noise (Juárez and Steel 2010), by
# concentration and rate.
DEGREES_OF_FREEDOM = 2.0, 0.1


@dataclass(frozen=True, eq=False)
class Hyperpriors:
    """Priors of the hyperparameters, and the dependence of the coefficients' prior on them.

    Coefficient p is normal with mean ``mean[p]``. The logarithm of its standard deviation is the
    sum of ``fixed[p]``, its log scale and, for coefficients with a kernel, half the log spectral
    density.

    Attributes
    ----------
    scale, lengthscale : LogNormals
        S scales, in the outcome's units, and L lengthscales, in units of the action's coordinate.
    noise_sd : LogNormals
        A single value, in the outcome's units.
    mean, fixed : ndarray, shape (P,)
    scale_of, lengthscale_of : ndarray of int, shape (P,)
        Index of each coefficient's scale and lengthscale, counted from one; zero for none.
    frequency : ndarray, shape (P,)
        Square root of the Laplacian's eigenvalue, for coefficients with a kernel.
    kernel_of : ndarray of int, shape (P,)
        Index into ``kernels``.
    kernels : tuple of str
    """

    scale: LogNormals
    lengthscale: LogNormals
    noise_sd: LogNormals
    mean: Array
    fixed: Array
    scale_of: Array
    lengthscale_of: Array
    frequency: Array
    kernel_of: Array
    kernels: tuple[KernelName, ...]

    @property
    def sites(self) -> dict[str, LogNormals]:
        """Priors by site, without sites that have no hyperparameters."""
        priors = {"scale": self.scale, "lengthscale": self.lengthscale, "noise_sd": self.noise_sd}
        return {name: prior for name, prior in priors.items() if np.size(prior.sigma)}

    def log_sd(self, sites: Mapping[str, Any], xp: ModuleType = np) -> Any:
        """Log prior standard deviations of the coefficients, shape (..., P).

        Parameters
        ----------
        sites : mapping from site to array
            Scales, shape (..., S), and lengthscales, shape (..., L), if there are any. Leading
            dimensions are for NumPy alone.
        xp : module
            ``numpy`` or ``jax.numpy``.
        """
        take: Callable[..., Any] = partial(np.take, axis=-1) if xp is np else _by_product
        lead = np.shape(sites.get("scale", sites.get("lengthscale", np.zeros(0))))[:-1]
        none, one = xp.zeros((*lead, 0)), xp.ones((*lead, 1))
        # Index zero is for coefficients without this hyperparameter.
        log_scale = xp.concatenate([0 * one, xp.log(sites.get("scale", none))], axis=-1)
        lengthscale = xp.concatenate([one, sites.get("lengthscale", none)], axis=-1)
        lengths = take(lengthscale, self.lengthscale_of)
        log_sd = xp.asarray(self.fixed) + take(log_scale, self.scale_of)
        for i, kernel in enumerate(self.kernels):
            spectral = log_spectral_sd(kernel, self.frequency, lengths, xp)
            log_sd = log_sd + xp.where(self._has_kernel(i), spectral, 0.0)
        return log_sd

    def towards_sites(self, sites: Mapping[str, Any], towards_log_sd: Array) -> dict[str, Array]:
        """Derivatives with respect to log scales and log lengthscales, by the chain rule.

        Parameters
        ----------
        sites : mapping
        towards_log_sd : ndarray, shape (P,)
            Derivatives with respect to the coefficients' log standard deviations.
        """
        gradient = {"scale": _sum_by_index(towards_log_sd, self.scale_of, len(self.scale.sigma))}
        if len(self.lengthscale.sigma):
            lengths = np.concatenate([np.ones(1), sites["lengthscale"]])[self.lengthscale_of]
            slope = np.zeros(len(towards_log_sd))
            for i, kernel in enumerate(self.kernels):
                own = self._has_kernel(i)
                slope[own] = spectral_slope(kernel, self.frequency[own], lengths[own])
            gradient["lengthscale"] = _sum_by_index(
                towards_log_sd * slope, self.lengthscale_of, len(self.lengthscale.sigma)
            )
        return gradient

    def _has_kernel(self, kernel: int) -> Any:
        return (self.lengthscale_of > 0) & (self.kernel_of == kernel)

    def padded(self, size: int) -> "Hyperpriors":
        """Append coefficients without any effect, up to ``size`` in all."""
        padding = (0, size - len(self.mean))
        return self._map(lambda values: np.pad(values, padding))

    def with_more_scales(self, count: int) -> "Hyperpriors":
        """Append scales on which no coefficient depends, with standard normal logarithms."""
        log_median = np.append(self.scale.log_median, np.zeros(count))
        sigma = np.append(self.scale.sigma, np.ones(count))
        return replace(self, scale=LogNormals(log_median, sigma))

    def select(self, columns: NDArray[np.int_]) -> "Hyperpriors":
        """Restrict to a subset of the coefficients."""
        return self._map(lambda values: values[columns])

    def _map(self, function: Callable[[Array], Array]) -> "Hyperpriors":
        values: dict[str, Any] = {n: function(getattr(self, n)) for n in PER_COEFFICIENT}
        return replace(self, **values)


def _sum_by_index(values: Array, index: NDArray[Any], count: int) -> Array:
    """Sums of coefficients' values by hyperparameter, without index zero."""
    return np.asarray(np.bincount(index, values, count + 1)[1:])


def _by_product(values: Any, index: Any) -> Any:
    """Elements of an array of JAX, as a matrix product.

    Its derivative is one, too: the scatter-add of an indexed array's is slower when compiled.
    """
    return (index[:, None] == np.arange(len(values))) @ values
