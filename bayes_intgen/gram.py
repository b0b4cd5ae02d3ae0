"""Sums over rows, and the Gaussian posterior that they determine.

With coefficients beta ~ N(m, diag(s^2)) and outcome y_i ~ N(x_i' beta, noise_sd^2 / w_i),
the rows enter the posterior only through X'WX, X'Wy and y'Wy. The coefficients integrate
out in closed form; :mod:`bayes_intgen.conditional` has their distribution.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.typing import ArrayLike
from numpy.typing import DTypeLike, NDArray

from bayes_intgen.bases import Array

# Largest block of a matrix that is left to the library to factorise, and how often larger ones
# are halved on the way: more pieces take longer to compile.
LEAF, HALVINGS = 48, 3


class KnownRows(NamedTuple):
    """Rows whose noise has a known standard deviation, in units of it.

    Unlike other rows they do not scale with ``noise_sd``: what is known of a difference between
    two means, with its standard error, is such a row.

    Attributes
    ----------
    matrix : (L, P), outcome : (L,)
        Divided by the noise's standard deviation.
    log_sd : (L,)
        The logarithm of that.
    """

    matrix: ArrayLike
    outcome: ArrayLike
    log_sd: ArrayLike


class Sums(NamedTuple):
    """Weighted sums over rows.

    Attributes
    ----------
    rows : float
        Number of rows N.
    xx : (P, P), xy : (P,), yy : ()
        X'WX, X'Wy and y'Wy.
    log_weight : float
        Sum of the logarithms of the weights.
    known : KnownRows, optional
        Further rows that are not in the sums.
    """

    rows: ArrayLike
    xx: ArrayLike
    xy: ArrayLike
    yy: ArrayLike
    log_weight: ArrayLike
    known: KnownRows | None = None

    @classmethod
    def over(cls, batches: Iterable[tuple[Array, Array, Array]]) -> Self:
        """Sums over batches of (matrix (n, P), outcome (n,), weights (n,)), in float64."""
        rows, yy, log_weight = 0, 0.0, 0.0
        xx: Array | float = 0.0
        xy: Array | float = 0.0
        for matrix, outcome, weights in batches:
            root = np.sqrt(weights)
            x, y = matrix * root[:, None], outcome * root
            rows += len(y)
            xx = xx + x.T @ x
            xy = xy + x.T @ y
            yy = yy + float(y @ y)
            log_weight = log_weight + float(np.log(weights).sum())
        return cls(float(rows), np.asarray(xx), np.asarray(xy), yy, log_weight)

    def joined(self, other: Self) -> Self:
        """Sums over these rows and others, before known rows join them."""
        pairs = zip(self[:-1], other[:-1], strict=True)
        added: tuple[Any, ...] = tuple(np.add(one, more) for one, more in pairs)
        return type(self)(*added)

    def of_columns(self, columns: NDArray[np.int_]) -> "Sums":
        """Sums over some columns of the matrix alone."""
        xx, xy = np.asarray(self.xx), np.asarray(self.xy)
        known = self.known and self.known._replace(matrix=np.asarray(self.known.matrix)[:, columns])
        return self._replace(xx=xx[np.ix_(columns, columns)], xy=xy[columns], known=known)

    def about(self, mean: ArrayLike) -> "Sums":
        """Sums of what coefficients of a mean, shape (P,), leave of the outcome; of JAX as well."""
        xx, xy, known = cast(Any, self.xx), cast(Any, self.xy), self.known
        shift = xx @ mean
        if known is not None:
            known = known._replace(outcome=known.outcome - cast(Any, known.matrix) @ mean)
        squares = self.yy - 2 * mean @ xy + mean @ shift
        return self._replace(xy=xy - shift, yy=squares, known=known)

    def padded(self, size: int) -> "Sums":
        """The same with columns of zeros, ``size`` in all."""
        more = (0, size - len(np.asarray(self.xy)))
        known = self.known and self.known._replace(matrix=np.pad(self.known.matrix, ((0, 0), more)))
        return self._replace(
            xx=np.pad(self.xx, (more, more)), xy=np.pad(self.xy, more), known=known
        )


class CandidateSums(NamedTuple):
    """Weighted sums over rows of further columns Z, those of candidates, beside a model's X.

    Of what candidates are multiplied with each other only each one's own part is there: all of it
    would take time and memory as the square of their number.

    Attributes
    ----------
    sums : Sums
        Of X, y and the weights.
    cross : (Q, P), xy : (Q,)
        Z'WX and Z'Wy.
    own : tuple of (q, q)
        Z_i'WZ_i of each candidate.
    """

    sums: Sums
    cross: Array
    xy: Array
    own: tuple[Array, ...]

    @property
    def columns(self) -> list[slice]:
        """Which of the Q columns are each candidate's."""
        ends = np.cumsum([0, *(len(own) for own in self.own)])
        return [slice(begin, end) for begin, end in pairwise(ends)]

    @classmethod
    def over(
        cls,
        matrix: Array,
        outcome: Array,
        weights: Array,
        sizes: Sequence[int],
        dtype: DTypeLike = np.float32,
        whole: bool = True,
    ) -> Self:
        """Sums over rows of (n, P + Q) columns, of which candidates of ``sizes`` are the last.

        Those of X in float64, the others in ``dtype``. Those of X alone are left out, as nothing,
        unless the sums are to be ``whole``.
        """
        first = matrix.shape[1] - sum(sizes)
        root = np.sqrt(weights)[:, None]
        rounded = (matrix * root).astype(dtype)
        z, y = rounded[:, first:], outcome * root[:, 0]
        ends = np.cumsum(sizes)
        return cls(
            Sums.over([(matrix[:, : first * whole], outcome, weights)]),
            (z.T @ rounded[:, :first]).astype(float),
            (z.T @ y.astype(dtype)).astype(float),
            tuple(
                (z[:, end - size : end].T @ z[:, end - size : end]).astype(float)
                for size, end in zip(sizes, ends, strict=True)
            ),
        )

    def of_candidates(self, chosen: Sequence[int]) -> "CandidateSums":
        """Sums of some of the candidates alone, in the given order."""
        ranges = [np.arange(len(self.xy))[self.columns[i]] for i in chosen]
        at = np.concatenate([np.zeros(0, dtype=int), *ranges])
        own = tuple(self.own[i] for i in chosen)
        return CandidateSums(self.sums, self.cross[at], self.xy[at], own)

    def joined(self, other: Self) -> Self:
        """Sums over these rows and others."""
        return type(self)(
            self.sums.joined(other.sums),
            self.cross + other.cross,
            self.xy + other.xy,
            tuple(np.add(one, more) for one, more in zip(self.own, other.own, strict=True)),
        )


@jax.custom_vjp
def _fit_terms(xx: jax.Array, xy: jax.Array, log_sd: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Quadratic form b'S B^-1 S b and log det B, where B = I + S G S and S = diag(exp(log_sd)).

    Where b is a matrix, of shape (P, C), the first of them is one too, (C, C).
    """
    sd = jnp.exp(log_sd)
    factor = jnp.linalg.cholesky(_scaled(xx, sd), symmetrize_input=False)
    half = solve_triangular(factor, (sd * xy.T).T, lower=True)
    return jnp.dot(half.T, half), 2 * jnp.sum(jnp.log(jnp.diag(factor)))


def _scaled(xx: jax.Array, sd: jax.Array) -> jax.Array:
    """I + S G S."""
    return xx * sd[:, None] * sd[None, :] + jnp.eye(len(sd))


def _fit_terms_forward(
    xx: jax.Array, xy: jax.Array, log_sd: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array, jax.Array]]:
    sd = jnp.exp(log_sd)
    diagonal, inverse_factor = _inverse_factor(_scaled(xx, sd))
    scaled = (sd * xy.T).T
    whitened = inverse_factor.T @ (inverse_factor @ scaled)
    inverse_diagonal = jnp.sum(inverse_factor**2, axis=0)
    value = jnp.dot(whitened.T, scaled), 2 * jnp.sum(jnp.log(diagonal))
    return value, (whitened, inverse_diagonal, sd)


def _inverse_factor(matrix: jax.Array, halvings: int = HALVINGS) -> tuple[jax.Array, jax.Array]:
    """The diagonal of the lower Cholesky factor, and the factor's inverse.

    Block by block, so that nearly all of it is matrix products: a library's factorisation and
    triangular solve of matrices of a few hundred rows take twice as long.
    """
    size = len(matrix)
    if size <= LEAF or not halvings:
        factor = jnp.linalg.cholesky(matrix, symmetrize_input=False)
        return jnp.diag(factor), solve_triangular(factor, jnp.eye(size), lower=True)
    half = size // 2
    first, upper = _inverse_factor(matrix[:half, :half], halvings - 1)
    below = matrix[half:, :half] @ upper.T
    second, lower = _inverse_factor(matrix[half:, half:] - below @ below.T, halvings - 1)
    inverse = jnp.block([[upper, jnp.zeros(below.T.shape)], [-lower @ below @ upper, lower]])
    return jnp.concatenate([first, second]), inverse


def _fit_terms_backward(
    saved: tuple[jax.Array, jax.Array, jax.Array], cotangent: tuple[jax.Array, jax.Array]
) -> tuple[None, jax.Array, jax.Array]:
    # Both derivatives need the diagonal of B^-1 and one solve alone, a third of what
    # differentiating through the Cholesky factor costs:
    #   d logdet / d log s_p = 2 (1 - B^-1_pp),  d quadratic / d log s_p = 2 (B^-1 S b)_p^2
    whitened, inverse_diagonal, sd = saved
    quadratic, log_det = cotangent
    towards_determinant = 2 * log_det * (1 - inverse_diagonal)
    if whitened.ndim == 2:
        along = whitened @ (quadratic + quadratic.T)
        return None, sd[:, None] * along, jnp.sum(along * whitened, axis=1) + towards_determinant
    towards_xy = 2 * quadratic * sd * whitened
    towards_log_sd = 2 * quadratic * whitened**2 + towards_determinant
    return None, towards_xy, towards_log_sd


_fit_terms.defvjp(_fit_terms_forward, _fit_terms_backward)


def log_marginal(sums: Sums, log_sd: jax.Array, noise_sd: ArrayLike) -> jax.Array:
    """Log density of the outcome with the coefficients integrated out.

    Parameters
    ----------
    sums : Sums
        About the coefficients' prior mean m; treated as constants by differentiation.
    log_sd : Array, shape (P,)
        Log prior standard deviations.
    noise_sd : float
        Standard deviation of the noise of a row of weight one.

    Returns
    -------
    Array, shape ()
        log N(y; X m, X diag(s^2) X' + noise_sd^2 W^-1), and on top of it the log density of the
        outcomes of known rows given y.
    """
    xy, yy, log_noise = jnp.asarray(sums.xy), jnp.asarray(sums.yy), jnp.log(noise_sd)
    if sums.known is not None:
        xy = jnp.concatenate([xy[:, None], jnp.asarray(sums.known.matrix).T], axis=1)
    # In units of the noise: beta / noise_sd has prior sd s / noise_sd.
    quadratic, log_det = _fit_terms(jnp.asarray(sums.xx), xy, log_sd - log_noise)
    of_y = quadratic if sums.known is None else quadratic[0, 0]
    log_density = -0.5 * (
        (yy - of_y) * jnp.exp(-2 * log_noise)
        + log_det
        + sums.rows * (2 * log_noise + jnp.log(2 * jnp.pi))
        - sums.log_weight
    )
    if sums.known is None:
        return log_density
    # Given y, beta is normal about m + S B^-1 S b with covariance noise_sd^2 S B^-1 S.
    residual = jnp.asarray(sums.known.outcome) - quadratic[0, 1:]
    covariance = jnp.eye(len(residual)) + jnp.exp(2 * log_noise) * quadratic[1:, 1:]
    jacobian = jnp.sum(jnp.asarray(sums.known.log_sd))
    return log_density + _log_normal(residual, covariance) - jacobian


def log_marginal_and_draw(
    sums: Sums, log_sd: jax.Array, noise_sd: jax.Array, normal: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """:func:`log_marginal`, and with the same factor a draw of the coefficients given the outcome.

    Parameters
    ----------
    sums, log_sd, noise_sd
        As there.
    normal : Array, shape (P,)
        Standard normal numbers.

    Returns
    -------
    log_density : Array, shape ()
    draw : Array, shape (P,)
        About the prior mean.
    """
    ratio = jnp.exp(log_sd - jnp.log(noise_sd))
    matrix = _scaled(jnp.asarray(sums.xx), ratio)
    information = ratio * sums.xy / noise_sd
    squares = jnp.asarray(sums.yy) / noise_sd**2
    log_scale = jnp.asarray(sums.rows) * jnp.log(2 * jnp.pi * noise_sd**2)
    if sums.known is not None:
        outcome = jnp.asarray(sums.known.outcome)
        known = jnp.asarray(sums.known.matrix) * jnp.exp(log_sd)
        matrix, information = matrix + known.T @ known, information + known.T @ outcome
        squares += jnp.sum(outcome**2)
        log_scale += jnp.sum(jnp.log(2 * jnp.pi) + 2 * jnp.asarray(sums.known.log_sd))
    factor = jnp.linalg.cholesky(matrix, symmetrize_input=False)
    half = solve_triangular(factor, information, lower=True)
    step = solve_triangular(factor, half + normal, lower=True, trans="T")
    log_det = 2 * jnp.sum(jnp.log(jnp.diag(factor)))
    squares -= jnp.sum(half**2)
    return -0.5 * (squares + log_det + log_scale - sums.log_weight), jnp.exp(log_sd) * step


def _log_normal(residual: jax.Array, covariance: jax.Array) -> jax.Array:
    """Log density of a normal vector of mean zero."""
    factor = jnp.linalg.cholesky(covariance)
    whitened = solve_triangular(factor, residual, lower=True)
    log_det = 2 * jnp.sum(jnp.log(jnp.diag(factor)))
    return -0.5 * (whitened @ whitened + log_det + len(residual) * jnp.log(2 * jnp.pi))
