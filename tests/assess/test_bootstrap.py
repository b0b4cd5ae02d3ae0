"""Familywise p values from bootstrap samples."""

from dataclasses import dataclass

import numpy as np

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


def test_p_values_reach_below_the_number_of_samples() -> None:
    # With sixty tests and 999 samples, no share of samples could be significant at 1%.
    values = np.random.default_rng(0).chisquare(4, size=(1000, 60))
    assert min(test.p_familywise for test in results(values, 0.01)) > 0.02
    values[0, 7] = 60.0
    found = results(values, 0.01)[7]
    assert found.p_familywise <= 0.001
    assert found.p < found.detectable < 0.001
