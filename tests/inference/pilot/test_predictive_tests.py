import numpy as np
import pytest

from bayes_intgen.inference.pilot.predictive_tests import LEVEL, Predicted, is_predicted

from conftest import confounded_rows

ROWS = confounded_rows(60, seed=3)
QUANTILES = np.random.default_rng(0).normal(size=1000)


def predicted(rng: np.random.Generator, level_sd: float = 0.3) -> Predicted:
    """Rows of a fit whose level is uncertain, with residuals of its own predictive distribution."""
    noise_variance = rng.uniform(0.5, 2, len(ROWS))
    deviations = level_sd * np.ones((len(ROWS), 1)) * rng.normal(size=200)
    residual = level_sd * rng.normal() + np.sqrt(noise_variance) * rng.normal(size=len(ROWS))
    return Predicted(residual, noise_variance, deviations, QUANTILES)


def test_rows_like_those_of_the_fit_are_predicted() -> None:
    rng, repetitions = np.random.default_rng(1), 400
    rejected = sum(not is_predicted(ROWS, predicted(rng)) for _ in range(repetitions))
    # Bonferroni's bound, and few rejections by dispersion or distance.
    assert rejected <= repetitions * LEVEL + 4 * np.sqrt(repetitions * LEVEL)
    # Negative control: a level that is fixed in the fit, but not in the rows.
    wrong = [predicted(rng, level_sd=0.6) for _ in range(100)]
    nothing = np.zeros((len(ROWS), 200))
    fixed = sum(not is_predicted(ROWS, each._replace(deviations=nothing)) for each in wrong)
    assert fixed > 50


def test_small_errors_of_functions_do_not_reject_many_rows() -> None:
    rows = confounded_rows(100_000, seed=3)
    rng = np.random.default_rng(3)
    nothing, one = np.zeros((len(rows), 20)), np.ones(len(rows))

    def residuals(error: float) -> Predicted:
        shift = error * np.sign(rows.actions[:, 0])
        return Predicted(rng.normal(size=len(rows)) + shift, one, nothing, QUANTILES)

    assert is_predicted(rows, residuals(0.01))
    assert not is_predicted(rows, residuals(0.15))


@pytest.mark.parametrize("of", ["regime", "action", "interval", "noise", "one outcome"])
def test_other_rows_are_not_predicted(of: str) -> None:
    rng = np.random.default_rng(2)
    own = predicted(rng, level_sd=0.0)
    red, was_set = ROWS.actions[:, 0], ROWS.intervened[:, 0]
    residual = (
        own.residual
        + {
            "regime": 1.0 * was_set,
            "action": 0.6 * red,
            "interval": 1.5 * (np.abs(red) < 0.3),
            "noise": 1.0 * own.residual,
            "one outcome": np.where(np.arange(len(ROWS)) == 7, 30.0, 0.0),
        }[of]
    )
    assert is_predicted(ROWS, own)
    assert not is_predicted(ROWS, own._replace(residual=residual))
