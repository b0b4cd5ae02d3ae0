import numpy as np
import pytest

from bayes_intgen.simulators import DoseResponse


def test_doses_stay_in_range_and_experiments_cover_it() -> None:
    for seed in range(5):
        model = DoseResponse.random(4, seed=seed)
        rng = np.random.default_rng(0)
        observed, _ = model.sample((), 20_000, rng)
        was_set, _ = model.sample(model.names, 20_000, rng)
        for actions in (observed, was_set):
            assert (actions > 0).all()
            assert (actions < model.highest).all()
        low, high = np.quantile(was_set, [0.005, 0.995], axis=0)
        assert ((observed > low) & (observed < high)).mean() > 0.98


def test_doses_follow_their_parents() -> None:
    model = DoseResponse.random(4, seed=1)
    observed, _ = model.sample((), 20_000, np.random.default_rng(0))
    share = observed / model.highest
    edges = [(k, model.parents(k)) for k in range(4) if model.parents(k)]
    assert edges
    for k, parents in edges:
        design = np.column_stack([np.ones(len(observed)), share[:, parents] - 0.5])
        estimate = np.linalg.lstsq(design, np.log(share[:, k] / (1 - share[:, k])), rcond=None)[0]
        np.testing.assert_allclose(estimate[0], model.usual[k], atol=0.05)
        np.testing.assert_allclose(estimate[1:], model.between[k, parents], atol=0.2)


def test_confounding_understates_the_benefit_of_drugs() -> None:
    for seed in range(5):
        model = DoseResponse.random(4, seed=seed)
        none, full = model.joint_effect(np.stack([np.zeros(4), model.highest]))
        assert none == pytest.approx(model.level)
        assert full < none - 0.8 * model.benefit.sum()
        observed, outcome = model.sample((), 20_000, np.random.default_rng(0))
        design = np.column_stack([np.ones(len(observed)), observed / model.highest])
        naive = np.linalg.lstsq(design, outcome, rcond=None)[0][1:]
        causal = np.linalg.lstsq(design, model.joint_effect(observed), rcond=None)[0][1:]
        assert (causal < 0).all()
        assert naive.mean() > 0.8 * causal.mean()
