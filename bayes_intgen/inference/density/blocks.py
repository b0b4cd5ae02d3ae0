"""Block-diagonal approximation of the marginal posterior: the surrogate in delayed acceptance.

Integrating all coefficients out costs the cube of their number at every step. They come in groups
that know little of each other (`partition`). Here the groups are integrated out
one by one, exactly, each with the others' priors as they are at one reference point of the
hyperparameters; what their priors do to each other when they leave that point is expanded to first
order in the posterior covariances between groups. At the reference point value and gradient are
those of the exact density.

With C the posterior covariance of all coefficients at the reference point, m their mean there, and
D by how much their prior precisions have grown since, the density needs log det(I + C D) and a
quadratic form: m' (D^-1 + C)^-1 m. With C split into the blocks of groups and K, the rest, and with
T = (D^-1 + C_blocks)^-1, that is m' (T - T K T + ...) m; the determinant has no term of first
order.

The matrix to invert is I + S G S: G says what the data know of a group in units of its prior at
the reference point, S how much wider the prior has become. Single precision will do, however many
the rows, where the largest eigenvalues of G are cut: what the data know ten thousand times better
than the prior is as good as known. NUTS samples this surrogate, and the exact density corrects it:
delayed acceptance (Christen and Fox, "Markov chain Monte Carlo using an approximation", JCGS 2005).

On one core, value and gradient take 0.17 ms (281 coefficients) and 1.1 ms (1,061) after 2 s of
compilation; those of the exact density take 1.1 ms and 79 ms after 3 s. With NumPy, for single
points and with nothing to compile, they take 0.5 ms and 8 ms.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import cho_factor, cho_solve

from bayes_intgen._typing import Array
from bayes_intgen.inference.density.expansion_point import ExpansionPoint
from bayes_intgen.inference.density.log_density import LogDensity
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.partition import groups_of
from bayes_intgen.inference.gaussian.sweep import inverse_and_log_det
from bayes_intgen.models.hyperpriors import Hyperpriors

# With fewer coefficients an exact gradient takes no longer.
LEAST_SIZE = 150
# How often the exact density would have to accept, and at how many points both are compared.
LEAST_ACCEPTED, COMPARED = 0.6, 24
# Ratio of what the data know of a direction to what the prior does, from which on it is cut: what
# is cut adds to derivatives of the density in the fourth digit, what rounding adds in the third, or
# in the first where priors have become thirty times as wide.
BEST_KNOWN = 1e4
# Ratio of prior standard deviations below which priors are narrow for what rounding does.
NARROW = 0.3


class BlockStatistics(NamedTuple):
    """What the groups of coefficients say, each of p coefficients or zeros in their place.

    Coefficients are in units of their prior standard deviations at the reference point.

    Attributes
    ----------
    rows, squares : ()
        Number of rows, and what the coefficients leave of the sum of squares at the reference
        point, their prior's part in it included.
    constant : ()
        What makes the density that of all outcomes.
    precision : (G, p, p)
        Of each group by the data, the others integrated out.
    mean : (G, p)
        Posterior mean at the reference point.
    cross : (G p, G p)
        Posterior covariances K of different groups.
    log_reference : (G, p), floor : (G, p)
        Logarithms of the prior standard deviations at the reference point, in units of the noise,
        and least prior variances.
    """

    rows: ArrayLike
    squares: ArrayLike
    constant: ArrayLike
    precision: ArrayLike
    mean: ArrayLike
    cross: ArrayLike
    log_reference: ArrayLike
    floor: ArrayLike


class BlockApproximation:
    """The density by groups of coefficients, about a reference point.

    Parameters
    ----------
    posterior : MarginalPosterior
        That it is close to.
    priors : Hyperpriors
        Of the coefficients group by group, shape (G p,).
    groups : BlockStatistics
    """

    def __init__(
        self, posterior: MarginalPosterior, priors: Hyperpriors, groups: BlockStatistics
    ) -> None:
        self.posterior, self.priors, self.groups = posterior, priors, groups

    @property
    def density(self) -> LogDensity:
        """As NUTS takes it."""
        return self.posterior.density_of(
            log_marginal_by_groups, self.priors, self.groups, self.energy
        )

    def energy(self, flat: Array) -> tuple[float, Array]:
        """Minus the log density, and its gradient, shape (D,), with nothing to compile."""
        sites = self.posterior.sites(flat)
        log_noise = np.log(float(sites["noise_sd"]))
        log_sd = self.priors.log_sd(sites)
        # Far away numbers overflow, as they do in the program: no draw is accepted there.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            slopes = _evaluated(self.groups, log_sd, log_noise, np, _inverse_and_log_det)
        return self.posterior.with_prior(flat, self.priors, *slopes)


def block_approximation(
    posterior: MarginalPosterior, reference: Array, points: Array
) -> BlockApproximation | None:
    """A density that is cheaper than a posterior's, where there is one close to it.

    Parameters
    ----------
    posterior : MarginalPosterior
    reference : ndarray, shape (D,)
        Hyperparameters near the mode.
    points : ndarray, shape (point, D)
        Scattered about it as draws are expected to be: they say which coefficients belong together,
        and at ``COMPARED`` of them both densities are compared.

    Returns
    -------
    ByGroups or None
    """
    if posterior.size < LEAST_SIZE:
        return None
    try:
        about = ExpansionPoint.of(posterior, reference)
        close = block_statistics(about, groups_of(about, points))
        ratio = [close.energy(at)[0] - posterior.value(at) for at in points[:COMPARED]]
    except np.linalg.LinAlgError:
        return None
    return close if expected_acceptance(np.array(ratio)) > LEAST_ACCEPTED else None


def expected_acceptance(log_ratio: Array) -> float:
    """How often a draw would be accepted whose density is known at others, on average.

    Parameters
    ----------
    log_ratio : ndarray, shape (draw,)
        Log of the exact density over the one that is walked, up to a constant.
    """
    change = np.subtract.outer(log_ratio, log_ratio)
    return float(np.mean(np.exp(np.minimum(change, 0)), where=~np.eye(len(change), dtype=bool)))


def block_statistics(
    reference: ExpansionPoint, groups: list[NDArray[np.int_]], dtype: DTypeLike = np.float32
) -> BlockApproximation:
    """The density by groups of coefficients, about a reference point.

    Parameters
    ----------
    reference : ExpansionPoint
    groups : list of ndarray of int
        The coefficients of each, every one in one of them.
    dtype : dtype
        In which their matrices are inverted.

    Raises
    ------
    LinAlgError
        Where rounding leaves the coefficients of a group no distribution given the others.
    """
    posterior, whole, sd = reference.posterior, reference.precision, reference.sd
    covariance, log_det = reference.covariance.copy(), reference.log_det
    # A multiple of 8: groups of nearly equal size share what is compiled.
    size = -(-max(len(group) for group in groups) // 8) * 8
    order = np.full((len(groups), size), len(sd))
    precision = np.zeros((len(groups), size, size))
    for i, group in enumerate(groups):
        count = len(group)
        order[i, :count] = group
        others = np.setdiff1d(np.arange(len(sd)), group)
        between = whole[np.ix_(others, group)]
        # With many rows the covariance is all but singular: what a group is told comes from solving
        # for the others, and not from blocks of the inverse.
        rest = cho_factor(whole[np.ix_(others, others)], lower=True)
        left = whole[np.ix_(group, group)] - between.T @ cho_solve(rest, between)
        known, vectors = np.linalg.eigh((left + left.T) / 2 - np.eye(count))
        known = np.clip(known, 0, BEST_KNOWN)
        precision[i, :count, :count] = (vectors * known) @ vectors.T
        log_det -= float(np.sum(np.log1p(known)))
        covariance[np.ix_(group, group)] = 0
    flat = order.ravel()
    sums = posterior.sums
    constant = -0.5 * (log_det - float(np.asarray(sums.log_weight)))
    if sums.known is not None:
        constant -= float(np.sum(sums.known.log_sd))
        constant -= 0.5 * len(np.asarray(sums.known.log_sd)) * np.log(2 * np.pi)
    found = BlockStatistics(
        float(np.asarray(sums.rows)),
        reference.squares,
        constant,
        precision.astype(dtype),
        np.append(reference.mean, 0.0)[order],
        np.pad(covariance, (0, 1))[np.ix_(flat, flat)].astype(dtype),
        np.log(np.append(sd, 1.0))[order],
        np.append(reference.floor / sd**2, 0.0)[order],
    )
    padded = posterior.priors.padded(len(sd) + 1).select(flat)
    return BlockApproximation(posterior, padded, found)


def log_marginal_by_groups(
    groups: BlockStatistics, log_sd: jax.Array, noise_sd: ArrayLike
) -> jax.Array:
    """Nearly :func:`bayes_intgen.inference.gaussian.evidence.log_marginal`.

    Parameters
    ----------
    groups : BlockStatistics
        Treated as constants by differentiation.
    log_sd : Array, shape (G p,)
        Log prior standard deviations, group by group.
    noise_sd : float

    Returns
    -------
    Array, shape ()
    """
    return _log_marginal(groups, log_sd, jnp.log(noise_sd))


@jax.custom_vjp
def _log_marginal(groups: BlockStatistics, log_sd: jax.Array, log_noise: jax.Array) -> jax.Array:
    return jnp.asarray(_forward(groups, log_sd, log_noise)[0])


def _forward(groups: BlockStatistics, log_sd: jax.Array, log_noise: jax.Array) -> tuple[Any, Any]:
    value, *slopes = _evaluated(groups, log_sd, log_noise, jnp, inverse_and_log_det)
    return value, slopes


def _backward(slopes: Any, cotangent: jax.Array) -> tuple[None, jax.Array, jax.Array]:
    towards_log_sd, towards_log_noise = slopes
    return None, cotangent * towards_log_sd, cotangent * towards_log_noise


_log_marginal.defvjp(_forward, _backward)


def _evaluated(
    groups: Any, log_sd: Any, log_noise: Any, xp: ModuleType, inverted: Callable[..., Any]
) -> tuple[Any, Any, Any]:
    """The log density, and its derivatives by ``log_sd``, shape (G p,), and ``log_noise``.

    ``xp`` is ``numpy`` or ``jax.numpy``, and ``groups`` a :class:`Groups` of its arrays.
    """
    mean, dtype = groups.mean, groups.precision.dtype
    above = xp.exp(2 * (log_sd.reshape(mean.shape) - log_noise - groups.log_reference))
    ratio = xp.sqrt(above + groups.floor)
    scale = ratio.astype(dtype)
    one = xp.eye(mean.shape[1], dtype=dtype)
    inverse, log_det = inverted(one + groups.precision * scale[:, :, None] * scale[:, None, :])

    # With B = I + S G S and D = S^-2 - 1, the inverse of 1 + C D times x is S times
    #   S^-1 x - B^-1 (S^-1 - S) x = S x + B^-1 S G (1 - S^2) x.
    # Where priors have become narrow the first is a small difference of large numbers; where they
    # are as they were, and the data know all, what the second solves for is.
    less, narrow = 1 / ratio - ratio, ratio < NARROW

    def updated(values: Any) -> Any:
        known = xp.where(narrow, ratio * less * values, 0.0).astype(dtype)
        known = xp.einsum("gij,gj->gi", groups.precision, known)
        right = scale * known - xp.where(narrow, 0.0, less * values).astype(dtype)
        separate = xp.where(narrow, ratio, 1 / ratio) * values
        return separate + xp.einsum("gij,gj->gi", inverse, right).astype(mean.dtype)

    # T m, by which each group pulls at itself and the others; K T m, what the others get.
    own = updated(mean)
    pull = less * own
    pulled = (groups.cross @ pull.reshape(-1).astype(dtype)).reshape(pull.shape).astype(mean.dtype)
    precision = xp.exp(-2 * log_noise)
    squares = (groups.squares + xp.sum(pull * (mean - pulled))) * precision
    per_row = 2 * log_noise + np.log(2 * np.pi)
    value = groups.constant - 0.5 * (squares + log_det + groups.rows * per_row)

    # By the logarithms of S first.
    share = 1 - xp.diagonal(inverse, axis1=1, axis2=2).astype(mean.dtype)
    towards = precision * own * (own - 2 * updated(pulled)) - share
    towards_log_sd = towards * above / ratio**2
    towards_noise = squares - groups.rows - xp.sum(towards_log_sd)
    return value, towards_log_sd.reshape(-1), towards_noise


def _inverse_and_log_det(matrices: Array) -> tuple[Array, float]:
    """As `inverse_and_log_det`, by a library and with nothing to compile.

    No numbers where rounding leaves no factor, as in compiled programs.
    """
    try:
        factor = np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        return np.full_like(matrices, np.nan), np.nan
    root = np.linalg.inv(factor)
    diagonal = np.diagonal(factor, axis1=1, axis2=2).astype(float)
    return root.swapaxes(1, 2) @ root, 2 * float(np.sum(np.log(diagonal)))
