"""Rows with Student-t noise, arranged for the Gibbs sampler of their weights (`row_weights`)."""

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, solve_triangular

from bayes_intgen._typing import Array
from bayes_intgen.data.batches import ROWS_PER_BATCH
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.density.log_density import LogDensity
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.elimination import ReducedStatistics
from bayes_intgen.inference.gaussian.passes import relative_noise_sd
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.inference.pilot.pilot import Pilot
from bayes_intgen.inference.pilot.pruning import PrunedModel
from bayes_intgen.inference.pilot.student_t import StudentTFit, noise_potential
from bayes_intgen.models.program import degrees_of_freedom

# Least ratio of data precision to prior precision of a direction of the coefficients with fixed
# scales that every sweep draws. Others hardly depend on anything, and are drawn in some sweeps.
INFORMED_RATIO = 0.1
# Metropolis steps of scale and degrees of freedom in a sweep: independence proposals from a t
# distribution about their mode, wider than their posterior, and random walks, which still move
# where the posterior is far from it (step size: Gelman, Roberts and Gilks 1996).
PROPOSAL_DF, PROPOSAL_WIDTH, RANDOM_WALK_SIZE = 5, 1.3, 2.38 / np.sqrt(2)


class FixedScales(NamedTuple):
    """Coefficients with fixed scales, as independent weights u of the same scale as the noise.

    Attributes
    ----------
    columns : ndarray of int
        Their columns of the design.
    root, inverse : ndarray, shape (Q, Q)
        The coefficients are ``root @ u``. Weights come in the order of their data precision.
    informed : int
        Number of weights that every sweep draws.
    """

    columns: NDArray[np.int_]
    root: Array
    inverse: Array
    informed: int

    @classmethod
    def of(cls, statistics: ReducedStatistics, unit: float) -> Self:
        """Rotate the coefficients to the eigenvectors of their data precision.

        ``unit`` is the noise standard deviation that the statistics' ratios are relative to, over
        the scale of the noise.
        """
        factor = statistics.factor
        values, vectors = eigh(factor @ factor.T - np.eye(len(factor)))
        ratio, vectors = statistics.ratio * unit, vectors[:, ::-1]
        informed = int((values > INFORMED_RATIO).sum())
        return cls(statistics.eliminated, ratio[:, None] * vectors, vectors.T / ratio, informed)


class WhitenedDesign(NamedTuple):
    """Design in coordinates in which the posterior precision is about that of the noise.

    There, single precision is exact to six digits in every direction, and twice as fast.

    Attributes
    ----------
    matrix : ndarray of float32, shape (N, p)
        ``design @ inverse(root).T``.
    root : ndarray, shape (p, p)
        Lower Cholesky factor of the expected posterior precision.
    """

    matrix: NDArray[np.float32]
    root: Array

    @classmethod
    def of(cls, design: Array, prior_precision: Array) -> Self:
        """Whiten a design; precisions are in units of the noise, prior ones of shape (p,)."""
        root = np.linalg.cholesky(design.T @ design + np.diag(prior_precision))
        matrix = solve_triangular(root, design.T, lower=True).T
        return cls(np.ascontiguousarray(matrix, dtype=np.float32), root)

    def fitted(self, coefficients: Array) -> Array:
        """Product of the design and coefficients (p,), shape (N,)."""
        white = (self.root.T @ coefficients).astype(np.float32)
        return np.asarray(self.matrix @ white, dtype=np.float64)

    def sums(self, outcome: Array, weights: Array) -> SufficientStatistics:
        """Weighted statistics of the design, by batches."""
        size = self.matrix.shape[1]
        xx, xy = np.zeros((size, size)), np.zeros(size)
        root_weights = np.sqrt(weights).astype(np.float32)
        weighted = (weights * outcome).astype(np.float32)
        for begin in range(0, len(outcome), ROWS_PER_BATCH):
            batch = slice(begin, begin + ROWS_PER_BATCH)
            matrix = self.matrix[batch]
            scaled = matrix * root_weights[batch, None]
            xx += scaled.T @ scaled
            xy += weighted[batch] @ matrix
        return SufficientStatistics(
            float(len(outcome)),
            self.root @ xx @ self.root.T,
            self.root @ xy,
            float(weights @ outcome**2),
            float(np.log(weights).sum()),
        )


class StudentTRows(NamedTuple):
    """Rows with Student-t noise, and the model of their mean.

    Attributes
    ----------
    posterior : MarginalPosterior
        Posterior of the hyperparameters given pseudo-values: its statistics are replaced in every
        sweep.
    data : tuple
        Data of its density, likewise.
    columns : ndarray of int, shape (P,)
        Columns of the coefficients with sampled scales.
    fixed : FixedScales
    design : ndarray, shape (N, P + padding + Q)
        Columns with sampled scales, padded as the density is, then those of the weights u; in units
        of each row's relative noise.
    whitened : WhitenedDesign
        Of the columns that every sweep draws.
    rest : ndarray of float32, shape (N, Q - informed)
        The other columns, whose products with coefficients are small.
    outcome : ndarray, shape (N,)
        Outcomes minus their prior means, in the same units.
    log_precision : float
        Sum of the logarithms of the rows' inverse relative variances.
    fit : StudentTFit
        Noise at the mode.
    """

    posterior: MarginalPosterior
    data: Any
    columns: NDArray[np.int_]
    fixed: FixedScales
    design: Array
    whitened: WhitenedDesign
    rest: NDArray[np.float32]
    outcome: Array
    log_precision: float
    fit: StudentTFit

    @classmethod
    def of(
        cls, rows: Observations, pruned: PrunedModel, pilot: Pilot, sites: dict[str, Array]
    ) -> Self:
        """Arrange the rows of a fit; ``sites`` are the hyperparameters at the pruned mode."""
        assert pilot.student_t is not None
        terms, statistics, posterior = pruned.terms, pruned.statistics, pruned.posterior
        relative_sd = relative_noise_sd(pilot.spread, rows)
        matrix = terms.matrix(rows.inputs, rows.intervened) / relative_sd[:, None]
        # Fixed scales are in units of the scale of the noise, which pseudo-values exceed.
        fixed = FixedScales.of(statistics, float(pilot.sites["noise_sd"]) / pilot.noise_scale)
        size = posterior.density.n_coefficients
        design = np.zeros((len(matrix), size + len(fixed.columns)))
        design[:, : posterior.size] = matrix[:, statistics.remaining]
        design[:, size:] = matrix[:, fixed.columns] @ fixed.root
        outcome = (rows.outcome - terms.centre) / relative_sd
        precision = np.ones(size + fixed.informed)
        log_sd = posterior.priors.log_sd(sites)
        precision[: posterior.size] = np.exp(2 * (np.log(pilot.noise_scale) - log_sd))
        return cls(
            posterior,
            posterior.density.data,
            statistics.remaining,
            fixed,
            design,
            WhitenedDesign.of(design[:, : len(precision)], precision),
            np.ascontiguousarray(design[:, len(precision) :], dtype=np.float32),
            outcome - design[:, : posterior.size] @ posterior.priors.mean,
            -2 * float(np.log(relative_sd).sum()),
            pilot.student_t,
        )

    @property
    def size(self) -> int:
        """Number of coefficients with sampled scales, with padding."""
        return int(self.design.shape[1] - len(self.fixed.columns))

    @property
    def density(self) -> LogDensity:
        """Density for the start of chains: given pseudo-values, with all coefficients to draw."""
        count = len(self.columns) + len(self.fixed.columns)
        return self.posterior.density._replace(n_coefficients=count + 1, draw=self.start)

    def start(self, flat: Array, normal: Array) -> Array:
        """Draw coefficients, shape (P + Q,), and log df, from as many normal numbers."""
        state = np.empty(len(normal))
        own = self.posterior.conditional(self.posterior.sites(flat))
        state[self.columns] = own.mean + own.root @ normal[self.columns]
        state[self.fixed.columns] = own.noise_sd * self.fixed.root @ normal[self.fixed.columns]
        state[-1] = self.fit.log_mode[1] + np.sqrt(self.fit.covariance[1, 1]) * normal[-1]
        return state

    def deviations(self, state: Array) -> tuple[Array, Array]:
        """Coefficients minus their prior means, with padding, and the weights u of a state."""
        own = np.zeros(self.size)
        own[: len(self.columns)] = state[self.columns] - self.posterior.priors.mean
        return own, self.fixed.inverse @ state[self.fixed.columns]

    def draw_noise(
        self, residual: Array, log_noise: Array, fixed: Array, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Draw log scale and log degrees of freedom, then the weights, given the coefficients."""
        prior, root = degrees_of_freedom(), np.linalg.cholesky(self.fit.covariance)
        at = self.posterior.layout.positions["noise_sd"][0]
        median, sd = self.posterior.start[at], self.posterior.prior_sd[at]
        squares, of_fixed = residual**2, float(fixed @ fixed)

        def potential(log_noise: Array) -> float:
            log_scale = log_noise[0]
            own = 0.5 * ((log_scale - median) / sd) ** 2 + len(fixed) * log_scale
            own += 0.5 * of_fixed * np.exp(-2 * log_scale)
            return float(own + noise_potential(log_noise, squares, prior))

        def log_proposal(log_noise: Array) -> float:
            away = np.linalg.solve(PROPOSAL_WIDTH * root, log_noise - self.fit.log_mode)
            return float(-0.5 * (PROPOSAL_DF + 2) * np.log1p(away @ away / PROPOSAL_DF))

        value = potential(log_noise)
        for independent in (True, False):
            step, correction = root @ rng.standard_normal(2), 0.0
            if independent:
                tail = np.sqrt(PROPOSAL_DF / rng.chisquare(PROPOSAL_DF))
                proposal = self.fit.log_mode + PROPOSAL_WIDTH * tail * step
                correction = log_proposal(log_noise) - log_proposal(proposal)
            else:
                proposal = log_noise + RANDOM_WALK_SIZE * step
            proposed = potential(proposal)
            if np.log(rng.random()) < value - proposed + correction:
                log_noise, value = proposal, proposed
        scale, df = np.exp(log_noise)
        weights = rng.standard_gamma((df + 1) / 2, len(residual))
        weights /= 0.5 * (df + squares / scale**2)
        return log_noise, weights

    def residual(self, own: Array, fixed: Array) -> tuple[Array, Array]:
        """Residuals, and outcomes given the weights u that not every sweep draws."""
        outcome = self.outcome - self.rest @ fixed[self.fixed.informed :].astype(np.float32)
        informed = np.concatenate([own, fixed[: self.fixed.informed]])
        return outcome - self.whitened.fitted(informed), outcome

    def statistics(self, weights: Array, outcome: Array, given: Array) -> ReducedStatistics:
        """Statistics of the weighted rows, without the first weights u.

        The last ones are ``given``; they inform the scale of the noise, which is their unit.
        """
        if len(given):
            sums = self.whitened.sums(outcome, weights)
        else:
            sums = SufficientStatistics.over([(self.design, self.outcome, weights)])
        sums = sums._replace(
            rows=float(np.asarray(sums.rows)) + len(given),
            yy=float(np.asarray(sums.yy)) + float(given @ given),
            log_weight=float(np.asarray(sums.log_weight)) + self.log_precision,
        )
        last = self.design.shape[1] - len(given)
        return ReducedStatistics.of(sums, np.arange(self.size, last), np.ones(last - self.size))
