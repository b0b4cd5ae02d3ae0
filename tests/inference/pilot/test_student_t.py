import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import t as student_t

import bayes_intgen as bi
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.inference.pilot.pilot import pilot_fit
from bayes_intgen.inference.pilot.student_t import (
    StudentTFit,
    clipped,
    fit_student_t,
    likelihood_power,
    noise_potential,
)
from bayes_intgen.models.hyperpriors import DEGREES_OF_FREEDOM
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.models.variance_function import Homoscedastic

from conftest import confounded_rows


class TwoLevels(Homoscedastic):
    """Relative variance of one quarter in the first half of the rows, and of four in the second."""

    def __call__(self, actions: np.ndarray, intervened: np.ndarray) -> np.ndarray:
        return np.repeat([0.25, 4.0], [len(actions) // 2, len(actions) - len(actions) // 2])


TWO_LEVELS = TwoLevels()


TWO_LEVELS = TwoLevels()


def fit_line(
    noise: np.ndarray, spread: Homoscedastic = TWO_LEVELS
) -> tuple[StudentTFit, bi.RegimeData, Decomposition, MarginalPosterior]:
    """Fit a straight line in two actions with this noise."""
    rows = confounded_rows(len(noise) // 3, seed=3)
    outcome = rows.actions @ [1.0, -0.5] + noise
    data = bi.RegimeData.from_arrays(rows.actions, outcome, rows.intervened, rows.names)
    model = bi.models.additive("linear", noise="student_t")
    terms = model.decompose(clipped(data))
    sums = sufficient_statistics(clipped(data), terms, Homoscedastic(), False)
    posterior = MarginalPosterior.of(model, terms, sums)
    sites = posterior.sites(posterior.mode(posterior.start, progress=False))
    return fit_student_t(posterior, sites, data, spread), data, terms, posterior


@pytest.mark.parametrize("df", [2.5, 5.0])
def test_scale_and_degrees_of_freedom_are_recovered(df: float) -> None:
    noise = 0.3 * np.random.default_rng(1).standard_t(df, 1200) * np.repeat([0.5, 2.0], 600)
    fit, *_ = fit_line(noise)
    error = fit.log_mode - np.log([0.3, df])
    # 14 is the 0.999 quantile of a chi-squared distribution with two degrees of freedom.
    assert error @ np.linalg.solve(fit.covariance, error) < 14
    assert 0.02 < np.sqrt(fit.covariance[0, 0]) < 0.06
    assert np.sqrt(fit.covariance[1, 1]) < 0.35
    # Negative control: a fit that ignores the relative noise of rows is far off.
    wrong, *_ = fit_line(noise, Homoscedastic())
    error = wrong.log_mode - np.log([0.3, df])
    assert error @ np.linalg.solve(wrong.covariance, error) > 25


def test_pseudo_values_of_normal_noise_are_nearly_the_outcomes() -> None:
    noise = 0.3 * np.random.default_rng(2).standard_normal(1200)
    fit, data, terms, _ = fit_line(noise, Homoscedastic())
    assert np.exp(fit.log_mode[1]) > 15
    pseudo = fit.with_pseudo_values(data, terms, Homoscedastic()).outcome
    assert np.sqrt(np.mean((pseudo - data.outcome) ** 2)) < 0.03


def test_pseudo_values_have_the_mode_of_the_likelihood_and_bounded_residuals() -> None:
    noise = 0.3 * np.random.default_rng(3).standard_t(4.0, 1200)
    noise[::40] += 100
    fit, data, terms, posterior = fit_line(noise, Homoscedastic())
    scale, df = np.exp(fit.log_mode)
    matrix = terms.matrix(data.actions, data.intervened)
    priors = posterior.priors
    sd = np.exp(priors.log_sd(posterior.sites(posterior.mode(posterior.start, progress=False))))

    # Second route: the mode of the Student-t likelihood by a general optimiser.
    def loss(step: np.ndarray) -> float:
        residual = data.outcome - terms.centre - matrix @ (priors.mean + sd * step)
        return float(-student_t.logpdf(residual, df, scale=scale).sum() + step @ step / 2)

    start = (fit.mean - priors.mean) / sd
    best = minimize(loss, start, method="BFGS").x
    assert loss(start) - loss(best) < 0.05
    pseudo = fit.with_pseudo_values(data, terms, Homoscedastic()).outcome
    residual = pseudo - terms.centre - matrix @ fit.mean
    assert np.abs(residual).max() < 3 * scale < 100 < np.abs(data.outcome).max()
    # Their variance is that of a Gaussian with the same information about the mean.
    assert residual.std() == pytest.approx(scale / np.sqrt(fit.information), rel=0.1)
    # Negative control: the prior mean is far from the mode.
    assert loss(np.zeros_like(start)) - loss(best) > 100


def test_information_is_that_of_students_t() -> None:
    draws = student_t(4.0).rvs(200_000, random_state=0)
    fit = StudentTFit(np.log([1.0, 4.0]), np.eye(2), np.zeros(1), 1.0)
    curvature = 5 * (4 - draws**2) / (4 + draws**2) ** 2
    assert fit.information == pytest.approx(curvature.mean(), rel=0.02)


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_posteriors_are_as_wide_as_estimates_vary(share: float) -> None:
    """Estimates of a mean with Student-t noise, of normal noise with a share of outliers."""
    rng = np.random.default_rng(3)

    def noise(*shape: int) -> np.ndarray:
        far = rng.choice([-1, 1], shape) * rng.uniform(5, 50, shape)
        return rng.normal(size=shape) + far * (rng.random(shape) < share)

    rows, repetitions = 400, 1500
    many = noise(100_000)
    log_noise = minimize(
        noise_potential, np.log([1.0, 4.0]), (many**2, DEGREES_OF_FREEDOM), method="Nelder-Mead"
    ).x
    scale, df = np.exp(log_noise)
    samples, estimates = noise(repetitions, rows), np.zeros(repetitions)
    for _ in range(200):
        weights = (df + 1) / (df + ((samples - estimates[:, None]) / scale) ** 2)
        estimates = (weights * samples).sum(axis=1) / weights.sum(axis=1)
    squares = (many / scale) ** 2
    curvature = np.mean((df + 1) * (df - squares) / (df + squares) ** 2) / scale**2
    power = likelihood_power(many, log_noise)
    ratio = estimates.var() * rows * curvature * power
    error = np.sqrt(2 / repetitions)
    assert ratio == pytest.approx(1, abs=4 * error)
    # Negative control: outliers make the posterior without the power too narrow.
    assert (abs(ratio / power - 1) > 4 * error) == (share > 0)


def test_the_power_is_one_for_students_t() -> None:
    for df in (2.0, 5.0):
        draws = student_t(df).rvs(50_000, random_state=0)
        assert likelihood_power(draws, np.log([1.0, df])) == pytest.approx(1, abs=0.03)


def test_outliers_change_neither_units_nor_noise_of_the_pilot_fit() -> None:
    clean = confounded_rows(150, seed=3)
    outcome = clean.outcome.copy()
    outcome[::20] += 60 * np.where(np.arange(len(outcome[::20])) % 2, 1, -1)
    data = bi.RegimeData.from_arrays(clean.actions, outcome, clean.intervened, clean.names)
    units, noises = [], {}
    for rows in (clean, data):
        for noise in ("gaussian", "student_t"):
            model = bi.models.additive("linear", noise=noise)
            terms = model.decompose(clipped(rows) if noise == "student_t" else rows)
            pilot = pilot_fit(rows, model, terms, (), progress=False)
            noises[rows is data, noise] = float(pilot.sites["noise_sd"])
            units += [terms.unit] if noise == "student_t" else []
    assert units[1] < 1.5 * units[0] < 0.3 * model.decompose(data).unit
    assert noises[True, "student_t"] == pytest.approx(noises[False, "student_t"], rel=0.25)
    # Negative control: with Gaussian noise the outliers decide.
    assert noises[True, "gaussian"] > 5 * noises[False, "gaussian"]


def test_outcomes_with_more_than_half_of_their_values_equal_are_not_clipped() -> None:
    rows = confounded_rows(20, seed=0)
    outcome = np.where(np.arange(60) % 3, 0.0, 5.0)
    data = bi.RegimeData.from_arrays(rows.actions, outcome, rows.intervened, rows.names)
    assert clipped(data) is data
