import numpy as np
from scipy import stats

from bayes_intgen.models.mixture import StudentTLaw, mixture_quantiles, tabulated_cdf
from bayes_intgen.posterior.draws import prediction_of


def test_quantiles_of_a_single_draw_are_those_of_its_noise() -> None:
    probabilities = [0.05, 0.5, 0.975]
    quantiles = mixture_quantiles(
        np.array([[2.0]]), np.array([[3.0]]), StudentTLaw(5.0, 1.0).cdf, probabilities
    )
    np.testing.assert_allclose(quantiles[:, 0], 2 + 3 * stats.t.ppf(probabilities, 5), rtol=1e-10)


def test_distribution_function_at_quantiles_equals_their_probability() -> None:
    rng = np.random.default_rng(0)
    mean, sd = rng.normal(size=(30, 4)) * [1, 10, 0.1, 1e-9], rng.gamma(2.0, size=(30, 4))
    shape = np.sort(rng.normal(size=1000))
    probabilities = [0.01, 0.25, 0.9]
    quantiles = mixture_quantiles(mean, sd, tabulated_cdf(shape), probabilities)
    for i, p in enumerate(probabilities):
        below = tabulated_cdf(shape)((quantiles[i] - mean) / sd).mean(axis=0)
        np.testing.assert_allclose(below, p, atol=1e-9)


def test_simulated_outcomes_agree_with_exact_quantiles(posterior) -> None:
    points = np.array([[0.2, 0.1], [1.0, -1.0]])
    low, high = prediction_of(posterior).outcome_quantiles(
        points, np.ones((2, 2), bool), [0.1, 0.9]
    )
    many = np.concatenate([posterior.outcome(points, seed=i).to_numpy() for i in range(20)])
    below = [(many < end).mean(axis=(0, 1)) for end in (low, high)]
    # 20,000 draws, a thousand of them independent in the mean: four standard errors of 0.0021.
    np.testing.assert_allclose(below[0], 0.1, atol=0.0085)
    np.testing.assert_allclose(below[1], 0.9, atol=0.0085)
