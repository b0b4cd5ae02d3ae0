"""Test of the outcome's variance where several actions are set.

Hidden causes are independent, so that the variance of the outcome given actions and mask adds up as
the mean does. Other regimes therefore predict it where several actions are set. An interaction in
which hidden causes take part adds to it, and a few rows show that long before they show a change of
the mean.

Notes
-----
The statistic is the mean square of the regime's standardised residuals, on a logarithmic scale. Its
null distribution is a bootstrap: standardised residuals of other regimes, which have the shape of
the noise, times draws of the variance function over its estimate.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.assess.alternatives import Alternative
from bayes_intgen.assess.bootstrap import (
    N_BOOTSTRAP,
    POWER_SAMPLES,
    BootstrapResult,
    critical_value,
    familywise_results,
    smallest_size,
)
from bayes_intgen.assess.null_model import NullModel
from bayes_intgen.assess.score_tests import SIZES
from bayes_intgen.models.variance_function import VarianceFunctionEstimate

# Minimum number of rows in a regime.
MIN_ROWS = 5


def variance_tests(
    null: NullModel, regimes: Sequence[Alternative], level: float, seed: int
) -> dict[Alternative, BootstrapResult]:
    """Test the variance in regimes that other regimes predict, with familywise p values.

    Parameters
    ----------
    null : NullModel
    regimes : sequence of Alternative
        Of kind "regime".
    level : float
        Familywise level at which ``detectable`` is computed.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    dict from Alternative to BootstrapResult
        Without regimes with very few rows; empty if the noise has constant variance.
        ``size`` is the standard deviation of what the noise has beyond the prediction, or lacks.
    """
    tests: dict[Alternative, _Test] = {}
    if null.fit.estimate is not None:
        rng = generator(seed, "check", 3)
        for regime in regimes:
            own = regime.gate(null.data.intervened) > 0
            if own.sum() >= MIN_ROWS:
                tests[regime] = _Test.of(null, null.fit.estimate, own, rng)
    return familywise_results(tests, level)


class _Test(NamedTuple):
    """Statistic of one regime with its bootstrap samples.

    Attributes
    ----------
    log_ratio : ndarray, shape (1 + N_BOOTSTRAP,)
        Logarithm of the mean square of standardised residuals, relative to its null median.
    variance : float
        Mean variance of the noise in the regime, as predicted.
    unit : float
        Standard deviation of the outcome.
    """

    log_ratio: Array
    variance: float
    unit: float

    @classmethod
    def of(
        cls,
        null: NullModel,
        estimate: VarianceFunctionEstimate,
        own: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> Self:
        """Compare a regime's squared residuals with resampled ones of other regimes."""
        squares = null.residual**2 * null.weights
        data, count = null.data, int(own.sum())
        where = data.actions[own], data.intervened[own]
        deviations = estimate.draw((N_BOOTSTRAP,), rng)
        ratio = estimate.spread.drawn(*where, deviations) / estimate.spread(*where)
        resampled = rng.choice(squares[~own], (N_BOOTSTRAP, count))
        means = np.concatenate([[squares[own].mean()], (resampled * ratio).mean(axis=1)])
        logs = np.log(np.maximum(means, 1e-300))
        variance = float(np.mean(1 / null.weights[own]))
        return cls(logs - np.median(logs[1:]), variance, null.fit.posterior.terms.unit)

    @property
    def statistics(self) -> Array:
        """Absolute log ratios."""
        return np.abs(self.log_ratio)

    @property
    def log_bayes_factor(self) -> float:
        """NaN: there is no model of the alternative."""
        return float("nan")

    @property
    def size(self) -> float:
        """Standard deviation of the excess, or of what is lacking."""
        return float(np.sqrt(self.variance * abs(np.expm1(self.log_ratio[0]))))

    def detectable(self, threshold: float) -> float:
        """Standard deviation of an excess with a p value below ``threshold``, nine times in ten."""
        critical = critical_value(self.statistics[1:], threshold)
        samples = self.log_ratio[1 : POWER_SAMPLES + 1]

        def power(size: float) -> float:
            added = np.log1p((size * self.unit) ** 2 / self.variance)
            return float(np.mean(np.abs(samples + added) > critical))

        return self.unit * smallest_size(power, *SIZES)
