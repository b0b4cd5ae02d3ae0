import numpy as np
import pytest
from scipy import stats

from bayes_intgen.simulators import MediaMix


def test_demand_is_standardised_and_seasonal() -> None:
    model = MediaMix.random(2, seed=0)
    causes = model.draw_causes(200_000, np.random.default_rng(0))
    # Of the variance share, the season is bounded: kurtosis 3 (1 - s)^2 + 6 s (1 - s) + 1.5 s^2.
    share = model.seasonal_share
    expected = 3 * (1 - share) ** 2 + 6 * share * (1 - share) + 1.5 * share**2
    np.testing.assert_allclose(stats.kurtosis(causes, fisher=False), expected, rtol=0.02)


def test_experiments_cover_the_observed_range_and_observational_means_are_biased() -> None:
    for seed in range(5):
        model = MediaMix.random(4, seed=seed)
        rng = np.random.default_rng(0)
        observed, outcome = model.sample((), 20_000, rng)
        was_set, _ = model.sample(model.names, 20_000, rng)
        low, high = np.quantile(was_set, [0.005, 0.995], axis=0)
        assert ((observed > low) & (observed < high)).mean() > 0.97
        truth = model.joint_effect(observed)
        design = np.column_stack([np.ones(len(observed)), np.log(observed)])
        naive = np.linalg.lstsq(design, outcome, rcond=None)[0][1:]
        causal = np.linalg.lstsq(design, truth, rcond=None)[0][1:]
        assert (naive > causal).all()
        assert naive.mean() > 1.3 * causal.mean()


def test_spend_follows_its_parents() -> None:
    model = MediaMix.random(4, seed=0)
    observed, _ = model.sample((), 20_000, np.random.default_rng(0))
    logs = np.log(observed / model.budget)
    edges = [(k, model.parents(k)) for k in range(4) if model.parents(k)]
    assert edges
    for k, parents in edges:
        # Own cause and chance are independent of the parents.
        slopes = np.linalg.lstsq(logs[:, parents], logs[:, k], rcond=None)[0]
        np.testing.assert_allclose(slopes, model.between[k, parents], atol=0.04)


def test_noise_and_effect_both_matter() -> None:
    for seed in range(5):
        model = MediaMix.random(4, seed=seed)
        points, outcome = model.sample(model.names, 20_000, np.random.default_rng(0))
        assert 0.03 < model.noise_sd**2 / outcome.var() < 0.4
        assert 0.2 < model.joint_effect(points).var() / outcome.var() < 0.8


def test_names_and_effects_at_zero_and_half_spend() -> None:
    model = MediaMix.random(10, seed=0)
    assert model.names[:2] == ("tv", "radio")
    assert model.names[8:] == ("channel9", "channel10")
    assert len(set(model.names)) == 10
    zeros = np.zeros((1, 10))
    assert model.joint_effect(zeros)[0] == pytest.approx(model.base)
    assert model.joint_effect(-zeros - 1)[0] == pytest.approx(model.base)
    assert (model.saturation(0, model.half_spend[:1]) == 0.5).all()
