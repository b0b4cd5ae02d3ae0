"""Block-diagonal approximation of the marginal posterior: the surrogate in delayed acceptance.

Integrating all coefficients out costs the cube of their number at every step. Here blocks of
coefficients that are nearly independent of each other (`expansion`) are marginalised separately,
and the covariances between blocks enter to first order about one expansion point, at which value
and gradient are exact. NUTS samples this surrogate, and the exact density corrects it: delayed
acceptance (Christen and Fox, "Markov chain Monte Carlo using an approximation", JCGS 2005). See
docs/method.md for the derivation.

On one core, value and gradient take 0.03 ms (112 coefficients), 0.06 ms (224) and 0.24 ms (512),
those of the exact density 0.09, 0.55 and 3.3 ms. With NumPy, for single points and without
compilation, they take 0.5 ms with 281 coefficients.
"""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import DTypeLike, NDArray

from bayes_intgen._typing import Array
from bayes_intgen.inference.density.expansion import ExpansionPoint, coefficient_blocks
from bayes_intgen.inference.density.log_density import LogDensity, padded_size, padding_to
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.conditional import with_slopes
from bayes_intgen.inference.gaussian.matrices import (
    inverse_and_log_det,
    swept_inverse_and_log_det,
)
from bayes_intgen.models.hyperpriors import Hyperpriors

if TYPE_CHECKING:
    from jax.typing import ArrayLike

# Minimum number of coefficients for a surrogate: with 70 a fit takes two thirds as long, with 30
# it takes longer.
MIN_COEFFICIENTS = 60
# Size to which smaller blocks are padded: most fits of two to five actions need no more.
MIN_PADDED = 64
# Minimum expected acceptance rate of a surrogate, and number of points at which it is estimated.
MIN_ACCEPTANCE_RATE, N_COMPARED = 0.6, 24
# Maximum ratio of data precision to prior precision in any direction. The cap changes derivatives
# of the density in the fourth digit; single precision without it changes them in the third, or in
# the first where prior standard deviations have grown thirtyfold.
MAX_PRECISION_RATIO = 1e4
# Maximum ratio of prior standard deviations to those at the expansion point. Beyond it the log
# evidence continues linearly in their logarithms: rounding would leave no positive definite matrix.
# The gradient omits how these slopes depend on other prior standard deviations; trajectories are
# reversible and preserve volume with any force, so that NUTS samples the surrogate all the same.
MAX_SD_RATIO = 20.0
# Ratio of prior standard deviations below which the form for narrow priors has less rounding error.
NARROW_RATIO = 0.3


class BlockStatistics(NamedTuple):
    """Statistics of G blocks of coefficients, each padded with zeros to p coefficients.

    Coefficients are in units of their prior standard deviations at the expansion point.

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

    rows: ArrayLike
    squares: ArrayLike
    sizes: ArrayLike
    constant: ArrayLike
    precision: ArrayLike
    mean: ArrayLike
    cross: ArrayLike
    slot: ArrayLike
    place: ArrayLike
    log_reference: ArrayLike
    floor: ArrayLike


class BlockApproximation(NamedTuple):
    """Block-diagonal approximation of a marginal posterior about an expansion point.

    Attributes
    ----------
    posterior : MarginalPosterior
        The exact density.
    priors : Hyperpriors
        Of the coefficients block by block, shape (G p,).
    statistics : BlockStatistics
    """

    posterior: MarginalPosterior
    priors: Hyperpriors
    statistics: BlockStatistics

    @property
    def density(self) -> LogDensity:
        """Log density for NUTS."""
        return self.posterior.density_of(
            log_marginal_by_blocks, self.priors, self.statistics, self.value_and_grad
        )

    def value_and_grad(self, flat: Array) -> tuple[float, Array]:
        """Minus the log density and its gradient, shape (D,), without compilation."""
        sites = self.posterior.sites(flat)
        log_noise = np.log(float(sites["noise_sd"]))
        log_sd = self.priors.log_sd(sites)
        # Far from the mode numbers overflow, as in the compiled program: no draw is accepted there.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            evidence = _evidence_and_slopes(self.statistics, log_sd, log_noise, np)
        return self.posterior.with_prior(flat, self.priors, *evidence)


def block_approximation(
    posterior: MarginalPosterior, mode: Array, points: Array
) -> BlockApproximation | None:
    """Approximate a marginal posterior by blocks, if that is cheaper and close enough.

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
    BlockApproximation or None
    """
    if posterior.size < MIN_COEFFICIENTS:
        return None
    try:
        expansion = ExpansionPoint.of(posterior, mode)
        surrogate = block_statistics(expansion, coefficient_blocks(expansion, points))
        log_ratio = [
            surrogate.value_and_grad(at)[0] - posterior.value(at) for at in points[:N_COMPARED]
        ]
    except np.linalg.LinAlgError:
        return None
    # Mean acceptance probability of one of the points as proposal at another one.
    change = np.subtract.outer(log_ratio, log_ratio)
    distinct = ~np.eye(len(change), dtype=bool)
    accepted = np.mean(np.exp(np.minimum(change, 0)), where=distinct)
    return surrogate if accepted > MIN_ACCEPTANCE_RATE else None


def block_statistics(
    expansion: ExpansionPoint,
    blocks: list[NDArray[np.int_]],
    dtype: DTypeLike = np.float32,
) -> BlockApproximation:
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
    size = max(size + padding_to(16, size), MIN_PADDED)
    count_of_blocks = len(blocks) + padding_to(4, len(blocks))
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
        float(np.asarray(posterior.sums.rows)),
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
    return BlockApproximation(posterior, padded, statistics)


def log_marginal_by_blocks(
    statistics: BlockStatistics, log_sd: jax.Array, noise_sd: ArrayLike
) -> jax.Array:
    """Approximate :func:`bayes_intgen.inference.gaussian.conditional.log_marginal` by blocks.

    Parameters
    ----------
    statistics : BlockStatistics
        Treated as constants by differentiation.
    log_sd : Array, shape (G p,)
        Log prior standard deviations, block by block.
    noise_sd : float

    Returns
    -------
    Array, shape ()
    """
    evidence_and_slopes = partial(_evidence_and_slopes, xp=jnp)
    return with_slopes(evidence_and_slopes, statistics, log_sd, noise_sd)


def _evidence_and_slopes(
    statistics: Any, log_sd: Any, log_noise: Any, xp: ModuleType
) -> tuple[Any, Any, Any]:
    """Log evidence and its derivatives with respect to ``log_sd``, shape (G p,), and ``log_noise``.

    ``xp`` is ``numpy`` or ``jax.numpy``, and ``statistics`` a :class:`BlockStatistics` of its
    arrays. Matrices have the precision of the statistics, everything else is in double precision.

    Notes
    -----
    S (``ratio``) are prior standard deviations over those at the expansion point, D = S^-2 - 1 is
    the change of prior precision, G the data precision of a block, and C its posterior covariance.
    ``inverse`` is that of B = I + S G S. The product of (I + C D)^-1 with x is S times

        S^-1 x - B^-1 (S^-1 - S) x = S x + B^-1 S G (1 - S^2) x.

    For narrow priors the left side is a small difference of large numbers. For unchanged priors
    and informative data, the argument of B^-1 on the right side is.
    """
    mean, dtype = statistics.mean, statistics.precision.dtype
    log_ratio = log_sd.reshape(mean.shape) - log_noise - statistics.log_reference
    excess = xp.maximum(log_ratio - np.log(MAX_SD_RATIO), 0)
    variance = xp.exp(2 * (log_ratio - excess))
    ratio = xp.sqrt(variance + statistics.floor)
    scale = ratio.astype(dtype)
    matrices = statistics.precision * scale[:, :, None] * scale[:, None, :]
    invert = inverse_and_log_det if xp is np else swept_inverse_and_log_det
    inverse, log_det = invert(xp.eye(mean.shape[1], dtype=dtype) + matrices, statistics.sizes)
    difference, narrow = 1 / ratio - ratio, ratio < NARROW_RATIO

    def solve(values: Any) -> Any:
        """Product of (I + C D)^-1 with values, shape (G, p)."""
        right = xp.where(narrow, ratio * difference * values, 0.0).astype(dtype)
        right = xp.einsum("gij,gj->gi", statistics.precision, right)
        left = xp.where(narrow, 0.0, difference * values).astype(dtype)
        coupled = xp.einsum("gij,gj->gi", inverse, scale * right - left)
        return xp.where(narrow, ratio, 1 / ratio) * values + coupled.astype(values.dtype)

    # (I + C D)^-1 m, by which each block acts on itself and on the others, and its effect on them.
    own = solve(mean)
    pull = difference * own
    packed = xp.take(pull.reshape(-1), statistics.slot).astype(dtype)
    effect = xp.take(statistics.cross @ packed, statistics.place).astype(mean.dtype)
    precision = xp.exp(-2 * log_noise)
    squares = (statistics.squares + xp.sum(pull * (mean - effect))) * precision
    per_row = 2 * log_noise + np.log(2 * np.pi)
    value = statistics.constant - 0.5 * (squares + log_det + statistics.rows * per_row)

    # Derivatives with respect to the logarithms of S, and from there by the chain rule.
    shrinkage = 1 - xp.diagonal(inverse, axis1=1, axis2=2).astype(mean.dtype)
    towards_ratio = precision * own * (own - 2 * solve(effect)) - shrinkage
    towards_log_sd = towards_ratio * variance / ratio**2
    towards_noise = squares - statistics.rows - xp.sum(towards_log_sd)
    value = value + xp.sum(towards_log_sd * excess)
    return value, towards_log_sd.reshape(-1), towards_noise
