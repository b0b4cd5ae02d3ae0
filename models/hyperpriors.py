"""What the hyperparameters are, and the prior of the coefficients that they give.

All of it is arrays: programs that take them as arguments are compiled once for every shape
and not again for every data set.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import getitem
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.models.mechanisms.kernels import KernelName, log_spectral_sd, spectral_slope


class LogNormals(NamedTuple):
    """Log-normal priors of several hyperparameters: log medians and sds of the logarithm."""

    log_median: Array
    sigma: Array


@dataclass(frozen=True, eq=False)
class Hyperpriors:
    """Priors of the hyperparameters, and how they set each coefficient's prior.

    Coefficient p is normal with mean ``mean[p]``; the logarithm of its standard deviation is
    ``fixed[p]``, plus the log scale that it follows, plus its log spectral density where a
    kernel shapes it.

    Attributes
    ----------
    scale, lengthscale : LogNormals
        S scales, in the outcome's units, and L lengthscales, in squashed coordinates.
    noise_sd : LogNormals
        Of one value; in the outcome's units.
    mean, fixed : ndarray, shape (P,)
    scale_of, lengthscale_of : ndarray of int, shape (P,)
        The hyperparameter that each coefficient follows, counted from one; zero for none.
    frequency : ndarray, shape (P,)
        Square roots of the Laplacian's eigenvalues, where a kernel shapes the coefficient.
    kernel_of : ndarray of int, shape (P,)
        Position in ``kernels``.
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
    def start(self) -> dict[str, Array]:
        """Logarithms of the hyperparameters at their prior medians, by site."""
        return {name: prior.log_median for name, prior in self.sites.items()}

    @property
    def prior_sd(self) -> dict[str, Array]:
        """Prior standard deviations of the hyperparameters' logarithms, by site."""
        return {name: prior.sigma for name, prior in self.sites.items()}

    @property
    def sites(self) -> dict[str, LogNormals]:
        """The priors by site, less those of which the model has none."""
        every = {
            "scale": self.scale,
            "lengthscale": self.lengthscale,
            "noise_sd": self.noise_sd,
        }
        return {name: prior for name, prior in every.items() if np.size(prior.sigma)}

    def log_sd(self, sites: Mapping[str, Any], xp: ModuleType = np) -> Any:
        """Log prior standard deviations of the coefficients, shape (P,).

        Parameters
        ----------
        sites : mapping from site to array
            Scales, shape (S,), and lengthscales, shape (L,), where there are any.
        xp : module
            ``numpy`` or ``jax.numpy``.
        """
        followed: Callable[..., Any] = getitem if xp is np else _followed
        none = xp.zeros(0)
        # Position zero stands for the coefficients that follow no hyperparameter.
        log_scale = xp.concatenate([xp.zeros(1), xp.log(sites.get("scale", none))])
        lengthscale = xp.concatenate([xp.ones(1), sites.get("lengthscale", none)])
        lengths = followed(lengthscale, self.lengthscale_of)
        log_sd = xp.asarray(self.fixed) + followed(log_scale, self.scale_of)
        for i, kernel in enumerate(self.kernels):
            spectral = log_spectral_sd(kernel, self.frequency, lengths, xp)
            log_sd = log_sd + xp.where(self._shaped_by(i), spectral, 0.0)
        return log_sd

    def towards_sites(self, sites: Mapping[str, Any], towards_log_sd: Array) -> dict[str, Array]:
        """Derivatives by the logarithms of scales and lengthscales, by the chain rule.

        Parameters
        ----------
        sites : mapping
        towards_log_sd : ndarray, shape (P,)
            Derivatives of some number by the coefficients' log standard deviations.
        """
        found = {"scale": _gathered(towards_log_sd, self.scale_of, len(self.scale.sigma))}
        if len(self.lengthscale.sigma):
            lengths = np.concatenate([np.ones(1), sites["lengthscale"]])[self.lengthscale_of]
            slope = np.zeros(len(towards_log_sd))
            for i, kernel in enumerate(self.kernels):
                shaped = self._shaped_by(i)
                slope[shaped] = spectral_slope(kernel, self.frequency[shaped], lengths[shaped])
            found["lengthscale"] = _gathered(
                towards_log_sd * slope, self.lengthscale_of, len(self.lengthscale.sigma)
            )
        return found

    def _shaped_by(self, kernel: int) -> Any:
        return (self.lengthscale_of > 0) & (self.kernel_of == kernel)

    def padded(self, size: int) -> "Hyperpriors":
        """The same with coefficients that touch nothing, ``size`` in all."""
        more = (0, size - len(self.mean))
        return self._of_each(lambda values: np.pad(values, more))

    def select(self, columns: NDArray[np.int_]) -> "Hyperpriors":
        """The same of some coefficients alone."""
        return self._of_each(lambda values: values[columns])

    def _of_each(self, change: Callable[[Array], Array]) -> "Hyperpriors":
        changed: dict[str, Any] = {n: change(getattr(self, n)) for n in _PER_COEFFICIENT}
        return replace(self, **changed)


@jax.custom_vjp
def _followed(values: jax.Array, owner: jax.Array) -> jax.Array:
    """The values of which coefficients follow one each.

    Differentiated as a product of matrices: adding up one by one is slower where it is compiled.
    """
    return values[owner]


def _followed_forward(
    values: jax.Array, owner: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return values[owner], (owner, jnp.arange(len(values)))


def _followed_backward(
    saved: tuple[jax.Array, jax.Array], cotangent: jax.Array
) -> tuple[jax.Array, None]:
    owner, every = saved
    return cotangent @ (owner[:, None] == every).astype(cotangent.dtype), None


_followed.defvjp(_followed_forward, _followed_backward)


def _gathered(values: Array, owner: NDArray[Any], count: int) -> Array:
    """Sums of coefficients' values by the hyperparameter that each follows."""
    return np.asarray(np.bincount(owner, values, count + 1)[1:])


_PER_COEFFICIENT = ("mean", "fixed", "scale_of", "lengthscale_of", "frequency", "kernel_of")

jax.tree_util.register_dataclass(
    Hyperpriors,
    data_fields=["scale", "lengthscale", "noise_sd", *_PER_COEFFICIENT],
    meta_fields=["kernels"],
)
