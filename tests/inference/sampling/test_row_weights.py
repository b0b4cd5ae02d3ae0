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


def arranged(data: bi.RegimeData) -> StudentTRows:
    """The rows of a fit with Gaussian processes, before the first sweep."""
    rows = []
    of = StudentTRows.of

    class ArrangedError(Exception):
        pass

    def stop(*arguments):
        rows.append(of(*arguments))
        raise ArrangedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StudentTRows, "of", stop)
        with pytest.raises(ArrangedError):
            bi.fit(data, bi.models.additive(noise="student_t"), progress=False)
    return rows[0]


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
@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
def test_posterior_is_that_of_the_full_program(monkeypatch) -> None:
    data = heavy_tailed(30)
    full = fitted(data, collapse=False, draws=400)
    fast = fitted(data, simplify=False, draws=500, seed=1)
    # Of ten numbers, exceeded once in a thousand runs.
    assert np.abs(discrepancies(fast, full)).max() < 3.9
    # Negative control: weights that do not depend on the row.
    draw_noise = StudentTRows.draw_noise

    def without_weights(self, *arguments):
        log_noise, weights = draw_noise(self, *arguments)
        return log_noise, np.full_like(weights, weights.mean())

    monkeypatch.setattr(StudentTRows, "draw_noise", without_weights)
    wrong = fitted(data, simplify=False, draws=300, seed=1)
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

    def error(rounded: np.ndarray) -> float:
        return float(np.abs(inverse @ (rounded - xx) @ inverse.T).max())

    assert error(np.asarray(sums.xx)) < 5e-6
    # Negative control: single precision without whitening.
    plain = (design * np.sqrt(weights)[:, None]).astype(np.float32)
    assert error((plain.T @ plain).astype(float)) > 1e-4
    np.testing.assert_allclose(inverse @ sums.xy, inverse @ xy, atol=1e-4)
    coefficients = rng.normal(size=6)
    np.testing.assert_allclose(white.fitted(coefficients), design @ coefficients, rtol=1e-4)


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


def test_statistics_integrate_out_only_the_weights_that_are_drawn() -> None:
    rows = arranged(heavy_tailed(60))
    assert 0 < rows.fixed.informed < len(rows.fixed.columns)
    rng = np.random.default_rng(3)
    weights = rng.gamma(2.0, size=len(rows.outcome))
    fixed = 0.1 * rng.normal(size=len(rows.fixed.columns))
    _, outcome = rows.residual(np.zeros(rows.size), fixed)
    given = fixed[rows.fixed.informed :]
    partial = rows.statistics(weights, outcome, given).sums
    # Second route: products in double precision, with the outcome minus the weights given.
    last = rows.size + rows.fixed.informed
    design, target = rows.design[:, :last], rows.outcome - rows.design[:, last:] @ given
    precision = (design.T * weights) @ design
    own, drawn = slice(rows.size), slice(rows.size, last)
    inverse = np.linalg.inv(np.eye(rows.fixed.informed) + precision[drawn, drawn])
    xx = precision[own, own] - precision[own, drawn] @ inverse @ precision[drawn, own]
    information = design.T @ (weights * target)
    xy = information[own] - precision[own, drawn] @ inverse @ information[drawn]
    scale = np.sqrt(np.maximum(np.diag(xx), 1))
    np.testing.assert_allclose(partial.xx / np.outer(scale, scale), xx / np.outer(scale, scale),
                               atol=1e-5)  # fmt: skip
    np.testing.assert_allclose(partial.xy / scale, xy / scale, atol=1e-3)
    squares = weights @ target**2 + given @ given
    squares -= information[drawn] @ inverse @ information[drawn]
    assert float(partial.yy) == pytest.approx(squares, rel=1e-5)
    assert partial.rows == len(rows.outcome) + len(given)
    # Negative control: with all of them drawn, the statistics differ.
    every = rows.statistics(weights, outcome, fixed[:0]).sums
    assert abs(float(every.yy) - squares) > 1e-3
