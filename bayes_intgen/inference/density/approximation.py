"""Approximation of a target: the normal distribution at its mode, and a cheaper density.

Integrating all coefficients out costs the cube of their number at every step. Here blocks of
coefficients that are nearly independent of each other are marginalised separately, and the
covariances between blocks enter to first order about one expansion point, at which value and
gradient are exact. NUTS samples this surrogate, and the exact density corrects it: delayed
acceptance (Christen and Fox, "Markov chain Monte Carlo using an approximation", JCGS 2005). See
docs/explanation/method.md for the derivation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.optimize import OptimizeResult, minimize

from bayes_intgen._typing import Array
from bayes_intgen._work import stage
from bayes_intgen.inference.density.marginal_posterior import (
    Density,
    MarginalPosterior,
    padded_size,
)
from bayes_intgen.inference.gaussian.factor import (
    GaussianFactor,
    inverse_and_log_det,
    swept_inverse_and_log_det,
)

# Tolerance of a quick search for a mode: log density that one more step could add.
QUICK_TOLERANCE = 0.03
# Maximum distance of a search from the prior median, in prior standard deviations: farther out the
# prior density is negligible, and numbers overflow.
MAX_DISTANCE = 10
MAX_STEPS = 300
# Number of past steps in the approximation of the Hessian (SciPy's ``maxcor``).
MEMORY = 40
# Maximum component of the gradient at which a search ends whatever its last step gained.
GRADIENT_TOLERANCE = 1e-2
# Minimum number of coefficients for a surrogate: with 70 a fit takes two thirds as long, with 30
# it takes longer.
MIN_COEFFICIENTS = 60
# Size to which smaller blocks are padded: most fits of two to five actions need no more.
MIN_PADDED = 64
# Minimum expected acceptance rate of a surrogate, and number of points at which it is estimated.
MIN_ACCEPTANCE_RATE, N_COMPARED = 0.6, 24
# Maximum ratio of data precision to prior precision in any direction. The cap changes derivatives
# of the density in the third digit, and the share of accepted proposals next to nothing. With
# 1e4 rounding in single precision left matrices of a fit to ten million rows not positive definite:
# three in four iterations diverged.
MAX_PRECISION_RATIO = 1e3
# Maximum ratio of prior standard deviations to those at the expansion point. Beyond it the log
# evidence continues linearly in their logarithms: rounding would leave no positive definite matrix.
# The gradient omits how these slopes depend on other prior standard deviations; trajectories are
# reversible and preserve volume with any force, so that NUTS samples the surrogate all the same.
MAX_SD_RATIO = 20.0
# Ratio of prior standard deviations below which the form for narrow priors has less rounding error.
NARROW_RATIO = 0.3
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
class Approximation:
    """Approximation of a target, from which samplers start.

    Attributes
    ----------
    point : ndarray, shape (D,)
        Mode: logarithms of the hyperparameters.
    covariance : ndarray, shape (D, D)
        Inverse Hessian of minus the log density at the mode, at most twice the prior variance.
    density : Density
        Density that NUTS samples, with a correction by the exact one: a cheaper one, or the target
        itself.
    """

    point: Array
    covariance: Array
    density: Density

    @classmethod
    def of(cls, target: MarginalPosterior, start: Array, progress: bool) -> Self:
        """Search for the mode from ``start``, shape (D,), and take the target itself as density."""
        with stage("Search for the mode", progress):
            point = find_mode(target, start, progress=False)
        prior_sd = target.priors.flat.sd
        hessian = target.hessian(point) * np.outer(prior_sd, prior_sd)
        values, vectors = np.linalg.eigh(hessian)
        root = prior_sd[:, None] * vectors / np.sqrt(np.clip(values, 0.5, None))
        return cls(point, np.asarray(root @ root.T), target)

    def points(self, count: int, rng: np.random.Generator) -> Array:
        """Draw points from the normal distribution, shape (count, D)."""
        normal = rng.standard_normal((count, len(self.point)))
        return np.asarray(self.point + normal @ np.linalg.cholesky(self.covariance).T)


def find_mode(
    target: MarginalPosterior, start: Array, progress: bool, tolerance: float = 1e-6
) -> Array:
    """Search for the mode over the logarithms of the hyperparameters, shape (D,).

    The search from ``start`` ends if a step adds less than ``tolerance`` to the log density.
    SciPy's own tolerance is relative to the value, which may be near zero.
    """
    # In units in which the curvature is of order one the search takes a quarter of the steps:
    # prior sds, except for the noise, whose sd given N rows is 1 / sqrt(2 N).
    prior, rows = target.priors.flat, target.statistics.rows
    units, noise = prior.sd.copy(), target.priors.positions["noise_sd"]
    units[noise] = np.minimum(units[noise], 4 / np.sqrt(2 * rows))
    farthest = MAX_DISTANCE * prior.sd
    bounds = np.stack([prior.mean - farthest, prior.mean + farthest], axis=1) / units[:, None]
    options = {"maxiter": MAX_STEPS, "maxcor": MEMORY, "ftol": 0.0, "gtol": GRADIENT_TOLERANCE}
    values: list[float] = []

    def end(intermediate_result: OptimizeResult) -> None:
        values.append(float(intermediate_result.fun))
        if values[-2] - values[-1] < tolerance:
            raise StopIteration

    with stage("Search for the mode", progress, "steps", logged=False) as count:

        def value_and_grad(scaled: Array) -> tuple[float, Array]:
            count()
            value, gradient = target.value_and_grad(scaled * units)
            if not values:
                values.append(value)
            return value, gradient * units

        result = minimize(
            value_and_grad,
            start / units,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            callback=end,
            options=options,
        )
    return np.asarray(result.x * units)


class BlockStatistics(NamedTuple):
    """Statistics of G blocks of coefficients, each padded with zeros to p coefficients.

    Coefficients are in units of their prior standard deviations at the expansion point. Arrays are
    of NumPy or JAX.

    Attributes
    ----------
    rows, squares : ()
        Number of rows, and penalised residual sum of squares at the expansion point.
    sizes : (G,) of int
        Number of coefficients of each block.
    constant : ()
        Log of the normalising constant of the density of all outcomes.
    precision : (G, p, p)
        Data precision of each block, with the other blocks marginalised.
    mean : (G, p)
        Posterior mean at the expansion point.
    cross : (Q, Q)
        Posterior covariances K between blocks, of the P coefficients and of padding.
    slot : (Q,) of int, place : (G, p) of int
        Position among those of all blocks of each of the Q, and the reverse.
    log_reference : (G, p), floor : (G, p)
        Log prior standard deviations at the expansion point, in units of the noise's, and minimum
        prior variances.
    """

    rows: Any
    squares: Any
    sizes: Any
    constant: Any
    precision: Any
    mean: Any
    cross: Any
    slot: Any
    place: Any
    log_reference: Any
    floor: Any

    def evidence_and_slopes(
        self, log_sd: Any, noise_sd: Any, xp: ModuleType = np
    ) -> tuple[Any, Any, Any]:
        """Log evidence and its derivatives with respect to ``log_sd`` and the log noise.

        ``log_sd``, shape (G p,), is block by block. Matrices have the precision of the statistics,
        everything else is in double precision.

        Notes
        -----
        S (``ratio``) are prior standard deviations over those at the expansion point, D = S^-2 - 1
        is the change of prior precision, G the data precision of a block, and C its posterior
        covariance. ``inverse`` is that of B = I + S G S. The product of (I + C D)^-1 with x is
        S times

            S^-1 x - B^-1 (S^-1 - S) x = S x + B^-1 S G (1 - S^2) x.

        For narrow priors the left side is a small difference of large numbers. For unchanged priors
        and informative data, the argument of B^-1 on the right side is.
        """
        mean, dtype = self.mean, self.precision.dtype
        log_noise = xp.log(noise_sd)
        log_ratio = log_sd.reshape(mean.shape) - log_noise - self.log_reference
        excess = xp.maximum(log_ratio - np.log(MAX_SD_RATIO), 0)
        variance = xp.exp(2 * (log_ratio - excess))
        ratio = xp.sqrt(variance + self.floor)
        scale = ratio.astype(dtype)
        matrices = self.precision * scale[:, :, None] * scale[:, None, :]
        invert = inverse_and_log_det if xp is np else swept_inverse_and_log_det
        inverse, log_det = invert(xp.eye(mean.shape[1], dtype=dtype) + matrices, self.sizes)
        difference, narrow = 1 / ratio - ratio, ratio < NARROW_RATIO

        def solve(values: Any) -> Any:
            """Product of (I + C D)^-1 with values, shape (G, p)."""
            right = xp.where(narrow, ratio * difference * values, 0.0).astype(dtype)
            right = xp.einsum("gij,gj->gi", self.precision, right)
            left = xp.where(narrow, 0.0, difference * values).astype(dtype)
            coupled = xp.einsum("gij,gj->gi", inverse, scale * right - left)
            return xp.where(narrow, ratio, 1 / ratio) * values + coupled.astype(values.dtype)

        # (I + C D)^-1 m, by which each block acts on itself and on the others, and its effect on
        # them.
        own = solve(mean)
        pull = difference * own
        packed = xp.take(pull.reshape(-1), self.slot).astype(dtype)
        effect = xp.take(self.cross @ packed, self.place).astype(mean.dtype)
        precision = xp.exp(-2 * log_noise)
        squares = (self.squares + xp.sum(pull * (mean - effect))) * precision
        per_row = 2 * log_noise + np.log(2 * np.pi)
        value = self.constant - 0.5 * (squares + log_det + self.rows * per_row)

        # Derivatives with respect to the logarithms of S, and from there by the chain rule.
        shrinkage = 1 - xp.diagonal(inverse, axis1=1, axis2=2).astype(mean.dtype)
        towards_ratio = precision * own * (own - 2 * solve(effect)) - shrinkage
        towards_log_sd = towards_ratio * variance / ratio**2
        towards_noise = squares - self.rows - xp.sum(towards_log_sd)
        value = value + xp.sum(towards_log_sd * excess)
        return value, towards_log_sd.reshape(-1), towards_noise


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
        centred = posterior.statistics
        in_units_of_noise = centred.posterior(np.full(len(prior_sd), noise_sd), noise_sd)
        data_precision = np.diag(in_units_of_noise.matrix)[:-1] - 1
        floor = MIN_VARIANCE_SHARE / np.maximum(data_precision, MIN_PRECISION)
        sd = np.sqrt(prior_sd**2 + floor)
        factor = centred.posterior(sd * noise_sd, noise_sd)
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
        the quadratic form, with every other covariance set to zero; see docs/explanation/method.md.
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


def surrogate_density(posterior: MarginalPosterior, mode: Array, points: Array) -> Density:
    """Approximate a target by blocks, if that is cheaper and close enough.

    Parameters
    ----------
    posterior : MarginalPosterior
    mode : ndarray, shape (D,)
        Expansion point: hyperparameters near the mode.
    points : ndarray, shape (point, D)
        Points dispersed about it like the expected draws: they determine the blocks, and the
        densities are compared at the first ``N_COMPARED`` of them.

    Returns
    -------
    Density
        The target itself otherwise.
    """
    if posterior.terms.size < MIN_COEFFICIENTS:
        return posterior
    try:
        expansion = ExpansionPoint.of(posterior, mode)
        surrogate = block_statistics(expansion, coefficient_blocks(expansion, points))
        log_ratio = [
            surrogate.value_and_grad(point)[0] - posterior.value(point)
            for point in points[:N_COMPARED]
        ]
    except np.linalg.LinAlgError:
        return posterior
    # Mean acceptance probability of one of the points as proposal at another one.
    change = np.subtract.outer(log_ratio, log_ratio)
    distinct = ~np.eye(len(change), dtype=bool)
    accepted = np.mean(np.exp(np.minimum(change, 0)), where=distinct)
    return surrogate if accepted > MIN_ACCEPTANCE_RATE else posterior


def block_statistics(
    expansion: ExpansionPoint,
    blocks: list[NDArray[np.int_]],
    dtype: DTypeLike = np.float32,
) -> Density:
    """Compute the block-diagonal approximation about an expansion point.

    Parameters
    ----------
    expansion : ExpansionPoint
    blocks : list of ndarray of int
        Indices of the coefficients in each block, in ascending order; every coefficient is in one
        block.
    dtype : dtype
        Precision of the matrices.

    Raises
    ------
    LinAlgError
        If rounding leaves a block's precision given the others not positive definite.
    """
    posterior, sd = expansion.posterior, expansion.sd
    covariance, constant = expansion.covariance.copy(), expansion.log_volume
    # Fits with about as many blocks of nearly equal size share compiled programs.
    size = max(len(block) for block in blocks)
    size = max(-(-size // 16) * 16, MIN_PADDED)
    count_of_blocks = -(-len(blocks) // 4) * 4
    order = np.full((count_of_blocks, size), len(sd))
    precision = np.zeros((count_of_blocks, size, size))
    for i, block in enumerate(blocks):
        count = len(block)
        order[i, :count] = block
        values, vectors = np.linalg.eigh(expansion.data_precision(block))
        values = np.clip(values, 0, MAX_PRECISION_RATIO)
        precision[i, :count, :count] = (vectors * values) @ vectors.T
        constant += float(np.sum(np.log1p(values))) / 2
        covariance[np.ix_(block, block)] = 0
    flat = order.ravel()
    # Places of padding are those of the first zero of the product with `cross`.
    slot = np.zeros(padded_size(len(sd) + 1), dtype=int)
    slot[flat[flat < len(sd)]] = np.flatnonzero(flat < len(sd))
    statistics = BlockStatistics(
        posterior.sums.rows,
        expansion.squares,
        np.array([len(block) for block in blocks] + [0] * (count_of_blocks - len(blocks))),
        constant,
        precision.astype(dtype),
        np.append(expansion.mean, 0.0)[order],
        np.pad(covariance, (0, len(slot) - len(sd))).astype(dtype),
        slot,
        order,
        np.log(np.append(sd, 1.0))[order],
        np.append(expansion.floor / sd**2, 0.0)[order],
    )
    padded = posterior.priors.padded(len(sd) + 1).select(flat)
    return Density(padded, statistics)


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
    counts = np.array([t.component.basis.size for t in expansion.posterior.terms.terms])
    of_term = np.repeat(np.eye(len(counts)), counts, axis=0)
    dependence = of_term.T @ expansion.second_order_remainder(points) @ of_term
    if not np.isfinite(dependence).all():
        raise np.linalg.LinAlgError("the dependence between terms overflows")
    for size in sizes:
        clusters = partition(dependence, counts, max(size, int(counts.max())))
        between = dependence.copy()
        for cluster in clusters:
            between[np.ix_(cluster, cluster)] = 0
        if between.max() <= MAX_NEGLECTED:
            break
    return [np.flatnonzero(of_term[:, cluster].any(axis=1)) for cluster in clusters]


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
