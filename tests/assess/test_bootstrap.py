"""Familywise p values from bootstrap samples."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import kstest

from bayes_intgen.assess.bootstrap import BootstrapResult, Departure, familywise_results

ANY = Departure("regime", "any", ())


@dataclass
class Sampled:
    statistics: np.ndarray
    of: Departure = ANY
    log_bayes_factor: float = np.nan
    size: float = np.nan

    def detectable(self, threshold: float) -> float:
        return threshold


def results(values: np.ndarray, level: float) -> list[BootstrapResult]:
    return familywise_results([*map(Sampled, values.T)], level)


def test_familywise_p_values_are_uniform_and_the_threshold_has_the_level() -> None:
    rng, smallest, rejected = np.random.default_rng(0), [], 0
    for _ in range(300):
        # Two dependent tests and an independent one.
        values = rng.normal(size=(500, 3)) + np.array([1, 1, 0]) * rng.normal(size=(500, 1))
        tests = results(values, level=0.2)
        smallest.append(min(test.p_familywise for test in tests))
        rejected += min(test.p for test in tests) <= tests[0].detectable
    assert kstest(smallest, "uniform").pvalue > 0.01
    assert abs(rejected / 300 - 0.2) < 4 * np.sqrt(0.16 / 300)


def test_p_values_reach_below_the_number_of_samples() -> None:
    # With sixty tests and 999 samples, no share of samples could be significant at 1%.
    values = np.random.default_rng(0).chisquare(4, size=(1000, 60))
    assert min(test.p_familywise for test in results(values, 0.01)) > 0.02
    values[0, 7] = 60.0
    found = results(values, 0.01)[7]
    assert found.p_familywise <= 0.001
    assert found.p < found.detectable < 0.001
