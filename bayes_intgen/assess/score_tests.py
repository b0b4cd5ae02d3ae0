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
    Family,
    RowScores,
    critical_value,
    smallest_size,
    wild_bootstrap,
)
from bayes_intgen.assess.scale_mixture import ScaleMixture
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.gaussian.passes import relative_noise_sd
from bayes_intgen.inference.pilot.pilot import Pilot
from bayes_intgen.inference.pilot.variance_ratio import conditional_residuals
from bayes_intgen.models.terms import Term

# Maximum leverage for which residuals are corrected; larger ones are clipped to it.
MAX_LEVERAGE = 0.95
# Minimum share of a direction of an alternative's columns that the model's columns, free of their
# prior, leave unexplained. Rows do not test a direction below it.
MIN_UNEXPLAINED_SHARE = 1e-4
# Sizes, in standard deviations of the outcome, between which the detectable one is sought, and
# largest number of times that the critical value is adapted to it.
SIZES, CRITICAL_UPDATES = (1e-3, 30.0), 10


class TestResult(NamedTuple):
    """Result of the test against one alternative.

    Attributes
    ----------
    log_bayes_factor : float
        Evidence for the alternative against the null hypothesis; NaN if it has none.
    p : float
        Bootstrap p value.
    p_familywise : float
        Probability that the smallest p value of all tests is at most ``p``.
    size : float
        Standard deviation over the rows of the estimate, in the outcome's units; for a regime the
        root mean square.
    detectable : float
        Size of the smoothest function that the test detects with probability 0.9; infinite if it
        detects none.
    """

    log_bayes_factor: float
    p: float
    p_familywise: float
    size: float
    detectable: float


@dataclass(frozen=True, eq=False)
class NullModel:
    """The additive model at its mode, with the rows to which it was fitted.

    Attributes
    ----------
    data : Observations
    fit : Pilot
    design : ndarray, shape (n, P)
    weights : ndarray, shape (n,)
        Inverse noise variances.
    mean, covariance : ndarray, shapes (P,) and (P, P)
        Posterior moments of the coefficients.
    residual : ndarray, shape (n,)
        Residuals with the variance of the noise.
    """

    data: Observations
    fit: Pilot
    design: Array
    weights: Array
    mean: Array
    covariance: Array
    residual: Array

    @classmethod
    def of(cls, data: Observations, fit: Pilot) -> Self:
        """Compute moments and residuals at the mode."""
        terms = fit.posterior.terms
        mean, covariance = fit.posterior.moments(fit.sites)
        design = terms.matrix(data.inputs, data.intervened)
        precision = relative_noise_sd(fit.spread, data) ** -2.0
        weights = precision / float(fit.sites["noise_sd"]) ** 2
        leverage = weights * ((design @ covariance) * design).sum(axis=1)
        residual = data.outcome - terms.centre - design @ mean
        if terms.random_effects is not None:
            residual = conditional_residuals(data, terms.random_effects, residual, precision)
        residual = residual / np.sqrt(np.clip(1 - leverage, 1 - MAX_LEVERAGE, 1))
        return cls(data, fit, design, weights, mean, covariance, residual)

    def remainder(self, values: Array) -> Array:
        """What the fit leaves of values that are added to the outcome, shape (n,)."""
        return values - self.design @ (self.covariance @ (self.design.T @ (self.weights * values)))

    def testable_columns(self, blocks: Sequence[Array]) -> list[Array]:
        """Directions of alternatives' coefficients that rows test, each of shape (Q, q).

        The others are combinations of the model's columns, for example where an action has few
        values. Only the prior distinguishes them, and rounding.
        """
        weighted = self.design * self.weights[:, None]
        gram = self.design.T @ weighted
        scale = 1 / np.sqrt(np.maximum(np.diag(gram), 1e-300))
        values, vectors = np.linalg.eigh(gram * scale * scale[:, None])
        present = values > 1e-10 * values[-1]
        root = scale[:, None] * vectors[:, present] / np.sqrt(values[present])
        return [
            _unexplained(block, self.weights, root.T @ (weighted.T @ block)) for block in blocks
        ]

    def related(self, alternative: Alternative) -> list[Term]:
        """Terms of the model that are functions of the same two actions together."""
        if alternative.kind == "regime":
            return []
        pair = {self.data.names.index(name) for name in alternative.actions}
        terms = self.fit.posterior.terms.terms
        return [term for term in terms if term.cross_action and set(term.inputs) == pair]


def _unexplained(block: Array, weights: Array, projection: Array) -> Array:
    """Coefficients whose columns are not combinations of the model's, as orthonormal columns."""
    gram = block.T @ (block * weights[:, None])
    values, vectors = np.linalg.eigh(gram)
    present = values > 1e-10 * max(float(values[-1]), 1e-300)
    root = vectors[:, present] / np.sqrt(values[present])
    own = root.T @ (gram - projection.T @ projection) @ root
    share, directions = np.linalg.eigh((own + own.T) / 2)
    if present.all() and (share > MIN_UNEXPLAINED_SHARE).all():
        return np.eye(len(gram))
    absent = root @ directions[:, share <= MIN_UNEXPLAINED_SHARE]
    explained = np.hstack([absent, vectors[:, ~present]])
    basis, _ = np.linalg.qr(explained, mode="complete")
    return np.asarray(basis[:, explained.shape[1] :])


def score_tests(
    data: Observations, fit: Pilot, candidates: Sequence[Alternative], level: float, seed: int
) -> list[TestResult | None]:
    """Test the additive model against all alternatives, with familywise p values.

    Parameters
    ----------
    data : Observations
    fit : Pilot
        The additive model at its mode, fitted to these rows.
    candidates : sequence of Alternative
    level : float
        Familywise level at which ``detectable`` is computed.
    seed : int
        Seed of the bootstrap weights.

    Returns
    -------
    list of TestResult or None
        None for an alternative whose columns are combinations of the model's in these rows.
    """
    null = NullModel.of(data, fit)
    blocks = [each.matrix(data.actions, data.intervened) for each in candidates]
    directions = null.testable_columns(blocks)
    tests = {
        i: _Test.of(null, each, block, direction, seed)
        for i, (each, block, direction) in enumerate(
            zip(candidates, blocks, directions, strict=True)
        )
        if direction.shape[1]
    }
    if not tests:
        return [None] * len(candidates)
    family = Family.of([test.statistics for test in tests.values()], level)
    results = {
        i: TestResult(
            float(test.statistics[0]),
            float(family.p[n]),
            float(family.p_familywise[n]),
            test.size(),
            test.detectable(family.threshold),
        )
        for n, (i, test) in enumerate(tests.items())
    }
    return [results.get(i) for i in range(len(candidates))]


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
