"""Gibbs sampler of Student-t noise: a Gaussian scale mixture with a weight per row.

Given weights, Student-t rows are Gaussian, so that all coefficients integrate out. Each sweep draws
(1) scale and degrees of freedom given the residuals, with the weights integrated out, (2) the
weights, (3) the hyperparameters given the weights, with the coefficients integrated out, by one
trajectory of NUTS, and (4) the coefficients given all else. It is a partially collapsed Gibbs
sampler (van Dyk and Park, JASA 2008): what a step integrates out is drawn anew before it is used.
Far rows make it slower by a factor of about (df + 3) / 2, the inverse of the share of information
about the mean that the weights do not hide.
"""

from typing import NamedTuple, Self

import jax.numpy as jnp
import numpy as np

from bayes_intgen._random import generator
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
from bayes_intgen.inference.sampling.chain_runner import concatenated
from bayes_intgen.inference.sampling.checkpoint import Collected
from bayes_intgen.inference.sampling.kernel import ChainState, Innovations, NUTSKernel
from bayes_intgen.models.base import degrees_of_freedom
from bayes_intgen.models.pseudo_observations import PseudoObservations

# Probability that a sweep draws the coefficients with a fixed scale too. Products of their many
# columns take most of the time, and hardly any other coefficient depends on them.
FULL_SWEEP_PROBABILITY = 0.2
# Random-walk Metropolis steps of scale and degrees of freedom in a sweep, and their size in units
# of the posterior's standard deviation (Gelman, Roberts and Gilks 1996, for two dimensions).
NOISE_STEPS, NOISE_STEP_SIZE = 4, 2.38 / np.sqrt(2)


class StudentTRows(NamedTuple):
    """Rows with Student-t noise, and the model of their mean.

    Attributes
    ----------
    posterior : MarginalPosterior
        Posterior of the hyperparameters given pseudo-values: its statistics are replaced in every
        sweep.
    remaining, eliminated : ndarray of int
        Columns of the design with a sampled scale, and with a fixed one.
    ratio : ndarray, shape (len(eliminated),)
        Prior standard deviations of the latter's coefficients, in units of the scale of the noise.
    design, eliminated_design : ndarray, shapes (N, len(remaining)) and (N, len(eliminated))
        In units of each row's relative noise.
    outcome : ndarray, shape (N,)
        Centred outcomes, in the same units.
    log_precision : float
        Sum of the logarithms of the rows' inverse relative variances.
    known : PseudoObservations, optional
        Lift tests, in the remaining columns.
    fit : StudentTFit
        Noise at the mode.
    """

    posterior: MarginalPosterior
    remaining: Array
    eliminated: Array
    ratio: Array
    design: Array
    eliminated_design: Array
    outcome: Array
    log_precision: float
    known: PseudoObservations | None
    fit: StudentTFit

    @classmethod
    def of(cls, rows: Observations, pruned: PrunedModel, pilot: Pilot) -> Self:
        """Arrange the rows of a fit."""
        assert pilot.student_t is not None
        terms, statistics = pruned.terms, pruned.statistics
        relative_sd = relative_noise_sd(pilot.spread, rows)
        matrix = terms.matrix(rows.inputs, rows.intervened) / relative_sd[:, None]
        # Fixed scales are in units of the scale of the noise, which pseudo-values exceed.
        ratio = statistics.ratio * (float(pilot.sites["noise_sd"]) / pilot.noise_scale)
        return cls(
            pruned.posterior,
            statistics.remaining,
            statistics.eliminated,
            ratio,
            np.ascontiguousarray(matrix[:, statistics.remaining]),
            np.ascontiguousarray(matrix[:, statistics.eliminated]),
            (rows.outcome - terms.centre) / relative_sd,
            -2 * float(np.log(relative_sd).sum()),
            statistics.sums.known,
            pilot.student_t,
        )

    @property
    def density(self) -> LogDensity:
        """Density for the start of chains: given pseudo-values, with all coefficients to draw."""
        size = len(self.remaining) + len(self.eliminated)
        return self.posterior.density._replace(n_coefficients=size + 1, draw=self.start)

    def start(self, flat: Array, normal: Array) -> Array:
        """Draw coefficients, shape (P,), and log degrees of freedom, from P + 1 normal numbers."""
        state = np.empty(len(normal))
        own = self.posterior.conditional(self.posterior.sites(flat))
        state[self.remaining] = own.mean + own.root @ normal[self.remaining]
        state[self.eliminated] = self.ratio * own.noise_sd * normal[self.eliminated]
        state[-1] = self.fit.log_mode[1] + np.sqrt(self.fit.covariance[1, 1]) * normal[-1]
        return state

    def draw_noise(
        self, residual: Array, log_noise: Array, eliminated: Array, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Draw log scale and log degrees of freedom, then the weights, given the coefficients."""
        prior, root = degrees_of_freedom(), np.linalg.cholesky(self.fit.covariance)
        at = self.posterior.layout.positions["noise_sd"][0]
        median, sd = self.posterior.start[at], self.posterior.prior_sd[at]
        squares, count = float(np.sum((eliminated / self.ratio) ** 2)), len(eliminated)

        def potential(log_noise: Array) -> float:
            log_scale = log_noise[0]
            own = 0.5 * ((log_scale - median) / sd) ** 2 + count * log_scale
            own += 0.5 * squares * np.exp(-2 * log_scale)
            return float(own + noise_potential(log_noise, residual, prior))

        value = potential(log_noise)
        for _ in range(NOISE_STEPS):
            proposal = log_noise + NOISE_STEP_SIZE * root @ rng.standard_normal(2)
            proposed = potential(proposal)
            if np.log(rng.random()) < value - proposed:
                log_noise, value = proposal, proposed
        scale, df = np.exp(log_noise)
        weights = rng.standard_gamma((df + 1) / 2, len(residual))
        weights /= 0.5 * (df + (residual / scale) ** 2)
        return log_noise, weights

    def given_weights(self, weights: Array, state: Array) -> SufficientStatistics:
        """Statistics of the weighted rows, given the coefficients of fixed scale."""
        eliminated = state[self.eliminated]
        outcome = self.outcome - self.eliminated_design @ eliminated
        sums = self._sums(self.design, outcome, weights)
        # These coefficients inform the scale of the noise, in units of which their prior is.
        return sums._replace(
            rows=float(np.asarray(sums.rows)) + len(eliminated),
            yy=float(np.asarray(sums.yy)) + float(np.sum((eliminated / self.ratio) ** 2)),
            known=self.known,
        )

    def reduced(self, weights: Array) -> ReducedStatistics:
        """Statistics of the weighted rows, without the coefficients of fixed scale."""
        first, last = len(self.remaining), len(self.remaining) + len(self.eliminated)
        sums = self._sums(
            np.concatenate([self.design, self.eliminated_design], axis=1), self.outcome, weights
        )
        if self.known is not None:
            known = self.known._replace(
                matrix=np.pad(self.known.matrix, ((0, 0), (0, last - first)))
            )
            sums = sums._replace(known=known)
        return ReducedStatistics.of(sums, np.arange(first, last), self.ratio)

    def _sums(self, design: Array, outcome: Array, weights: Array) -> SufficientStatistics:
        """Sum over batches, which avoids a weighted copy of the whole design."""
        batches = [
            slice(begin, begin + ROWS_PER_BATCH) for begin in range(0, len(outcome), ROWS_PER_BATCH)
        ]
        sums = SufficientStatistics.over((design[b], outcome[b], weights[b]) for b in batches)
        return sums._replace(log_weight=float(np.asarray(sums.log_weight)) + self.log_precision)


class RowWeightKernel:
    """Sweeps of the Gibbs sampler; an alternative to :class:`NUTSKernel`.

    The coefficients of its states are those of all columns, and log df at the end. Statistics of
    an iteration are those of its trajectory, given the weights.

    Parameters
    ----------
    rows : StudentTRows
    root : ndarray, shape (D, D)
    target_accept : float
    """

    def __init__(self, rows: StudentTRows, root: Array, target_accept: float) -> None:
        self.rows, self.root, self.target_accept = rows, root, target_accept

    def begin(self, flat: Array, coefficients: Array) -> ChainState:
        """Start a chain with an adapting step size at a flat vector, as :class:`NUTSKernel`."""
        inner = self._given(self.rows.posterior, flat, coefficients[self.rows.remaining])[1]
        return self._with_state(inner, coefficients)

    def compile(self, chain: ChainState, count: int) -> None:
        """Compile a trajectory; sweeps run in Python."""
        flat, state = self._point(chain)
        kernel, start = self._given(self.rows.posterior, flat, state[self.rows.remaining])
        kernel.compile(start, 1)

    def advance(
        self, chain: ChainState, innovations: Innovations, step_size: float | None
    ) -> tuple[ChainState, Collected]:
        """Run sweeps, and collect draws and statistics of each."""
        pieces = []
        for i in range(len(innovations.uniform)):
            one = Innovations(*(values[i : i + 1] for values in innovations))
            chain, piece = self._sweep(chain, one, step_size)
            pieces.append(piece)
        return chain, concatenated(pieces)

    def _sweep(
        self, chain: ChainState, innovations: Innovations, step_size: float | None
    ) -> tuple[ChainState, Collected]:
        rows = self.rows
        first, second = map(int, innovations.key_data[0])
        rng = generator(first, "row weights", second)
        flat, state = self._point(chain)
        noise = rows.posterior.layout.positions["noise_sd"][0]
        eliminated = state[rows.eliminated]
        residual = rows.outcome - rows.design @ state[rows.remaining]
        residual -= rows.eliminated_design @ eliminated
        log_noise = np.array([flat[noise], state[-1]])
        (flat[noise], state[-1]), weights = rows.draw_noise(residual, log_noise, eliminated, rng)
        full = rng.random() < FULL_SWEEP_PROBABILITY and len(eliminated) > 0
        reduced = rows.reduced(weights) if full else None
        sums = rows.given_weights(weights, state) if reduced is None else reduced.sums
        posterior = MarginalPosterior(rows.posterior.priors, sums, rows.posterior.terms)

        kernel, start = self._given(posterior, flat, state[rows.remaining])
        padded = np.zeros((1, len(start.current.coefficients)))
        padded[0, : len(rows.remaining)] = innovations.normal[0, rows.remaining]
        end, piece = kernel.advance(
            start._replace(adaptation=chain.adaptation),
            innovations._replace(normal=padded),
            step_size,
        )
        state[rows.remaining] = piece["coefficients"][0, : len(rows.remaining)]
        if reduced is not None:
            own, scale = state[rows.remaining], np.exp(piece["flat"][0, noise])
            every = reduced.complete(own[None, None], np.array([[scale]]), rng)[0, 0]
            state[rows.eliminated] = every[len(rows.remaining) :]
        return self._with_state(end, state), {**piece, "coefficients": state[None]}

    def _point(self, chain: ChainState) -> tuple[Array, Array]:
        """Flat hyperparameters, and coefficients with log df, of a state."""
        flat = self.root @ np.asarray(chain.current.z)
        return flat, np.array(chain.current.coefficients)

    def _given(
        self, posterior: MarginalPosterior, flat: Array, coefficients: Array
    ) -> tuple[NUTSKernel, ChainState]:
        """Kernel of a posterior, and the state at a point."""
        density = posterior.density
        kernel = NUTSKernel(density, density, self.root, self.target_accept)
        padding = (0, density.n_coefficients - len(coefficients))
        return kernel, kernel.begin(flat, np.pad(coefficients, padding))

    @staticmethod
    def _with_state(chain: ChainState, state: Array) -> ChainState:
        return chain._replace(current=chain.current._replace(coefficients=jnp.asarray(state)))
