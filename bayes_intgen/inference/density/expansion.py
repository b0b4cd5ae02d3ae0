"""Expansion of the marginal posterior about one point, and which coefficients to keep together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.factor import GaussianFactor

# Minimum prior variance, as a share of a coefficient's variance given the data alone. The data do
# not inform coefficients with narrower priors, and ratios of such priors would overflow.
MIN_VARIANCE_SHARE = 1e-4
# Minimum data precision of a coefficient, in units of the noise's, from which that variance is
# computed: the information of one row in which the basis function is one, its typical size. For a
# column that is zero up to rounding the inverse of the precision would overflow.
MIN_PRECISION = 1.0
# Maximum numbers of coefficients in a block, tried in this order.
SIZES = (24, 32, 40, 48, 56, 64, 80, 96)
# Maximum log density neglected between two terms in different blocks. With twice as much, chains
# far from the expansion point reached regions where the first-order terms fall without bound.
MAX_NEGLECTED = 0.025


@dataclass(frozen=True, eq=False)
class ExpansionPoint:
    """Posterior of the coefficients at one point of the hyperparameters.

    Attributes
    ----------
    posterior : MarginalPosterior
    sd, floor : ndarray, shape (P,)
        Prior standard deviations and minimum prior variances, in units of the noise's.
    factor : GaussianFactor
        Posterior of the coefficients minus their prior mean, in units of their prior standard
        deviations.
    covariance : ndarray, shape (P, P)
        Inverse of its precision.
    mean : ndarray, shape (P,)
        Difference between posterior and prior mean, in units of ``sd``.
    squares : float
        Penalised residual sum of squares, in the outcome's units.
    log_volume : float
        Log evidence without the sum of squares and without the noise's constant for each row.
    """

    posterior: MarginalPosterior
    sd: Array
    floor: Array
    factor: GaussianFactor
    covariance: Array
    mean: Array
    squares: float
    log_volume: float

    @classmethod
    def of(cls, posterior: MarginalPosterior, flat: Array) -> Self:
        """Evaluate at hyperparameters ``flat``, shape (D,).

        Raises
        ------
        LinAlgError
            If rounding leaves a precision that is not positive definite, or numbers overflow.
        """
        prior_sd, noise = _prior_sd(posterior, flat)
        noise_sd = float(noise)
        in_units_of_noise = posterior.centred.posterior(np.full(len(prior_sd), noise_sd), noise_sd)
        data_precision = np.diag(in_units_of_noise.matrix)[:-1] - 1
        floor = MIN_VARIANCE_SHARE / np.maximum(data_precision, MIN_PRECISION)
        sd = np.sqrt(prior_sd**2 + floor)
        factor = posterior.centred.posterior(sd * noise_sd, noise_sd)
        factorised = factor.factorise()
        if not np.isfinite(factorised.factor).all():
            raise np.linalg.LinAlgError("the precision of the coefficients overflows")
        squares = float(factorised.minimum) - 1
        per_row = np.log(2 * np.pi * noise_sd**2)
        return cls(
            posterior,
            sd,
            floor,
            factor,
            factorised.inverse.T @ factorised.inverse,
            noise_sd * factorised.mean,
            noise_sd**2 * squares,
            float(factorised.log_integral + (squares + posterior.sums.rows * per_row) / 2),
        )

    def data_precision(self, block: NDArray[np.int_]) -> Array:
        """Data precision of one block of coefficients, with the others marginalised.

        It solves for the others rather than inverting a block of the covariance, which is all but
        singular with many rows.
        """
        others = np.setdiff1d(np.arange(len(self.sd)), block)
        marginal, _ = self.factor.eliminate(others)
        return np.asarray(marginal.matrix[:-1, :-1] - np.eye(len(block)))

    def second_order_remainder(self, points: Array) -> Array:
        """Mean log density neglected if two coefficients are in different blocks, shape (P, P).

        Parameters
        ----------
        points : ndarray, shape (point, D)
            Hyperparameters over which the mean is taken.

        Notes
        -----
        The second-order terms, in the covariance of two coefficients, of the log determinant and
        the quadratic form, with every other covariance set to zero; see docs/method.md.
        """
        prior_sd, noise_sd = _prior_sd(self.posterior, points)
        precision_change = self.sd**2 / (prior_sd**2 + self.floor) - 1
        t = precision_change / (1 + precision_change * np.diag(self.covariance))
        size, square = np.abs(t), (t * self.mean / noise_sd[:, None]) ** 2
        quadratic = size.T @ square
        both = size.T @ size + quadratic + quadratic.T
        return np.asarray(self.covariance**2 * both / (2 * len(points)))


def _prior_sd(posterior: MarginalPosterior, flat: Array) -> tuple[Array, Array]:
    """Prior sds of the coefficients, shape (..., P), in units of the noise's, and those, (...)."""
    sites = posterior.sites(flat)
    noise_sd = sites["noise_sd"]
    return np.exp(posterior.priors.log_sd(sites)) / noise_sd[..., None], noise_sd


def coefficient_blocks(
    expansion: ExpansionPoint,
    points: Array,
    sizes: Sequence[int] = SIZES,
) -> list[NDArray[np.int_]]:
    """Partition the coefficients into blocks of whole terms, nearly independent a posteriori.

    Agglomerative clustering of terms with a size cap: the dependence of two terms is their share
    of the log density that the approximation by blocks neglects.

    Parameters
    ----------
    expansion : ExpansionPoint
    points : ndarray, shape (point, D)
        Hyperparameters dispersed like the expected draws.
    sizes : sequence of int
        Maximum sizes of a block. The first is taken with which no two terms in different blocks
        exceed ``MAX_NEGLECTED``, or the last if there is none. Larger terms raise the maximum to
        their own size.

    Returns
    -------
    list of ndarray of int
        Indices of the coefficients in each block, in ascending order.

    Raises
    ------
    LinAlgError
        If numbers overflow at one of the points.
    """
    terms, every = expansion.posterior.terms, np.arange(expansion.posterior.size)
    columns = [every[terms.columns[term.name]] for term in terms.terms]
    of_term = np.stack([np.isin(every, own) for own in columns], axis=1).astype(float)
    dependence = of_term.T @ expansion.second_order_remainder(points) @ of_term
    if not np.isfinite(dependence).all():
        raise np.linalg.LinAlgError("the dependence between terms overflows")
    counts = of_term.sum(axis=0)
    for size in sizes:
        clusters = partition(dependence, counts, max(size, int(counts.max())))
        between = dependence.copy()
        for cluster in clusters:
            between[np.ix_(cluster, cluster)] = 0
        if between.max() <= MAX_NEGLECTED:
            break
    return [np.sort(np.concatenate([columns[i] for i in cluster])) for cluster in clusters]


def partition(dependence: Array, sizes: Array, max_size: int) -> list[list[int]]:
    """Cluster items by single linkage, with a cap on the size of a cluster.

    The two most dependent clusters that fit together are merged, repeatedly.

    Parameters
    ----------
    dependence : ndarray, shape (n, n)
        Dependence of any two items: symmetric, finite, not negative.
    sizes : ndarray, shape (n,)
    max_size : int
        Maximum total size of a cluster of several items.

    Examples
    --------
    >>> dependence = np.array([[0, 1, 9, 0], [1, 0, 0, 5], [9, 0, 0, 0], [0, 5, 0, 0]])
    >>> partition(dependence, np.ones(4), max_size=3)
    [[0, 2], [1, 3]]
    """
    linkage, sizes = dependence.astype(float), sizes.astype(float)
    np.fill_diagonal(linkage, -np.inf)
    clusters = [[i] for i in range(len(sizes))]
    while True:
        linkage[sizes[:, None] + sizes > max_size] = -np.inf
        one, other = sorted(divmod(int(linkage.argmax()), len(sizes)))
        if linkage[one, other] < 0:
            return [cluster for cluster in clusters if cluster]
        clusters[one] += clusters[other]
        clusters[other] = []
        sizes[one] += sizes[other]
        linkage[one] = np.maximum(linkage[one], linkage[other])
        linkage[:, one] = linkage[one]
        linkage[one, one] = -np.inf
        # A merged cluster fits nowhere.
        sizes[other] = np.inf
