"""Score tests of the additive model against alternatives.

Test statistic: log Bayes factor of the alternative. Null distribution: wild bootstrap of the rows'
residuals, divided by sqrt(1 - leverage) (HC2; MacKinnon and White 1985), because the noise is
neither normal nor of exactly known variance. The residuals are those beside the alternative, which
would otherwise count as noise where it holds.

Notes
-----
An alternative is a block of columns Z beside the model's own X. The biases' products of the same
actions, X_R, resemble it: psi differs from their sum in one regime of several. Whether they are
present, and their scales, decides how much of the alternative they absorb, so that the Bayes factor
integrates over both under either hypothesis (`scale_mixture`). The other coefficients are
marginalised at the fit's mode, which leaves a Gaussian likelihood of (beta_R, gamma) with
precision P and information u. Under the null hypothesis u has three parts: the mean
P (beta_R, 0), with beta_R at its posterior mean; a sum over rows of z_i e_i, with z_i the columns
after regression on the other columns, which the bootstrap resamples; and N(0, P - N), what
shrinkage of the other coefficients leaves, with N = sum_i w_i z_i z_i'.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.assess.alternatives import Alternative
from bayes_intgen.assess.bootstrap import (
    POWER,
    POWER_SAMPLES,
    BootstrapResult,
    RowScores,
    critical_value,
    familywise_results,
    smallest_size,
    wild_bootstrap,
)
from bayes_intgen.assess.null_model import NullModel
from bayes_intgen.assess.scale_mixture import ScaleMixture
from bayes_intgen.models.terms import Term

# Sizes, in standard deviations of the outcome, between which the detectable one is sought, and
# largest number of times that the critical value is adapted to it.
SIZES, CRITICAL_UPDATES = (1e-3, 30.0), 10


def score_tests(
    null: NullModel, candidates: Sequence[Alternative], level: float, seed: int
) -> dict[Alternative, BootstrapResult]:
    """Test the additive model against all alternatives, with familywise p values.

    Parameters
    ----------
    null : NullModel
    candidates : sequence of Alternative
    level : float
        Familywise level at which ``detectable`` is computed.
    seed : int
        Seed of the bootstrap weights.

    Returns
    -------
    dict from Alternative to BootstrapResult
        Without alternatives whose columns are combinations of the model's in these rows.
    """
    blocks = [each.matrix(null.data.inputs, null.data.intervened) for each in candidates]
    directions = null.testable_columns(blocks)
    tests = {
        each: _Test.of(null, each, block, direction, seed)
        for each, block, direction in zip(candidates, blocks, directions, strict=True)
        if direction.shape[1]
    }
    return familywise_results(tests, level)


@dataclass(frozen=True, eq=False)
class _Test:
    """Statistic of one alternative with its bootstrap samples.

    Attributes
    ----------
    alternative : Alternative
    columns : ndarray, shape (m, q)
        Columns of the alternative in the rows where its gate is open.
    mixture : ScaleMixture
    samples : ndarray, shape (N_BOOTSTRAP, r + q)
        Samples of the information under the null hypothesis.
    information : ndarray, shape (r + q,)
    statistics : ndarray, shape (1 + N_BOOTSTRAP,)
    unit : float
        Standard deviation of the outcome.
    """

    alternative: Alternative
    columns: Array
    mixture: ScaleMixture
    samples: Array
    information: Array
    statistics: Array
    unit: float

    @classmethod
    def of(
        cls, null: NullModel, alternative: Alternative, block: Array, direction: Array, seed: int
    ) -> Self:
        """Compute the statistic and its bootstrap samples."""
        rng, unit = generator(seed, "check"), null.fit.posterior.terms.unit
        scores = ScoreStatistics.of(null, null.related(alternative), block @ direction)
        mixture = ScaleMixture.of(
            scores.precision,
            [term.component.basis.size for term in null.related(alternative)],
            [term.component.scale for term in null.related(alternative)],
            alternative.scale,
            unit,
        )
        estimate = mixture.estimate(scores.information)
        residual = null.residual - null.remainder(block @ (direction @ estimate))
        rows = RowScores(slice(None), scores.rows * residual[:, None])
        (samples,) = wild_bootstrap([rows], len(null.design), rng)
        samples += mixture.null_mean(scores.information)
        samples += scores.draw_shrinkage(len(samples), rng)
        statistics = mixture.log_bayes_factors(np.vstack([scores.information, samples]))
        is_open = block.any(axis=1)
        columns = block[is_open] @ direction
        return cls(alternative, columns, mixture, samples, scores.information, statistics, unit)

    @property
    def log_bayes_factor(self) -> float:
        """Evidence for the alternative."""
        return float(self.statistics[0])

    @property
    def size(self) -> float:
        """Size of the posterior mean of the alternative where its gate is open."""
        return self._size_of(self.columns @ self.mixture.estimate(self.information))

    def detectable(self, threshold: float) -> float:
        """Size of the smoothest function that has a p value of at most ``threshold``.

        With probability 0.9. A larger function is absorbed by the biases to a larger part, also
        under the null hypothesis, so that the critical value depends on the size.
        """
        smoothest = np.zeros(self.columns.shape[1])
        smoothest[0] = 1.0
        shift = self.unit * self.mixture.shift(smoothest) / self._size_of(self.columns @ smoothest)
        mean = self.mixture.null_mean(self.information)
        critical = critical_value(self.statistics[1:], threshold)

        def power(size: float) -> float:
            moved = self.samples[:POWER_SAMPLES] + size * shift
            return float(np.mean(self.mixture.log_bayes_factors(moved) > critical))

        size = smallest_size(power, *SIZES)
        for _ in range(CRITICAL_UPDATES):
            absorbed = self.mixture.null_mean(mean + min(size, SIZES[1]) * shift)
            statistics = self.mixture.log_bayes_factors(self.samples - mean + absorbed)
            critical = critical_value(statistics, threshold)
            if size > SIZES[1] or power(size) >= POWER:
                break
            size = smallest_size(power, size, SIZES[1])
        return self.unit * size

    def _size_of(self, values: Array) -> float:
        level = 0.0 if self.alternative.kind == "regime" else float(values.mean())
        return float(np.sqrt(np.mean((values - level) ** 2)))


class ScoreStatistics(NamedTuple):
    """Gaussian likelihood of some of the model's coefficients and of additional ones.

    Attributes
    ----------
    information : ndarray, shape (r + q,)
    precision : ndarray, shape (r + q, r + q)
    shrinkage : ndarray, shape (r + q, r + q)
        Covariance of the information due to shrinkage of the other coefficients.
    rows : ndarray, shape (n, r + q)
        Contribution of each row to the information, per unit of its residual.
    """

    information: Array
    precision: Array
    shrinkage: Array
    rows: Array

    @classmethod
    def of(cls, null: NullModel, related: Sequence[Term], columns: Array) -> Self:
        """Marginalise all coefficients of the model but those of the related terms."""
        posterior, sites = null.fit.posterior, null.fit.sites
        terms, weights, design = posterior.terms, null.weights[:, None], null.design
        at = [np.arange(terms.size)[terms.columns[term.name]] for term in related]
        own = np.concatenate([np.zeros(0, dtype=int), *at])
        covariance, mean = null.covariance, null.mean
        inverse = np.linalg.inv(covariance[np.ix_(own, own)])
        gain = covariance[:, own] @ inverse
        # Moments of the other coefficients where the related ones are zero.
        mean = mean - gain @ mean[own]
        covariance = covariance - gain @ covariance[own]
        sd = np.exp(np.asarray(posterior.priors.log_sd(sites)))[own]
        prior_precision = np.diag(sd**-2.0)
        weighted = columns * weights
        left = np.hstack([design @ gain, columns - design @ (covariance @ (design.T @ weighted))])
        cross = left.T @ weighted
        precision = np.block(
            [
                [inverse - prior_precision, cross[: len(own)]],
                [cross[: len(own)].T, cross[len(own) :]],
            ]
        )
        precision = (precision + precision.T) / 2
        residual = null.data.outcome - terms.centre - design @ mean
        prior_mean = np.asarray(posterior.priors.mean)[own]
        return cls(
            np.concatenate(
                [inverse @ null.mean[own] - prior_precision @ prior_mean, weighted.T @ residual]
            ),
            precision,
            precision - left.T @ (left * weights),
            left * weights,
        )

    def draw_shrinkage(self, count: int, rng: np.random.Generator) -> Array:
        """Draw the part of the information that shrinkage leaves, shape (count, r + q)."""
        values, vectors = np.linalg.eigh((self.shrinkage + self.shrinkage.T) / 2)
        root = vectors * np.sqrt(np.clip(values, 0, None))
        return np.asarray(rng.standard_normal((count, len(root))) @ root.T)
