"""Quantiles of an outcome whose law is a mixture over draws, exactly and without a seed.

Given draw s of the posterior the outcome is mean_s + sd_s E, with E standardised noise. What is
predicted of it is the mixture of these laws over the draws, with distribution function

    F(y) = 1/S sum_s G_s((y - mean_s) / sd_s),

and its quantile at p is where F reaches p. Quantiles of simulated outcomes tend to these.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import special
from scipy.optimize.elementwise import bracket_root, find_root

from bayes_intgen._typing import Array

# Distribution function of the standardised noise of every draw, (draws, n) to the same shape.
Distribution = Callable[[Array], Array]


def tabulated(quantiles: Array) -> Distribution:
    """Noise drawn by `draw_noise` from quantiles, shape (q,).

    Examples
    --------
    >>> float(tabulated(np.array([-1.0, 1.0]))(np.array(0.0)))
    0.5
    """
    probabilities = (np.arange(len(quantiles)) + 0.5) / len(quantiles)
    return lambda x: np.asarray(np.interp(x, quantiles, probabilities, left=0.0, right=1.0))


def student(df: Array) -> Distribution:
    """Student-t noise with degrees of freedom of each draw, shape (draws,).

    Examples
    --------
    >>> float(student(np.array([4.0]))(np.zeros((1, 1)))[0, 0])
    0.5
    """
    return lambda x: np.asarray(special.stdtr(df[:, None], x))


def mixture_quantiles(
    mean: Array, sd: Array, distribution: Distribution, probabilities: Sequence[float]
) -> Array:
    """Quantiles of mixtures over draws.

    Parameters
    ----------
    mean, sd : ndarray, shape (draws, n)
        Of the outcome in each draw; sd in the units of ``distribution``.
    distribution : callable
        :func:`tabulated` or :func:`student`.
    probabilities : sequence of float
        Between 0 and 1.

    Returns
    -------
    ndarray, shape (len(probabilities), n)
        Accurate to about the last digits of float64.

    Examples
    --------
    >>> zero, one = np.zeros((5, 1)), np.ones((5, 1))
    >>> uniform = tabulated(np.linspace(-1, 1, 1001))
    >>> mixture_quantiles(zero, one, uniform, [0.25, 0.5]).round(3).ravel() + 0
    array([-0.5,  0. ])
    """
    wanted, column = np.meshgrid(probabilities, np.arange(mean.shape[1]), indexing="ij")

    def excess(y: Array, p: Array, column: Array) -> Array:
        # The solver hands over the places that are not yet solved, of any shape.
        places = column.astype(int).ravel()
        standardised = (y.ravel() - mean[:, places]) / sd[:, places]
        return np.asarray(distribution(standardised).mean(axis=0).reshape(y.shape) - p)

    centre, reach = mean.mean(axis=0), mean.std(axis=0) + sd.mean(axis=0)
    bracket = bracket_root(
        excess,
        np.broadcast_to(centre - 3 * reach, wanted.shape),
        np.broadcast_to(centre + 3 * reach, wanted.shape),
        args=(wanted, column.astype(float)),
    ).bracket
    # To the last digits of the outcome's reach: of a quantile near zero no more is known.
    found = find_root(
        excess,
        bracket,
        args=(wanted, column.astype(float)),
        tolerances={"xatol": 1e-13 * float(reach.min()), "xrtol": 1e-15},
    )
    return np.asarray(found.x)
