import warnings
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.diagnostics import effective_sample_size
from scipy import special, stats

import bayes_intgen as bi
from bayes_intgen.inference.pilot.student_t import StudentTFit
from bayes_intgen.inference.sampling import row_expansion, student_t_density
from bayes_intgen.inference.sampling.row_expansion import RowExpansion
from bayes_intgen.inference.sampling.student_t_density import RowRatio, StudentTPosterior

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


class Result(NamedTuple):
    """Result of a minimisation."""

    x: np.ndarray


class Expanded(NamedTuple):
    """The posterior of a fit before it is sampled, and its design and outcome."""

    posterior: StudentTPosterior
    design: np.ndarray
    outcome: np.ndarray


def expanded(data: bi.RegimeData) -> Expanded:
    """Expand the rows of a fit with noise of constant variance."""
    of, expansions = StudentTPosterior.of, []

    class ExpandedError(Exception):
        pass

    def stop(rows, pruned, pilot, start):
        terms = pruned.terms
        design = terms.matrix(rows.inputs, rows.intervened)
        posterior = of(rows, pruned, pilot, start)
        # Arrays of JAX have single precision outside a fit.
        ratio = RowRatio._make(np.asarray(values) for values in posterior.ratio)
        posterior = posterior._replace(ratio=ratio)
        expansions.append(Expanded(posterior, design, rows.outcome - terms.centre))
        raise ExpandedError

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.BayesIntgenWarning)
        patch.setattr(StudentTPosterior, "of", stop)
        model = bi.models.additive(noise="student_t", spread="constant")
        with pytest.raises(ExpandedError):
            bi.fit(data, model, progress=False)
    return expansions[0]


def some_draws(rows: StudentTPosterior, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Flat vectors about the centre, and draws of the coefficients under the approximation."""
    rng = np.random.default_rng(1)
    density, posterior = rows.density, rows.posterior
    start = posterior.start.copy()
    start[posterior.layout.positions["noise_sd"]] = rows.ratio.log_noise[0]
    draws = []
    for _ in range(count):
        flat = np.append(start + 0.1 * rng.normal(size=len(start)), rng.normal())
        flat = np.append(flat, rng.normal(size=density.padding))
        draws.append((flat, density.draw(flat, rng.normal(size=density.n_coefficients))))
    return draws


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


def with_far_outcomes(rows: int) -> bi.RegimeData:
    """Normal noise, and every eighth outcome far from the others."""
    clean = heavy_tailed(rows, df=1e6)
    outcome = clean.outcome.copy()
    outcome[::8] += np.random.default_rng(1).choice([-60.0, 60.0], len(outcome[::8]))
    return replace(clean, outcome=outcome)


@pytest.mark.parametrize("far", [False, True])
def test_ratio_is_that_of_the_likelihoods(far: bool) -> None:
    posterior, design, outcome = expanded(with_far_outcomes(60) if far else heavy_tailed(60))
    power = float(posterior.ratio.power)
    assert power < 0.95 if far else power > 0.9
    ratio, statistics = posterior.ratio, posterior.statistics
    sums, size, first = statistics.sums, posterior.posterior.size, len(ratio.centre)
    assert len(statistics.eliminated) > 10
    at, gaps = posterior.posterior.layout.positions["noise_sd"][0], []
    for flat, draw in some_draws(posterior, 5):
        coefficients, sites = posterior.coefficients(draw[None, None])[0, 0], posterior.sites(flat)
        df, scale = sites["df"], float(sites["noise_sd"])
        exact = power * stats.t.logpdf(outcome, df, design @ coefficients, scale).sum()
        exact += stats.gamma.logpdf(df, 2, scale=10) + np.log(df)
        # Rows of the approximation, with the eliminated coefficients integrated out, times the
        # distribution of these given the others, over their prior.
        own, last = draw[:size], draw[first : first + len(statistics.eliminated)]
        squares = float(sums.yy) - 2 * own @ sums.xy + own @ sums.xx @ own
        gaussian = -0.5 * squares / scale**2 - float(sums.rows) * np.log(scale)
        mean = ratio.mean - ratio.cross @ draw[:first]
        gaussian += stats.norm.logpdf(last, mean[: len(last)], scale).sum()
        of_prior = coefficients[statistics.eliminated] / statistics.ratio
        gaussian -= stats.norm.logpdf(of_prior, 0, scale).sum()
        deviation = stats.norm.logpdf(flat[posterior.posterior.layout.size])
        expected = exact - gaussian - deviation
        at_draw = ratio.log_ratio(
            draw[:-1], flat[at], flat[posterior.posterior.layout.size], np, special
        )
        gaps.append(at_draw - expected)
    # Up to a constant, and rounding in single precision.
    np.testing.assert_allclose(gaps, gaps[0], atol=1e-3)


def test_compiled_potential_equals_that_of_numpy(monkeypatch) -> None:
    rows = expanded(heavy_tailed(60)).posterior
    rng = np.random.default_rng(2)
    for limit in (student_t_density.ROWS_WITH_SEVERAL_DRAWS, 0):
        monkeypatch.setattr(student_t_density, "ROWS_WITH_SEVERAL_DRAWS", limit)
        density = rows.density
        with jax.enable_x64(True):
            potential = jax.jit(density.potential_and_draw(density.data))
            for flat, _ in some_draws(rows, 3):
                normal = rng.normal(size=density.n_coefficients)
                value, draw = potential(jnp.asarray(flat), jnp.asarray(normal))
                of_draw = density.value_and_grad(flat)[0] + density.correction(
                    flat, np.asarray(draw)
                )
                assert float(value) == pytest.approx(of_draw, abs=2e-3)
                # Negative control: the correction is that of this draw.
                other = density.draw(flat, rng.normal(size=len(normal)))
                assert abs(density.correction(flat, other) - of_draw) > 0.01


def test_approximation_is_close_where_rows_are_many() -> None:
    """Of the log ratio, the variance falls as rows grow; of Gaussian rows it is all but zero."""
    rng = np.random.default_rng(5)

    def deviation(data: bi.RegimeData, **changes) -> float:
        posterior = expanded(data).posterior
        ratio = posterior.ratio._replace(**changes)
        posterior = posterior._replace(ratio=ratio)
        mode = posterior.posterior.start.copy()
        at = posterior.posterior.layout.positions["noise_sd"]
        mode[at] = ratio.log_noise[0]
        flat = np.append(mode, 0.0)
        draws = [
            posterior.density.draw(flat, rng.normal(size=posterior.density.n_coefficients))[:-1]
            for _ in range(200)
        ]
        return float(np.std([ratio.log_ratio(d, mode[at][0], 0.0, np, special) for d in draws]))

    few, many = deviation(heavy_tailed(150)), deviation(heavy_tailed(1500))
    assert many < 0.5
    assert many < few / 1.5
    # Negative control: an approximation without its curvature.
    shape = expanded(heavy_tailed(150)).posterior.ratio.precision.shape
    assert deviation(heavy_tailed(150), precision=np.zeros(shape)) > 3 * few


def test_rows_of_gaussian_noise_are_their_own_expansion() -> None:
    rng = np.random.default_rng(6)
    design = rng.normal(size=(400, 5))
    outcome = design @ np.arange(5.0) + 0.7 * rng.normal(size=400)
    covariance = 1e-6 * np.eye(2)
    fit = StudentTFit(np.array([np.log(0.7), 12.0]), covariance, np.zeros(5), 1.0)
    with pytest.MonkeyPatch.context() as patch:
        # Fixed noise with so many degrees of freedom that it is normal.
        patch.setattr(row_expansion, "minimize", lambda *args, **kwargs: Result(args[1]))
        expansion = RowExpansion.of(design, outcome, fit, np.zeros(5), np.full(5, 1e3))
    np.testing.assert_allclose(expansion.precision, design.T @ design, rtol=1e-3)
    np.testing.assert_allclose(expansion.mean, np.linalg.lstsq(design, outcome)[0], rtol=1e-3)
    sums = expansion.statistics
    np.testing.assert_allclose(sums.xy, design.T @ outcome, rtol=1e-3)


def test_interrupted_fits_continue_with_the_same_draws(tmp_path) -> None:
    data, settings = heavy_tailed(30), {"chains": 1, "warmup": 20, "draws": 30}
    whole = fitted(data, **settings, checkpoint=tmp_path)
    (stage,) = (path for path in tmp_path.glob("covariance*-0.npz"))
    for path in tmp_path.glob("draws*"):
        path.unlink()
    assert stage.exists()
    again = fitted(data, **settings, checkpoint=tmp_path)
    for name in ("df", "noise_sd"):
        np.testing.assert_array_equal(again.tree["posterior"][name], whole.tree["posterior"][name])
    np.testing.assert_array_equal(again.joint_effect(POINTS), whole.joint_effect(POINTS))
