import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.simulators import (
    DoseResponse,
    Linear,
    MediaMix,
    Polynomial,
    StructuralCausalModel,
)

MODELS = [
    Polynomial.random(3, seed=1),
    Polynomial.random(4, seed=2),
    Linear.random(3, seed=1),
    MediaMix.random(3, seed=1),
    DoseResponse.random(3, seed=1),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_true_effects_equal_means_of_samples(model: StructuralCausalModel) -> None:
    """Mean under do(all), in closed form against Monte Carlo."""
    rng = np.random.default_rng(0)
    points, _ = model.sample(model.names, 3, rng)
    rows = 200_000
    for point, mean in zip(points, model.joint_effect(points), strict=True):
        causes = model.draw_causes(rows, rng)
        outcome = model.draw_noise(rows, rng)
        for k, value in enumerate(point):
            outcome = outcome + model.contribution(k, np.full(rows, value), causes[:, k])
        assert abs(outcome.mean() - mean) < 4 * outcome.std() / np.sqrt(rows)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_only_confounding_separates_observational_and_interventional_means(
    model: StructuralCausalModel,
) -> None:
    rng = np.random.default_rng(0)
    rows = 100_000
    actions, outcome = model.sample(model.names, rows, rng)
    residual = outcome - model.joint_effect(actions)
    assert abs(residual.mean()) < 4 * residual.std() / np.sqrt(rows)
    # Observed actions are informative about the residual, set actions are not.
    correlation = [abs(np.corrcoef(actions[:, k], residual)[0, 1]) for k in range(len(model.names))]
    assert max(correlation) < 4.5 / np.sqrt(rows)
    actions, outcome = model.sample((), rows, rng)
    residual = outcome - model.joint_effect(actions)
    correlation = [abs(np.corrcoef(actions[:, k], residual)[0, 1]) for k in range(len(model.names))]
    assert max(correlation) > 10 / np.sqrt(rows)


def test_sampling_is_determined_by_the_generator() -> None:
    model = Polynomial.random(3, seed=5)
    first = model.sample(["a1"], 10, np.random.default_rng(3))
    model.sample((), 1000, np.random.default_rng(4))
    again = model.sample(["a1"], 10, np.random.default_rng(3))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_interventions_have_the_observational_moments() -> None:
    model = Polynomial.random(3, seed=6)
    rng = np.random.default_rng(0)
    observed, _ = model.sample((), 100_000, rng)
    was_set, _ = model.sample(model.names, 100_000, rng)
    scale = observed.std(axis=0)
    np.testing.assert_allclose(
        was_set.mean(axis=0) / scale, observed.mean(axis=0) / scale, atol=0.03
    )
    np.testing.assert_allclose(was_set.std(axis=0) / scale, 1, atol=0.05)


def test_datasets_have_the_requested_regimes() -> None:
    model = Polynomial.random(3, seed=7)
    data = model.dataset(20, seed=0)
    assert data.regimes == {
        (False, False, False): 20,
        (True, False, False): 20,
        (False, True, False): 20,
        (False, False, True): 20,
    }
    pair = model.dataset(20, seed=0, regimes=[(), ("a1", "a3")])
    assert pair.regimes == {(False, False, False): 20, (True, False, True): 20}
    with pytest.raises(bi.ModelError, match="unknown action 'b'"):
        model.sample(["b"], 5, np.random.default_rng(0))


def test_the_published_scales_of_random_models() -> None:
    for seed in range(20):
        model = Polynomial.random(4, seed=seed, moment_rows=10)
        for coefficients in (*model.action_coefficients, *model.outcome_coefficients):
            assert np.abs(coefficients).sum() == pytest.approx(1)
        linear = Linear.random(4, seed=seed)
        for values in (linear.alpha, linear.beta, linear.gamma, linear.cause_sd):
            assert ((values > 0.5) & (values < 1.5)).all()
        assert (np.triu(linear.between) == 0).all()
        assert (np.abs(linear.between) < 0.5).all()
