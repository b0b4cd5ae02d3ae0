"""Posterior with Student-t noise, for delayed acceptance by a Gaussian approximation of the rows.

To second order in the coefficients, Student-t rows are Gaussian (`row_expansion`), so that the
coefficients integrate out. NUTS samples this approximation. With every proposal of the
hyperparameters the coefficients are drawn several times from their distribution under the
approximation, one draw is chosen with the ratio of the rows' two likelihoods as its weight, and the
average weight corrects the proposal. This is exact: the average is an unbiased estimate of the
ratio of the marginal likelihoods (pseudo-marginal Metropolis; Andrieu and Roberts, Annals of
Statistics 2009), and the proposal is reversible under the approximation (delayed acceptance). Its
variance is small where rows outnumber coefficients: what the approximation leaves out is of third
order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special
from scipy.linalg import solve_triangular

from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.density.log_density import (
    LogDensity,
    Potential,
    PotentialAndDraw,
    padding_to,
)
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.elimination import ReducedStatistics
from bayes_intgen.inference.gaussian.passes import relative_noise_sd
from bayes_intgen.inference.pilot.pilot import Pilot
from bayes_intgen.inference.pilot.pruning import PrunedModel
from bayes_intgen.inference.sampling.row_expansion import RowExpansion
from bayes_intgen.models.hyperpriors import DEGREES_OF_FREEDOM

# Maximum number of rows with several draws per proposal: with more of them the approximation is
# closer, and a draw takes longer than the rest of an iteration.
ROWS_WITH_SEVERAL_DRAWS = 10_000
# Half the number of draws per proposal; divides the number of normal numbers, a multiple of 16.
N_ROTATIONS = 4


class RowRatio(NamedTuple):
    """Ratio of Student-t likelihood to its Gaussian approximation; arrays of compiled programs.

    Attributes
    ----------
    design : ndarray of float32, shape (N + padding, P + Q)
        Columns of the P coefficients with sampled scales and of the Q others, in coordinates in
        which the posterior precision is about that of the noise, and in units of each row's
        relative noise. There single precision is exact to six digits in every direction.
    root : ndarray, shape (P, P)
        Coordinates of the first coefficients are ``root @ (coefficients - centre)``.
    centre : ndarray, shape (P,)
        Coefficients about which the rows are expanded.
    mean, cross : ndarray, shapes (Q,) and (Q, P)
        The last coordinates have mean ``mean - cross @ coefficients`` under the approximation, and
        the standard deviation of the noise; ``last`` is their centre.
    last : ndarray, shape (Q,)
    present : ndarray, shape (N + padding,)
        One for rows, zero for padding.
    residual : ndarray, shape (N + padding,)
        Residuals about the centre.
    slope, precision : ndarray, shapes (P + Q,) and (P + Q, P + Q)
        Slope and precision of the approximation, in the same coordinates.
    log_noise : ndarray, shape (3,)
        Log scale and log degrees of freedom at the centre, and the slope of the latter in the
        former.
    df_sd : float
        Standard deviation of log degrees of freedom given the scale.
    rows, squares, log_precision : float
        Number of rows of the approximation, their sum of squares at the centre, and sum of the
        logarithms of inverse relative standard deviations.
    power : float
        Power of the Student-t likelihood.
    """

    design: Any
    root: Any
    centre: Any
    mean: Any
    cross: Any
    last: Any
    present: Any
    residual: Any
    slope: Any
    precision: Any
    log_noise: Any
    df_sd: Any
    rows: Any
    squares: Any
    log_precision: Any
    power: Any

    def draw_last(self, coefficients: Any, log_scale: Any, normal: Any, xp: ModuleType) -> Any:
        """Draw the last coordinates given the first coefficients, shape (Q,)."""
        return self.mean - self.cross @ coefficients + xp.exp(log_scale) * normal

    def log_df(self, log_scale: Any, deviation: Any) -> Any:
        """Log degrees of freedom, from their deviation in units of ``df_sd`` given the scale."""
        at, mode, slope = self.log_noise
        return mode + slope * (log_scale - at) + self.df_sd * deviation

    def log_ratio(
        self, draw: Any, log_scale: Any, deviation: Any, xp: ModuleType, functions: ModuleType
    ) -> Any:
        """Log of Student-t likelihood and prior of the degrees of freedom over the approximation.

        Parameters
        ----------
        draw : (P + Q,)
            Coefficients, and the last coordinates.
        log_scale : ()
            Logarithm of the scale of the noise.
        deviation : ()
            Deviation of log degrees of freedom; standard normal under the approximation.
        xp, functions : module
            ``numpy`` and ``scipy.special``, or those of JAX.
        """
        count = len(self.centre)
        coordinates = xp.concatenate(
            [self.root @ (draw[:count] - self.centre), draw[count:] - self.last]
        )
        change = (self.design @ coordinates.astype(self.design.dtype)).astype(coordinates.dtype)
        log_df = self.log_df(log_scale, deviation)
        df, scale, number = xp.exp(log_df), xp.exp(log_scale), self.present.sum()
        prior = DEGREES_OF_FREEDOM
        constant = functions.gammaln((df + 1) / 2) - functions.gammaln(df / 2)
        constant = constant - 0.5 * (log_df + np.log(np.pi)) - log_scale
        squares = ((self.residual - change) / scale) ** 2
        logs = (self.present * xp.log1p(squares / df)).sum()
        exact = number * constant - 0.5 * (df + 1) * logs + self.log_precision
        exact = self.power * exact + prior.concentration * log_df - prior.rate * df
        misfit = self.squares + coordinates @ (self.precision @ coordinates - 2 * self.slope)
        gaussian = -self.rows * (log_scale + 0.5 * np.log(2 * np.pi)) - 0.5 * misfit / scale**2
        return exact - gaussian + 0.5 * deviation**2


class StudentTPosterior(NamedTuple):
    """Posterior with Student-t noise, and its Gaussian approximation.

    Flat vectors have the logarithms of all hyperparameters, then the deviation of the degrees of
    freedom.

    Attributes
    ----------
    posterior : MarginalPosterior
        The approximation.
    ratio : RowRatio
    statistics : ReducedStatistics
        Of the approximation.
    """

    posterior: MarginalPosterior
    ratio: RowRatio
    statistics: ReducedStatistics

    @classmethod
    def of(cls, rows: Observations, pruned: PrunedModel, pilot: Pilot, start: Array) -> Self:
        """Expand the rows of a fit at the hyperparameters ``start`` of the pruned model."""
        fit, statistics, terms = pilot.student_t, pruned.statistics, pruned.terms
        assert fit is not None
        own, last = statistics.remaining, statistics.eliminated
        # Fixed scales are in units of the scale of the noise, which pseudo-values exceed.
        fixed = statistics.ratio * float(pilot.sites["noise_sd"]) / fit.scale
        priors, sites = pruned.posterior.priors, pruned.posterior.sites(start)
        prior_mean, prior_sd = np.zeros(terms.size), np.empty(terms.size)
        prior_mean[own], prior_sd[own] = priors.mean, np.exp(priors.log_sd(sites))
        prior_sd[last] = fixed * fit.scale
        relative_sd = relative_noise_sd(pilot.spread, rows)
        matrix = terms.matrix(rows.inputs, rows.intervened) / relative_sd[:, None]
        outcome = (rows.outcome - terms.centre) / relative_sd
        expansion = RowExpansion.of(matrix, outcome, fit, prior_mean, prior_sd)

        sums = expansion.statistics._replace(known=pilot.sums.known)
        reduced = ReducedStatistics.of(sums, last, fixed)
        posterior = MarginalPosterior(priors, reduced.sums, pruned.posterior.terms, spare=1)
        ratio = _row_ratio(
            matrix, relative_sd, expansion, reduced, posterior, prior_sd[own], fit.power
        )
        return cls(posterior, ratio, reduced)

    @property
    def density(self) -> LogDensity:
        """Density of the draws, whose proposals NUTS makes under the approximation."""
        gaussian = self.posterior.density
        assert gaussian.potential_and_draw is not None
        at = int(self.posterior.layout.positions["noise_sd"][0])
        size = self.posterior.layout.size
        return gaussian._replace(
            potential=_OfFirst(gaussian.potential),
            data=(gaussian.data, self.ratio),
            potential_and_draw=_PotentialAndDraw(
                gaussian.potential_and_draw, at, size, self._several
            ),
            # One more, which chooses among the draws.
            n_coefficients=gaussian.n_coefficients + len(self.ratio.last) + 1,
            draw=self._draw,
            correction=self._correction,
        )

    def sites(self, flat: Array) -> dict[str, Array]:
        """Hyperparameters by name, from flat vectors (..., D + 1)."""
        sites = self.posterior.sites(flat)
        log_df = self.ratio.log_df(np.log(sites["noise_sd"]), flat[..., self.posterior.layout.size])
        return {**sites, "df": np.exp(log_df)}

    def coefficients(self, draws: Array) -> Array:
        """All coefficients, shape (chain, draw, P + Q), from draws of the density."""
        own, last = self.statistics.remaining, self.statistics.eliminated
        out = np.empty((*draws.shape[:-1], len(own) + len(last)))
        out[..., own] = draws[..., : len(own)]
        first = len(self.ratio.centre)
        # Coefficients are ratio * inverse(factor)' times the coordinates.
        inverse = solve_triangular(
            self.statistics.factor, np.diag(self.statistics.ratio), lower=True
        )
        out[..., last] = draws[..., first : first + len(last)] @ inverse
        return out

    @property
    def _several(self) -> bool:
        return len(self.ratio.present) <= ROWS_WITH_SEVERAL_DRAWS

    def _draw(self, flat: Array, normal: Array) -> Array:
        """Draw under the approximation, shape (P + Q + 1,), from as many normal numbers."""
        return np.append(self._from_normal(flat, normal[:-1]), 0.0)

    def _from_normal(self, flat: Array, normal: Array) -> Array:
        first = len(self.ratio.centre)
        own = self.posterior.draw(flat, normal[:first])
        log_scale = np.log(self.posterior.sites(flat)["noise_sd"])
        return np.append(own, self.ratio.draw_last(own, log_scale, normal[first:], np))

    def _correction(self, flat: Array, draw: Array) -> float:
        """Correction of a state with this draw: of the normal numbers behind it, in any order."""
        ratio, size = self.ratio, self.posterior.size
        first, sites = len(ratio.centre), self.posterior.sites(flat)
        log_scale, conditional = np.log(sites["noise_sd"]), self.posterior.conditional(sites)
        own = solve_triangular(conditional.root, draw[:size] - conditional.mean)
        mean = ratio.draw_last(draw[:first], -np.inf, 0.0, np)
        last = (draw[first:-1] - mean) / np.exp(log_scale)
        normal = np.concatenate([own, draw[size:first], last])
        deviation = flat[self.posterior.layout.size]
        every = [
            ratio.log_ratio(self._from_normal(flat, one), log_scale, deviation, np, special)
            for one in (_orbit(normal, np) if self._several else normal[None])
        ]
        return float(np.log(len(every)) - special.logsumexp(every))


def _orbit(normal: Any, xp: ModuleType) -> Any:
    """Vectors that are as probable as a normal one, from each of which all follow.

    They are its rotations by multiples of a quarter of its length, and the opposite ones.
    """
    step = len(normal) // N_ROTATIONS
    rotated = [xp.roll(normal, i * step) for i in range(N_ROTATIONS)]
    return xp.stack([sign * one for one in rotated for sign in (1, -1)])


def _row_ratio(
    matrix: Array,
    relative_sd: Array,
    expansion: RowExpansion,
    reduced: ReducedStatistics,
    posterior: MarginalPosterior,
    prior_sd: Array,
    power: float,
) -> RowRatio:
    """Arrange a design for compiled programs, with padding."""
    own, last = reduced.remaining, reduced.eliminated
    first = posterior.density.n_coefficients
    size = first + len(last) + padding_to(16, len(last))
    more, rest = padding_to(256, len(matrix)), (0, size - first - len(last))
    precision = np.asarray(reduced.sums.xx) + np.diag((expansion.scale / prior_sd) ** 2)
    root = np.eye(first)
    root[: len(own), : len(own)] = np.linalg.cholesky(precision).T
    # Inverse of the map from coefficients to coordinates.
    inverse = np.zeros((matrix.shape[1], size))
    inverse[own, : len(own)] = np.linalg.inv(root[: len(own), : len(own)])
    of_last = solve_triangular(reduced.factor, np.diag(reduced.ratio), lower=True)
    inverse[last, first : first + len(last)] = of_last.T
    design = np.pad(matrix @ inverse, ((0, more), (0, 0))).astype(np.float32)
    of_information = np.c_[reduced.information, reduced.cross]
    mean, *cross = solve_triangular(reduced.factor, of_information, lower=True).T
    of_noise = np.linalg.inv(expansion.noise_covariance)
    return RowRatio(
        design,
        root,
        np.pad(expansion.mean[own], (0, first - len(own))),
        np.pad(mean, rest),
        np.pad(np.array(cross).T, (rest, (0, first - len(own)))),
        np.pad(reduced.factor.T @ (expansion.mean[last] / reduced.ratio), rest),
        np.pad(np.ones(len(matrix)), (0, more)),
        np.pad(expansion.residual, (0, more)),
        inverse.T @ expansion.slope,
        inverse.T @ expansion.precision @ inverse,
        np.append(expansion.log_noise, -of_noise[0, 1] / of_noise[1, 1]),
        float(of_noise[1, 1]) ** -0.5,
        expansion.rows,
        expansion.squares,
        -float(np.log(relative_sd).sum()),
        power,
    )


@dataclass(frozen=True)
class _OfFirst:
    """Potential of the first element of its data."""

    potential: Potential

    def __call__(self, data: Any) -> Callable[[jax.Array], jax.Array]:
        return self.potential(data[0])


@dataclass(frozen=True)
class _PotentialAndDraw:
    """Corrected potential and draw; ``noise`` and ``deviation`` are positions in flat vectors."""

    gaussian: PotentialAndDraw
    noise: int
    deviation: int
    several: bool

    def __call__(self, data: Any) -> Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
        ratio: RowRatio = data[1]
        first = len(ratio.centre)

        def potential_and_draw(flat: jax.Array, normal: jax.Array) -> tuple[jax.Array, jax.Array]:
            log_noise = flat[self.noise]

            def one(normal: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
                potential, own = self.gaussian(data[0])(flat, normal[:first])
                last = ratio.draw_last(own, log_noise, normal[first:], jnp)
                draw = jnp.concatenate([own, last])
                log_ratio = ratio.log_ratio(
                    draw, log_noise, flat[self.deviation], jnp, jax.scipy.special
                )
                return potential, draw, log_ratio

            normals = _orbit(normal[:-1], jnp) if self.several else normal[None, :-1]
            potentials, draws, log_ratios = jax.vmap(one)(normals)
            total = jax.scipy.special.logsumexp(log_ratios)
            share = jnp.cumsum(jnp.exp(log_ratios - total))
            chosen = jnp.searchsorted(share[:-1], jax.scipy.special.ndtr(normal[-1]))
            potential = potentials[0] - total + np.log(len(normals))
            return potential, jnp.append(draws[chosen], 0.0)

        return potential_and_draw
