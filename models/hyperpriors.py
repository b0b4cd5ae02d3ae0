"""Hyperpriors, and the prior of the coefficients given the hyperparameters."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.models.mechanisms.mechanism import spectral_decay, spectral_slope

# Fields of hyperpriors that have a value per coefficient.
PER_COEFFICIENT = ("mean", "fixed", "scale_of", "lengthscale_of", "frequency", "roughness")


class LogNormals(NamedTuple):
    """Log-normal priors of the hyperparameters of a site: log medians, sds of the logarithm."""

    log_median: Array
    sigma: Array


class FlatPrior(NamedTuple):
    """Prior of the logarithms of all hyperparameters in one vector: independent and normal.

    Arrays are of NumPy or JAX.

    Attributes
    ----------
    mean, sd : (D,)
    constant : ()
        Log of the normalising constant.
    """

    mean: Any
    sd: Any
    constant: Any

    def log_density(self, flat: Any) -> Any:
        """Evaluate the log density at vectors, shape (..., D)."""
        return self.constant - 0.5 * (((flat - self.mean) / self.sd) ** 2).sum(-1)


# Gamma prior of the degrees of freedom of Student-t noise (Juárez and Steel 2010), by
# concentration and rate.
DEGREES_OF_FREEDOM = 2.0, 0.1


@dataclass(frozen=True, eq=False)
class Hyperpriors:
    """Priors of the hyperparameters, and the dependence of the coefficients' prior on them.

    Coefficient p is normal with mean ``mean[p]``. The logarithm of its standard deviation is the
    sum of ``fixed[p]``, its log scale and, for coefficients with a kernel, half the log spectral
    density, whose constant is in ``fixed``.

    Attributes
    ----------
    sites : dict of LogNormals
        S of ``scale``, in the outcome's units, and L of ``lengthscale``, in units of the action's
        coordinate, unless there are none; a single value of ``noise_sd``, in the outcome's units.
    mean, fixed : ndarray, shape (P,)
    scale_of, lengthscale_of : ndarray of int, shape (P,)
        Index of each coefficient's scale and lengthscale, counted from one; zero for none.
    frequency : ndarray, shape (P,)
        Square root of the Laplacian's eigenvalue, zero for coefficients without a kernel.
    roughness : ndarray, shape (P,)
        Inverse of the smoothness of the kernel, zero for the squared exponential one.
    """

    sites: dict[str, LogNormals]
    mean: Array
    fixed: Array
    scale_of: NDArray[np.int_]
    lengthscale_of: NDArray[np.int_]
    frequency: Array
    roughness: Array

    @cached_property
    def flat(self) -> FlatPrior:
        """Prior of the vector of all hyperparameters, in the order of their names."""
        order = [prior for _, prior in sorted(self.sites.items())]
        mean = np.concatenate([np.ravel(prior.log_median) for prior in order])
        sd = np.concatenate([np.ravel(prior.sigma) for prior in order])
        constant = np.asarray(-np.sum(np.log(sd) + 0.5 * np.log(2 * np.pi)))
        return FlatPrior(mean, sd, constant)

    @cached_property
    def positions(self) -> dict[str, NDArray[np.int_]]:
        """Indices in that vector of the hyperparameters of each site, of the shape of the site."""
        out, begin = {}, 0
        for name, prior in sorted(self.sites.items()):
            end = begin + np.size(prior.sigma)
            out[name] = np.arange(begin, end).reshape(np.shape(prior.sigma))
            begin = end
        return out

    def log_sd(self, sites: Mapping[str, Any], xp: ModuleType = np) -> Any:
        """Log prior standard deviations of the coefficients, shape (..., P).

        Parameters
        ----------
        sites : mapping from site to array
            Scales, shape (..., S), and lengthscales, shape (..., L), if there are any, and the
            noise, shape (...). Leading dimensions are for NumPy alone.
        xp : module
            ``numpy`` or ``jax.numpy``.
        """
        # Index zero is for coefficients without this hyperparameter.
        zero = xp.zeros((*np.shape(sites["noise_sd"]), 1))

        def logs(site: str, index: NDArray[Any]) -> Any:
            values = xp.concatenate([zero, xp.log(sites[site])], -1) if site in sites else zero
            if xp is np:
                return np.take(values, index, -1)
            # Its derivative is a product, too: the scatter-add of an index is slower when compiled.
            return (index[:, None] == np.arange(len(values))) @ values

        log_length = logs("lengthscale", self.lengthscale_of)
        log_scale = logs("scale", self.scale_of)
        return log_sd_of(self.fixed, self.frequency, self.roughness, log_scale, log_length, xp)

    def towards_sites(self, sites: Mapping[str, Any], towards_log_sd: Array) -> dict[str, Array]:
        """Derivatives with respect to log scales and log lengthscales, by the chain rule.

        Parameters
        ----------
        sites : mapping
        towards_log_sd : ndarray, shape (P,)
            Derivatives with respect to the coefficients' log standard deviations.
        """
        by_coefficient = {"scale": (self.scale_of, towards_log_sd)}
        if "lengthscale" in sites:
            lengths = np.append(1.0, sites["lengthscale"])[self.lengthscale_of]
            slope = spectral_slope(self.roughness, (self.frequency * lengths) ** 2)
            by_coefficient["lengthscale"] = self.lengthscale_of, towards_log_sd * slope
        # Index zero is for coefficients without this hyperparameter.
        return {
            name: np.bincount(index, values, 1 + np.size(sites.get(name, ())))[1:]
            for name, (index, values) in by_coefficient.items()
        }

    def padded(self, size: int) -> "Hyperpriors":
        """Append coefficients without any effect, up to ``size`` in all."""
        padding = (0, size - len(self.mean))
        own: dict[str, Any] = {n: np.pad(getattr(self, n), padding) for n in PER_COEFFICIENT}
        return replace(self, **own)

    def select(self, columns: NDArray[np.int_]) -> "Hyperpriors":
        """Restrict to a subset of the coefficients."""
        own: dict[str, Any] = {n: getattr(self, n)[columns] for n in PER_COEFFICIENT}
        return replace(self, **own)


def log_sd_of(
    fixed: Any, frequency: Any, roughness: Any, log_scale: Any, log_length: Any, xp: ModuleType
) -> Any:
    """Log prior standard deviations of coefficients from their log scales and log lengthscales.

    Both are zero for coefficients without. All arguments have shape (..., P), of NumPy or JAX.
    """
    decay = spectral_decay(roughness, frequency**2 * xp.exp(2 * log_length), xp)
    return fixed + log_scale + 0.5 * (log_length - decay)
