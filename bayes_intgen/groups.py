"""A cheaper posterior of the same hyperparameters, for a sampler to walk: group by group.

Integrating all coefficients out costs the cube of their number at every step. They come in groups,
one an action, that know of each other but little: most of what couples them is in how the rows'
actions happen to go together. Here the groups are integrated out one by one, exactly, each with the
others' priors as they are at one reference point of the hyperparameters; what their priors do to
each other when they leave that point is expanded to first order in the posterior covariances
between groups. At the reference point value and gradient are those of the exact density.

With P the posterior precision of all coefficients at the reference point, m their mean there, and
D by how much their prior precisions have grown since, the density needs log det(P + D) and a
quadratic form: m' (D^-1 + C)^-1 m with C = P^-1. With C split into the blocks of groups and K, the
rest, and T = (D^-1 + C_blocks)^-1, that is m' (T - T K T + ...) m; the determinant has no term of
first order. A sampler walks this density, and accepts or refuses where it arrives by the exact one:
delayed acceptance (Christen and Fox, "Markov chain Monte Carlo using an approximation", JCGS
2005).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jax.scipy.linalg import solve_triangular
from jax.typing import ArrayLike
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import cho_factor, cho_solve

from bayes_intgen.bases import Array
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.gram import Sums
from bayes_intgen.hyperpriors import Hyperpriors
from bayes_intgen.models.base import hyperparameters
from bayes_intgen.targets import Target, processor

# With fewer coefficients an exact gradient takes no longer.
LEAST_SIZE = 150
# Size above which the coefficients of an action are split into groups.
MOST_TOGETHER = 64
# How often the exact density would have to accept, at points scattered as draws will be.
LEAST_ACCEPTED = 0.6
# Largest error of a derivative by the logarithm of a prior standard deviation: rounding times the
# largest eigenvalue that is factorised.
LARGEST_ERROR = 0.05
# Prior variances have a floor of this share of what the data alone leave of each coefficient:
# of those below it the data say nothing, and ratios of them would overflow.
FLOOR = 1e-4


class Groups(NamedTuple):
    """What the groups of coefficients say, each of p coefficients or zeros in their place.

    Coefficients are in units of their prior standard deviations at the reference point.

    Attributes
    ----------
    rows, squares : ()
        Number of rows, and what the coefficients leave of the sum of squares at the reference
        point, their prior's part in it included.
    constant : ()
        What makes the density that of all outcomes.
    precision : (G, p, p), information : (G, p)
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
    information: ArrayLike
    mean: ArrayLike
    cross: ArrayLike
    log_reference: ArrayLike
    floor: ArrayLike


def by_groups(posterior: Collapsed, reference: Array, points: Array) -> Target | None:
    """A density that is cheaper than a posterior's, where there is one close to it.

    Parameters
    ----------
    posterior : Collapsed
    reference : ndarray, shape (D,)
        Hyperparameters near the mode.
    points : ndarray, shape (point, D)
        Scattered about it as draws are expected to be: here both densities are compared.

    Returns
    -------
    Target or None
    """
    groups = groups_of(posterior)
    if posterior.size < LEAST_SIZE or len(groups) < 2:
        return None
    exact = [posterior.value(at) for at in points]
    try:
        target = grouped(posterior, reference, groups)
    except np.linalg.LinAlgError:
        return None
    ratio = np.array([target.energy(at)[0] for at in points]) - exact
    return target if expected_acceptance(ratio) > LEAST_ACCEPTED else None


def expected_acceptance(log_ratio: Array) -> float:
    """How often a draw would be accepted whose density is known at others, on average.

    Parameters
    ----------
    log_ratio : ndarray, shape (draw,)
        Log of the exact density over the one that is walked, up to a constant.
    """
    change = np.subtract.outer(log_ratio, log_ratio)
    return float(np.mean(np.exp(np.minimum(change, 0)), where=~np.eye(len(change), dtype=bool)))


def groups_of(posterior: Collapsed) -> list[NDArray[np.int_]]:
    """The coefficients of each action, in more than one group where they are many.

    Whole terms stay together, those of one function first; coefficients of no action go with
    the first one's.
    """
    terms, columns = posterior.terms.terms, posterior.terms.columns
    found: list[list[NDArray[np.int_]]] = []
    for action in sorted({term.action or 0 for term in terms}):
        mine = [term for term in terms if (term.action or 0) == action]
        sizes = [term.part.basis.size for term in mine]
        parts = max(1, round(sum(sizes) / MOST_TOGETHER))
        ends = np.cumsum(sizes)
        which = np.minimum((ends - 1) * parts // ends[-1], parts - 1)
        for part in np.unique(which):
            chosen = [term for term, i in zip(mine, which, strict=True) if i == part]
            found.append([np.arange(posterior.size)[columns[term.name]] for term in chosen])
    return [np.concatenate(group) for group in found]


def grouped(
    posterior: Collapsed,
    reference: Array,
    groups: list[NDArray[np.int_]],
    dtype: DTypeLike | None = None,
) -> Target:
    """The density by groups of coefficients, about a reference point.

    Parameters
    ----------
    posterior : Collapsed
    reference : ndarray, shape (D,)
    groups : list of ndarray of int
        The coefficients of each, every one in one of them.
    dtype : dtype, optional
        In which their matrices are factorised; single precision, by default, where that leaves
        the gradient what it is.

    Raises
    ------
    LinAlgError
        Where rounding leaves the coefficients no joint distribution.
    """
    priors, sums = posterior.priors, posterior.sums
    sites = posterior.sites(reference)
    noise_sd = float(sites["noise_sd"])
    xx, xy, yy = _whole(sums, noise_sd)
    shift = xx @ priors.mean
    information = xy - shift
    squares = yy - 2 * priors.mean @ xy + priors.mean @ shift
    prior_sd = np.exp(priors.log_sd_at(sites)) / noise_sd
    seen = np.diag(xx)
    floor = FLOOR / np.where(seen > 0, seen, prior_sd**-2.0)
    sd = np.sqrt(prior_sd**2 + floor)
    # With many rows the matrix is all but singular: what a group is told comes from solving for
    # the others, and not from blocks of the inverse.
    matrix = np.eye(len(sd)) + xx * np.outer(sd, sd)
    told = sd * information
    factor = cho_factor(matrix, lower=True)
    mean = cho_solve(factor, told)
    covariance = cho_solve(factor, np.eye(len(sd)))
    log_det = whole = _log_det(factor)

    size = -(-max(len(group) for group in groups) // 8) * 8
    order = np.full((len(groups), size), len(sd))
    precision, own = np.zeros((len(groups), size, size)), np.zeros((len(groups), size))
    for i, group in enumerate(groups):
        count = len(group)
        order[i, :count] = group
        others = np.setdiff1d(np.arange(len(sd)), group)
        between = matrix[np.ix_(others, group)]
        rest = cho_factor(matrix[np.ix_(others, others)], lower=True)
        solved = cho_solve(rest, between)
        left = matrix[np.ix_(group, group)] - between.T @ solved
        log_det -= whole - _log_det(rest)
        precision[i, :count, :count] = (left + left.T) / 2 - np.eye(count)
        own[i, :count] = told[group] - solved.T @ told[others]
        covariance[np.ix_(group, group)] = 0
    if dtype is None:
        error = np.finfo(np.float32).eps * np.linalg.eigvalsh(precision).max()
        dtype = np.float32 if error < LARGEST_ERROR else np.float64
    flat = order.ravel()
    constant = -0.5 * (log_det - float(np.asarray(sums.log_weight)))
    if sums.known is not None:
        constant -= float(np.sum(sums.known.log_sd))
        constant -= 0.5 * len(np.asarray(sums.known.log_sd)) * np.log(2 * np.pi)
    arguments = Groups(
        float(np.asarray(sums.rows)),
        squares - float(information @ (sd * mean)),
        constant,
        precision.astype(dtype),
        own,
        np.append(mean, 0.0)[order],
        np.pad(covariance, (0, 1))[np.ix_(flat, flat)].astype(dtype),
        np.log(np.append(sd, 1.0))[order],
        np.append(floor / sd**2, 0.0)[order],
    )
    padded = priors.padded(len(sd) + 1).of_columns(flat)
    return Target(collapsed_by_groups, (padded, arguments), posterior.layout, processor())


def _log_det(factor: tuple[Array, bool]) -> float:
    return 2 * float(np.sum(np.log(np.diag(factor[0]))))


def _whole(sums: Sums, noise_sd: float) -> tuple[Array, Array, float]:
    """X'X, X'y and y'y with known rows, that count as if the noise had this standard deviation."""
    xx, xy, yy = np.asarray(sums.xx), np.asarray(sums.xy), float(np.asarray(sums.yy))
    if sums.known is not None:
        known, outcome = np.asarray(sums.known.matrix), np.asarray(sums.known.outcome)
        xx = xx + noise_sd**2 * known.T @ known
        xy = xy + noise_sd**2 * known.T @ outcome
        yy += noise_sd**2 * float(outcome @ outcome)
    return xx, xy, yy


def collapsed_by_groups(priors: Hyperpriors, groups: Groups) -> None:
    """Nearly :func:`bayes_intgen.models.base.collapsed`, as a NumPyro program.

    Parameters
    ----------
    priors : Hyperpriors
        Of the coefficients group by group, shape (G p,).
    groups : Groups
    """
    log_sd, noise_sd = hyperparameters(priors)
    numpyro.factor("outcome", log_marginal_by_groups(groups, log_sd, noise_sd))


def log_marginal_by_groups(groups: Groups, log_sd: jax.Array, noise_sd: ArrayLike) -> jax.Array:
    """Nearly :func:`bayes_intgen.gram.log_marginal`.

    Parameters
    ----------
    groups : Groups
        Treated as constants by differentiation.
    log_sd : Array, shape (G p,)
        Log prior standard deviations, group by group.
    noise_sd : float

    Returns
    -------
    Array, shape ()
    """
    log_reference = jnp.asarray(groups.log_reference)
    log_noise = jnp.log(noise_sd)
    beyond = log_sd.reshape(log_reference.shape) - log_noise - log_reference
    ratio = jnp.sqrt(jnp.exp(2 * beyond) + groups.floor)
    log_ratio = jnp.log(ratio)
    log_det, inverse_factor = _factorised(jnp.asarray(groups.precision), log_ratio)
    own = _solved(inverse_factor, log_ratio, ratio * groups.information)
    # T m, by which each group pulls at itself and the others, and K T m, what the others get.
    pull = (1 / ratio - ratio) * own
    cross = jnp.asarray(groups.cross)
    pulled = (cross @ pull.ravel().astype(cross.dtype)).reshape(pull.shape)
    squares = groups.squares + jnp.sum(pull * (groups.mean - pulled))
    per_row = 2 * log_noise + jnp.log(2 * jnp.pi)
    deviance = squares * jnp.exp(-2 * log_noise) + log_det + groups.rows * per_row
    return jnp.asarray(groups.constant - 0.5 * deviance)


@jax.custom_vjp
def _factorised(precision: jax.Array, log_sd: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sum of log det B and inverse Cholesky factors of B = I + S G S, group by group.

    The factors are no function to differentiate: :func:`_solved` knows how they change.
    """
    return _factorised_forward(precision, log_sd)[0]


def _factorised_forward(
    precision: jax.Array, log_sd: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    sd = jnp.exp(log_sd).astype(precision.dtype)
    one = jnp.eye(sd.shape[-1], dtype=sd.dtype)
    matrix = precision * sd[:, :, None] * sd[:, None, :] + one
    factor = jnp.linalg.cholesky(matrix, symmetrize_input=False)
    inverse = solve_triangular(factor, jnp.broadcast_to(one, factor.shape), lower=True)
    diagonal = jnp.diagonal(factor, axis1=1, axis2=2).astype(log_sd.dtype)
    inverse_diagonal = jnp.sum(inverse**2, axis=1).astype(log_sd.dtype)
    return (2 * jnp.sum(jnp.log(diagonal)), inverse), inverse_diagonal


def _factorised_backward(
    inverse_diagonal: jax.Array, cotangent: tuple[jax.Array, jax.Array]
) -> tuple[None, jax.Array]:
    return None, 2 * cotangent[0] * (1 - inverse_diagonal)


_factorised.defvjp(_factorised_forward, _factorised_backward)


@jax.custom_vjp
def _solved(inverse_factor: jax.Array, log_sd: jax.Array, right: jax.Array) -> jax.Array:
    """B^-1 r, group by group; B depends on ``log_sd``, which stands here for its derivative."""
    return _twice(inverse_factor, right)


def _twice(inverse_factor: jax.Array, right: jax.Array) -> jax.Array:
    half = jnp.einsum("gij,gj->gi", inverse_factor, right.astype(inverse_factor.dtype))
    return jnp.einsum("gji,gj->gi", inverse_factor, half).astype(right.dtype)


def _solved_forward(
    inverse_factor: jax.Array, log_sd: jax.Array, right: jax.Array
) -> tuple[jax.Array, Any]:
    solved = _twice(inverse_factor, right)
    return solved, (inverse_factor, right, solved)


def _solved_backward(saved: Any, cotangent: jax.Array) -> tuple[None, jax.Array, jax.Array]:
    # With S G S x = r - x, the derivative of x = B^-1 r by log s_p along a vector c is
    #   -(B^-1 c)_p (r - x)_p - (c - B^-1 c)_p x_p.
    inverse_factor, right, solved = saved
    back = _twice(inverse_factor, cotangent)
    towards_log_sd = -back * (right - solved) - (cotangent - back) * solved
    return None, towards_log_sd, back


_solved.defvjp(_solved_forward, _solved_backward)
