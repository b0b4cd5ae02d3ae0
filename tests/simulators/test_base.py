import itertools

import numpy as np
import pytest
from scipy import stats

import bayes_intgen as bi
from bayes_intgen.simulators import (
    DoseResponse,
    Linear,
    MediaMix,
    Polynomial,
    StructuralCausalModel,
)

from simulator_checks import misfit

MODELS = [
    Linear.random(3, seed=3),
    Polynomial.random(3, seed=2),
    MediaMix.random(3, seed=1),
    DoseResponse.random(3, seed=1),
]
IDS = [type(model).__name__ for model in MODELS]
each_model = pytest.mark.parametrize("model", MODELS, ids=IDS)


@each_model
def test_effect_is_the_conditional_mean_given_the_actions(model: StructuralCausalModel) -> None:
    first, _, last = model.names
    for regime in [(), (first,), (last,), (first, last)]:
        assert misfit(model, regime) < 4.5
    # The check can fail: the joint effect is not the mean where nothing was set.
    assert misfit(model, (), truth=model.joint_effect) > 6


@each_model
def test_joint_interventions_are_exact_and_an_observed_action_adds_its_bias(
    model: StructuralCausalModel,
) -> None:
    points, _ = model.sample((), 20, np.random.default_rng(0))
    exact = model.effect(points, model.names, draws=2)
    np.testing.assert_array_equal(exact.value, model.joint_effect(points))
    np.testing.assert_array_equal(exact.error, 0)
    partial = model.effect(points, model.names[1:], draws=500, seed=3)
    bias = model.confounding_bias(0, points, draws=500, seed=3)
    np.testing.assert_allclose(partial.value, exact.value + bias.value)
    np.testing.assert_array_equal(partial.error, bias.error)


@each_model
def test_standard_errors_match_repetitions(model: StructuralCausalModel) -> None:
    points, _ = model.sample((), 20, np.random.default_rng(4))
    # A seed for each point and run: points of one call share their draws.
    runs = [
        model.effect(points[[j]], (), draws=5000, seed=40 * j + run)
        for run in range(40)
        for j in range(20)
    ]
    values, errors = (np.reshape(part, (40, 20)) for part in zip(*runs, strict=True))
    finite = np.isfinite(errors)
    assert finite.mean() > 0.9
    # Medians, since near a pole of a density single draws have any weight.
    scores = np.abs(values - np.median(values, axis=0))[finite] / errors[finite]
    # 800 scores: four standard errors of their median, sqrt(1 / 4 / 800) / 0.636 = 0.028, and of
    # the share within two, 0.008.
    assert np.median(scores) == pytest.approx(stats.norm.ppf(0.75), abs=0.11)
    assert (scores < 2).mean() == pytest.approx(stats.norm.cdf(2) * 2 - 1, abs=0.031)


@each_model
def test_densities_agree_with_draws(model: StructuralCausalModel) -> None:
    rng = np.random.default_rng(0)
    rows, bins, cells = 50_000, 10, 2000
    for k in range(len(model.names)):
        causes = np.repeat(model.draw_causes(1, rng), rows, axis=0)
        actions = np.repeat(model.sample((), 1, rng)[0], rows, axis=0)
        values = model.draw_action(k, causes, actions, rng)
        edges = np.quantile(values, np.linspace(0, 1, bins + 1))
        for low, high in itertools.pairwise(edges):
            middle = low + (np.arange(cells) + 0.5) / cells * (high - low)
            density = model.action_density(k, middle, causes[:cells], actions[:cells])
            share = density.mean() * (high - low)
            assert abs(share - 1 / bins) < 5 * np.sqrt((1 / bins) * (1 - 1 / bins) / rows)


@each_model
def test_cause_moments(model: StructuralCausalModel) -> None:
    causes = model.draw_causes(400_000, np.random.default_rng(0))
    mean, sd = model.cause_moments
    centred = (causes - mean) / sd
    spread = (centred**2).std(axis=0) / np.sqrt(len(causes))
    assert (np.abs(centred.mean(axis=0)) < 4.5 / np.sqrt(len(causes))).all()
    assert (np.abs((centred**2).mean(axis=0) - 1) < 5 * spread).all()


@each_model
def test_densities_depend_on_own_cause_and_parents_only(model: StructuralCausalModel) -> None:
    rng = np.random.default_rng(0)
    causes = model.draw_causes(50, rng)
    actions, _ = model.sample((), 50, rng)
    for k in range(len(model.names)):
        others = [j for j in range(len(model.names)) if j not in model.parents(k)]
        changed_causes, changed_actions = causes.copy(), actions.copy()
        changed_causes[:, [j for j in range(len(model.names)) if j != k]] = 7.0
        changed_actions[:, others] = 7.0
        before = model.action_density(k, actions[:, k], causes, actions)
        if isinstance(model, Linear):
            # It multiplies by weights of zero.
            changed_actions = np.where(model.between[k] == 0, changed_actions, actions)
        np.testing.assert_allclose(
            model.action_density(k, actions[:, k], changed_causes, changed_actions),
            before,
            rtol=1e-9,
        )


def test_impossible_points_and_single_draws_have_infinite_errors() -> None:
    model = MediaMix.random(2, seed=0)
    never = model.confounding_bias(0, [[-1.0, 5.0]])
    assert np.isnan(never.value).all()
    assert np.isinf(never.error).all()
    actions, _ = model.sample((), 3, np.random.default_rng(0))
    assert np.isinf(model.confounding_bias(0, actions, draws=5).error).all()


def test_number_of_rows_may_differ_by_regime() -> None:
    model = MediaMix.random(3, seed=0)
    counts = {(): 40, ("tv",): 10, ("search", "radio"): 5}
    data = model.dataset(counts, seed=0)
    assert data.regimes == {
        (False, False, False): 40,
        (True, False, False): 10,
        (False, True, True): 5,
    }
    some = model.dataset(counts, seed=0, regimes=[(), ["radio", "search"]])
    assert some.regimes == {(False, False, False): 40, (False, True, True): 5}
    same = model.dataset(dict.fromkeys([(), ("tv",), ("radio",), ("search",)], 10), seed=4)
    np.testing.assert_array_equal(same.outcome, model.dataset(10, seed=4).outcome)


def test_bad_input_raises_informative_errors() -> None:
    model = MediaMix.random(2, seed=0)
    point = [[1.0, 2.0]]
    for call, message in [
        (lambda: model.dataset(0, seed=0), "observational cannot have 0 rows"),
        (lambda: model.dataset({("tv",): 1.5}, seed=0), r"do\(tv\) cannot have 1.5 rows"),
        (lambda: model.dataset({(): 30}, 0, [(), ("tv",)]), r"do\(tv\) 0 times"),
        (lambda: model.dataset({("tv", "radio"): 9, ("radio", "tv"): 9}, 0), "2 times"),
        (lambda: model.dataset({("x",): 9}, 0), "unknown action 'x'"),
        (lambda: model.dataset(30, 0, []), "no regimes"),
        (lambda: model.effect(point, "tv"), r"write \['tv'\]"),
        (lambda: model.effect(point, ["x"]), "the actions are 'tv', 'radio'"),
        (lambda: model.effect([1.0, 2.0], []), r"shape \(points, 2\)"),
        (lambda: model.joint_effect([[1.0, 2.0, 3.0]]), r"shape \(points, 2\)"),
        (lambda: model.joint_effect([[1.0], [1.0, 2.0]]), "rectangular"),
        (lambda: model.effect([[1.0, np.nan]], []), "NaN"),
        (lambda: model.confounding_bias(2, point), "unknown action 2"),
        (
            lambda: model.effect(point, [], draws=0),
            "draws must be a whole number of at least 1, not 0",
        ),
        (lambda: MediaMix.random(0, seed=0), "at least one action"),
    ]:
        with pytest.raises(bi.ModelError, match=message):
            call()
