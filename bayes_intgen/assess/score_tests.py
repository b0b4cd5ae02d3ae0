"""Tests of the mean and of the variance of the additive model.

Test statistic of another mean: its log Bayes factor. Null distribution: wild bootstrap of the rows'
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

Hidden causes are independent, so that the variance of the outcome given actions and mask adds up as
the mean does. Other regimes therefore predict it where several actions are set. An interaction in
which hidden causes take part adds to it, and a few rows show that long before they show a change of
the mean. The statistic is the mean square of the regime's standardised residuals, on a logarithmic
scale. Its null distribution is a bootstrap: standardised residuals of other regimes, which have the
shape of the noise, times draws of the variance function over its estimate.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.assess.bootstrap import (
    N_BOOTSTRAP,
    POWER_SAMPLES,
    BootstrapResult,
    BootstrapTest,
    Departure,
    RowScores,
    Untested,
    blocks_of_rows,
    familywise_results,
    wild_bootstrap,
)
from bayes_intgen.assess.hypotheses import Alternative, NullModel
from bayes_intgen.assess.scale_mixture import ScaleMixture
from bayes_intgen.models.terms import Term
from bayes_intgen.models.variance_function import drawn_deviations

# Sizes, in standard deviations of the outcome, between which the detectable one is sought.
SIZES = np.array([1e-3, 30.0])
# Minimum number of rows in a regime whose variance is tested.
MIN_ROWS = 5


def score_tests(
    null: NullModel, candidates: Sequence[Alternative], level: float, seed: int
) -> list[BootstrapResult | Untested]:
    """Test the additive model against all alternatives, with familywise p values.

    Parameters
    ----------
    null : NullModel
    candidates : sequence of Alternative
        The regimes, or rows in which columns are combinations of the model's, do not test all.
    level : float
        Familywise level at which ``detectable`` is computed.
    seed : int
        Seed of the bootstrap weights.
    """
    testable = [each for each in candidates if each.testable]
    blocks = [each.design(null.data) for each in testable]
    directions = null.testable_columns(blocks)
    tests = [
        _score_test(null, each, block, direction, seed)
        for each, block, direction in zip(testable, blocks, directions, strict=True)
        if direction.shape[1]
    ]
    tested = {test.of for test in tests}
    untested = [Untested(each.of) for each in candidates if each.of not in tested]
    return [*familywise_results(tests, level), *untested]


def _score_test(
    null: NullModel, alternative: Alternative, block: Array, direction: Array, seed: int
) -> BootstrapTest:
    """Test of one alternative, whose size is that of its posterior mean where its gate is open."""
    rng, unit = generator(seed, "check"), null.fit.terms.unit
    related = null.related(alternative)
    information, precision, shrinkage, rows = _likelihood(null, related, block @ direction)
    mixture = ScaleMixture.of(
        precision,
        [term.component.basis.size for term in related],
        [term.component.scale for term in related],
        alternative.scale,
        unit,
    )
    estimate = mixture.estimate(information)
    residual = null.residual - null.remainder(block @ (direction @ estimate))
    scores = RowScores(slice(None), rows * residual[:, None])
    (samples,) = wild_bootstrap([scores], blocks_of_rows(null.data), rng)
    mean = mixture.null_mean(information)
    samples += mean
    values, vectors = np.linalg.eigh((shrinkage + shrinkage.T) / 2)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    # What shrinkage of the other coefficients leaves.
    samples += rng.standard_normal(samples.shape) @ root.T
    statistics = mixture.log_bayes_factors(np.vstack([information, samples]))
    columns = block[block.any(axis=1)] @ direction

    def size_of(coefficients: Array) -> float:
        values = columns @ coefficients
        level = 0.0 if alternative.of.kind == "regime" else float(values.mean())
        return float(np.sqrt(np.mean((values - level) ** 2)))

    smoothest = np.eye(columns.shape[1])[0]
    shift = mixture.shift(smoothest) / size_of(smoothest)

    def moved(size: float) -> Array:
        return mixture.log_bayes_factors(samples[:POWER_SAMPLES] + size * shift)

    def absorbed(size: float) -> Array:
        """Larger functions are absorbed by the biases to a larger part."""
        return mixture.log_bayes_factors(samples - mean + mixture.null_mean(mean + size * shift))

    return BootstrapTest(
        alternative.of,
        statistics,
        statistics[1:],
        moved,
        size_of(estimate),
        unit * SIZES,
        float(statistics[0]),
        absorbed,
    )


def _likelihood(
    null: NullModel, related: Sequence[Term], columns: Array
) -> tuple[Array, Array, Array, Array]:
    """Gaussian likelihood of the related terms' coefficients and of those of additional columns.

    All other coefficients of the model are marginalised.

    Returns
    -------
    information : ndarray, shape (r + q,)
    precision : ndarray, shape (r + q, r + q)
    shrinkage : ndarray, shape (r + q, r + q)
        Covariance of the information due to shrinkage of the other coefficients.
    rows : ndarray, shape (n, r + q)
        Contribution of each row to the information, per unit of its residual.
    """
    terms, weights = null.fit.terms, null.weights[:, None]
    at = [np.arange(terms.size)[terms.columns[term.name]] for term in related]
    own = np.concatenate([np.zeros(0, dtype=int), *at])
    others = np.setdiff1d(np.arange(terms.size), own)
    likelihood, regression = null.beside(columns, own).eliminate(others)
    precision, information = likelihood.matrix[:-1, :-1], likelihood.matrix[:-1, -1]
    # What regression on the other columns leaves.
    slopes = solve_triangular(regression.factor, regression.half[:, :-1], lower=True, trans="T")
    left = np.hstack([null.design[:, own], columns]) - null.design[:, others] @ slopes
    rows = left * weights
    return information, precision, precision - left.T @ rows, rows


def variance_tests(
    null: NullModel,
    covariance: Array | None,
    candidates: Sequence[Alternative],
    level: float,
    seed: int,
) -> list[BootstrapResult | Untested]:
    """Test the variance in regimes that other regimes predict, with familywise p values.

    Without tests of regimes with very few rows, or where the noise has constant variance. ``size``
    is the standard deviation of what the noise has beyond the prediction, or lacks. ``covariance``
    is that of the variance function's knot values; other parameters are those of
    :func:`score_tests`.
    """
    rng, tests, untested = generator(seed, "check", 3), [], []
    for each in candidates:
        if each.of.kind == "regime" and each.testable:
            of = Departure("variance", f"variance: {each.of.label}", each.of.actions)
            own = each.gate(null.data.intervened) > 0
            if covariance is None or own.sum() < MIN_ROWS:
                untested.append(Untested(of))
            else:
                tests.append(_variance_test(null, covariance, of, own, rng))
    return [*familywise_results(tests, level), *untested]


def _variance_test(
    null: NullModel,
    covariance: Array,
    of: Departure,
    own: NDArray[np.bool_],
    rng: np.random.Generator,
) -> BootstrapTest:
    """Compare a regime's squared residuals with resampled ones of other regimes."""
    squares = null.residual**2 * null.weights
    data, count = null.data, int(own.sum())
    where = data.actions[own], data.intervened[own]
    deviations, spread = drawn_deviations(covariance, (N_BOOTSTRAP,), rng), null.fit.spread
    ratio = spread.drawn(*where, deviations) / spread(*where)
    resampled = rng.choice(squares[~own], (N_BOOTSTRAP, count))
    means = np.concatenate([[squares[own].mean()], (resampled * ratio).mean(axis=1)])
    logs = np.log(np.maximum(means, 1e-300))
    # Relative to the median under the null hypothesis.
    logs -= np.median(logs[1:])
    variance, unit = float(np.mean(1 / null.weights[own])), null.fit.terms.unit

    def with_excess(size: float) -> Array:
        return np.asarray(np.abs(logs[1 : POWER_SAMPLES + 1] + np.log1p(size**2 / variance)))

    return BootstrapTest(
        of,
        np.abs(logs),
        np.abs(logs[1:]),
        with_excess,
        float(np.sqrt(variance * abs(np.expm1(logs[0])))),
        unit * SIZES,
    )
