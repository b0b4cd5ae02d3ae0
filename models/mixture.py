"""Exact quantiles of the posterior predictive distribution, a mixture over draws.

Given draw s of the posterior the outcome is mean_s + sd_s E, with E standardised noise. The
predictive distribution function is

    F(y) = 1/S sum_s G_s((y - mean_s) / sd_s),

and its quantile at p solves F(y) = p. Quantiles of simulated outcomes converge to these.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from bayes_intgen._typing import Array

# Distribution function of noise in units of its scale, elementwise.
DistributionFunction = Callable[[Array], Array]


def tabulated_cdf(quantiles: Array) -> DistributionFunction:
    """Distribution function of noise from `draw_noise`, given its quantiles, shape (q,).

    Examples
    --------
    >>> float(tabulated_cdf(np.array([-1.0, 1.0]))(np.array(0.0)))
    0.5
    """
    probabilities = (np.arange(len(quantiles)) + 0.5) / len(quantiles)
    return lambda x: np.asarray(np.interp(x, quantiles, probabilities, left=0.0, right=1.0))


class StudentTLaw(NamedTuple):
    """Law of Student-t noise, in units of Gaussian noise that says as much about the mean.

    Attributes
    ----------
    df : float
        Degrees of freedom.
    relative_scale : float
    """

    df: float
    relative_scale: float

    def cdf(self, x: Array) -> Array:
        """Distribution function.

        Examples
        --------
        >>> float(StudentTLaw(4.0, 0.8).cdf(np.zeros(1))[0])
        0.5
        """
        return np.asarray(scipy.special.stdtr(self.df, x / self.relative_scale))

    @property
    def variance(self) -> float:
        """Variance; infinite below two degrees of freedom, and large there."""
        return self.relative_scale**2 * self.df / max(self.df - 2, 0.1)


def mixture_quantiles(
    mean: Array, sd: Array, cdf: DistributionFunction, probabilities: Sequence[float]
) -> Array:
    """Quantiles of mixtures over draws.

    Parameters
    ----------
    mean, sd : ndarray, shape (draws, n)
        Mean and noise scale of the outcome in each draw.
    cdf : callable
        Distribution function of the noise: :func:`tabulated_cdf` or :meth:`StudentTLaw.cdf`.
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
    # Most questions need no solver, which takes 0.4 s to import.
    from scipy.optimize.elementwise import bracket_root, find_root

    centre, reach = mean.mean(axis=0), mean.std(axis=0) + sd.mean(axis=0)

    def quantile(p: float) -> Array:
        def excess(y: Array, points: NDArray[np.int_]) -> Array:
            points = points.astype(int)
            return cdf((y - mean[:, points]) / sd[:, points]).mean(axis=0) - p

        ends, points = (centre - 3 * reach, centre + 3 * reach), (np.arange(len(centre)),)
        bracket = bracket_root(excess, *ends, args=points).bracket
        return np.asarray(find_root(excess, bracket, args=points).x)

    return np.array([quantile(p) for p in probabilities])
