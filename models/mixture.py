"""Exact quantiles of the posterior predictive distribution, a mixture over draws.

Given draw s of the posterior the outcome is mean_s + sd_s E, with E standardised noise. The
predictive distribution function is

    F(y) = 1/S sum_s G_s((y - mean_s) / sd_s),

and its quantile at p solves F(y) = p. Quantiles of simulated outcomes converge to these.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import scipy
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.models.sinh_arcsinh import SinhArcsinh


class DistributionFunction(Protocol):
    """Distribution function of noise in units of its scale, elementwise on arrays (draws, m).

    ``columns``, shape (m,), are the positions of the columns among those of the mixtures.
    """

    def __call__(self, x: Array, columns: NDArray[np.int_]) -> Array: ...


def tabulated_cdf(quantiles: Array) -> DistributionFunction:
    """Distribution function of noise from `draw_noise`, given its quantiles, shape (q,).

    Examples
    --------
    >>> float(tabulated_cdf(np.array([-1.0, 1.0]))(np.array(0.0), np.zeros(1, int)))
    0.5
    """
    probabilities = (np.arange(len(quantiles)) + 0.5) / len(quantiles)
    return lambda x, columns: np.asarray(
        np.interp(x, quantiles, probabilities, left=0.0, right=1.0)
    )


def student_t_cdf(df: Array) -> DistributionFunction:
    """Distribution function of Student-t noise, given degrees of freedom of shape (draws,).

    Examples
    --------
    >>> float(student_t_cdf(np.array([4.0]))(np.zeros((1, 1)), np.zeros(1, int))[0, 0])
    0.5
    """
    return lambda x, columns: np.asarray(scipy.special.stdtr(df[:, None], x))


def sinh_arcsinh_cdf(laws: SinhArcsinh) -> DistributionFunction:
    """Distribution function of noise in units of its scale, given laws of shape (draws, n).

    Examples
    --------
    >>> zero = np.zeros((1, 1))
    >>> float(sinh_arcsinh_cdf(SinhArcsinh(zero, zero, zero))(zero, np.zeros(1, int))[0, 0])
    0.5
    """
    tail, mean = np.exp(laws.log_tail), laws.mean

    def cdf(x: Array, columns: NDArray[np.int_]) -> Array:
        angle = np.arcsinh(x + mean[:, columns])
        return np.asarray(
            scipy.special.ndtr(np.sinh(tail[:, columns] * angle - laws.skewness[:, columns]))
        )

    return cdf


def mixture_quantiles(
    mean: Array, sd: Array, cdf: DistributionFunction, probabilities: Sequence[float]
) -> Array:
    """Quantiles of mixtures over draws.

    Parameters
    ----------
    mean, sd : ndarray, shape (draws, n)
        Mean and noise scale of the outcome in each draw.
    cdf : callable
        Distribution function of the noise: :func:`tabulated_cdf`, :func:`student_t_cdf` or
        :func:`sinh_arcsinh_cdf`.
    probabilities : sequence of float
        Between 0 and 1.

    Returns
    -------
    ndarray, shape (len(probabilities), n)
        Accurate to about the last digits of float64.

    Examples
    --------
    >>> zero, one = np.zeros((5, 1)), np.ones((5, 1))
    >>> uniform = tabulated_cdf(np.linspace(-1, 1, 1001))
    >>> mixture_quantiles(zero, one, uniform, [0.25, 0.5]).round(3).ravel() + 0
    array([-0.5,  0. ])
    """
    # Results without quantiles of outcomes do not wait for it.
    from scipy.optimize import elementwise

    p, column = np.meshgrid(probabilities, np.arange(mean.shape[1]), indexing="ij")

    def excess(y: Array, p: Array, column: Array) -> Array:
        # The solver passes only the elements that have not converged, in any shape.
        columns = column.astype(int).ravel()
        standardised = (y.ravel() - mean[:, columns]) / sd[:, columns]
        return np.asarray(cdf(standardised, columns).mean(axis=0).reshape(y.shape) - p)

    centre, reach = mean.mean(axis=0), mean.std(axis=0) + sd.mean(axis=0)
    bracket = elementwise.bracket_root(
        excess,
        np.broadcast_to(centre - 3 * reach, p.shape),
        np.broadcast_to(centre + 3 * reach, p.shape),
        args=(p, column.astype(float)),
    ).bracket
    # The absolute tolerance bounds the work for quantiles near zero.
    root = elementwise.find_root(
        excess,
        bracket,
        args=(p, column.astype(float)),
        tolerances={"xatol": 1e-13 * float(reach.min()), "xrtol": 1e-15},
    )
    return np.asarray(root.x)
