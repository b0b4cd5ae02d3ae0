"""Truth, densities and confounding that simulators state, against rows that they sample."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import bayes_intgen as bi
from bayes_intgen.simulators import (
    Binary,
    Counts,
    DoseResponse,
    FewDoses,
    Linear,
    MediaMix,
    Ordered,
    Polynomial,
    Steep,
    Stepped,
    StructuralCausalModel,
    UniformDesign,
    ZeroInflated,
)
from bayes_intgen.simulators.confounded import Confounded
from bayes_intgen.simulators.stepped import SHAPES

from simulator_checks import density_misfit, misfit, outcomes_under_do

PUBLISHED: dict[str, StructuralCausalModel] = {
    "linear": Linear.random(3, seed=3),
    "polynomial": Polynomial.random(3, seed=2),
    "media mix": MediaMix.random(3, seed=1),
    "dose response": DoseResponse.random(3, seed=1),
}
CONFOUNDED: dict[str, Confounded] = {
    "binary": Binary.random(3, seed=3),
    "rare binary": Binary.random(3, seed=2, share=(0.05, 0.1)),
    "3 levels": Ordered.random(3, seed=3),
    "5 unordered levels": Ordered.random(3, seed=1, levels=5, monotone=False),
    "counts": Counts.random(3, seed=3),
    "uniform": UniformDesign.random(3, seed=3),
    "two points": FewDoses.random(3, seed=1, doses=2),
    "zeros": ZeroInflated.random(3, seed=3),
    "emax with zeros": Steep.random(3, seed=1),
    "hill without zeros": Steep.random(3, seed=2, hill=True),
    **{shape: Stepped.random(3, seed=3, shape=shape) for shape in SHAPES},
}
MODELS = {**PUBLISHED, **CONFOUNDED}
each_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
published = pytest.mark.parametrize("model", PUBLISHED.values(), ids=PUBLISHED)


@each_model
def test_joint_effect_is_the_mean_outcome_under_do(model: StructuralCausalModel) -> None:
    rng, rows = np.random.default_rng(0), 100_000
    points, _ = model.sample(model.names, 3, rng)
    variances = model.outcome_variance(points)
    for point, mean, variance in zip(points, model.joint_effect(points), variances, strict=True):
        outcome = outcomes_under_do(model, point, rows, rng)
        assert abs(outcome.mean() - mean) < 4.5 * np.sqrt(variance / rows)
        squares = (outcome - mean) ** 2
        assert abs(squares.mean() - variance) < 4.5 * squares.std() / np.sqrt(rows)
    exact = model.effect(points, model.names, draws=2)
    np.testing.assert_array_equal(exact.value, model.joint_effect(points))
    np.testing.assert_array_equal(exact.error, 0)


@each_model
def test_effect_is_the_conditional_mean_given_the_actions(model: StructuralCausalModel) -> None:
    first, _, last = model.names
    for regime in [(), (first,), (last,), (first, last)]:
        assert misfit(model, regime) < 4.5
    # The check can fail: the joint effect is not the mean where nothing was set.
    assert misfit(model, (), truth=model.joint_effect) > 6


@each_model
def test_densities_and_masses_agree_with_draws(model: StructuralCausalModel) -> None:
    assert density_misfit(model) < 5


def test_density_check_detects_a_wrong_density() -> None:
    class Wrong(Binary):
        def action_density(self, action, values, causes, actions):
            return 0.95 * super().action_density(action, values, causes, actions)

    assert density_misfit(Wrong(*vars(MODELS["binary"]).values())) > 6


@each_model
def test_only_confounding_makes_a_regression_wrong(model: StructuralCausalModel) -> None:
    rng, rows = np.random.default_rng(0), 100_000

    def bias(regime: tuple[str, ...]) -> float:
        """Largest score over actions of the correlation with the outcome less its joint effect."""
        actions, outcome = model.sample(regime, rows, rng)
        residual = outcome - model.joint_effect(actions)
        standard = (actions - actions.mean(axis=0)) / actions.std(axis=0)
        products = standard * (residual - residual.mean())[:, None]
        return float(np.abs(products.mean(axis=0) / products.std(axis=0)).max() * np.sqrt(rows))

    assert bias(()) > 10
    # Control: with all actions set the same regression is right.
    assert bias(model.names) < 4.5


@pytest.mark.parametrize("model", CONFOUNDED.values(), ids=CONFOUNDED)
def test_the_bias_depends_on_the_effect(model: Confounded) -> None:
    """Without boosts the bias is another one, at values whose effect is not zero."""
    even = replace(model, hidden=replace(model.hidden, boost=np.zeros(3)))
    points, _ = model.sample((), 200, np.random.default_rng(0))
    bias, even_bias = (one.confounding_bias(0, points, draws=3000) for one in (model, even))
    effect = model.unconfounded(0, points[:, 0])
    # The difference is boost * effect * E[C | a]: with the same draws, error free.
    factor = model.hidden.boost[0] * effect / model.hidden.burden[0]
    finite = np.isfinite(bias.error)
    assert finite.mean() > 0.9
    difference = (bias.value - even_bias.value)[finite]
    np.testing.assert_allclose(difference, (factor * even_bias.value)[finite], atol=1e-9)
    assert np.ptp(difference) > 0.02


@published
def test_an_observed_action_adds_its_bias_whose_error_matches_repetitions(
    model: StructuralCausalModel,
) -> None:
    points, _ = model.sample((), 20, np.random.default_rng(4))
    partial = model.effect(points, model.names[1:], draws=500, seed=3)
    bias = model.confounding_bias(0, points, draws=500, seed=3)
    np.testing.assert_allclose(partial.value, model.joint_effect(points) + bias.value)
    np.testing.assert_array_equal(partial.error, bias.error)
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


@published
def test_cause_moments(model: StructuralCausalModel) -> None:
    causes = model.draw_causes(400_000, np.random.default_rng(0))
    mean, sd = model.cause_moments
    centred = (causes - mean) / sd
    spread = (centred**2).std(axis=0) / np.sqrt(len(causes))
    assert (np.abs(centred.mean(axis=0)) < 4.5 / np.sqrt(len(causes))).all()
    assert (np.abs((centred**2).mean(axis=0) - 1) < 5 * spread).all()


def test_bias_of_a_root_by_quadrature() -> None:
    """E[C | A] by a sum over a fine grid of log c, for an action without parents."""
    model = Linear.random(2, seed=0)
    z = (np.arange(200_000) + 0.5) / 200_000 * 16 - 8
    cause = np.exp(model.cause_sd[0] * z)
    for value in (1.0, 2.0, 4.0):
        own = stats.lognorm.pdf(value - model.gamma[0] * cause, model.action_sd[0])
        weight = stats.norm.pdf(z) * own
        mean = (weight * cause).sum() / weight.sum()
        expected = model.beta[0] * (mean - model.cause_moments[0][0])
        estimate = model.confounding_bias(0, [[value, 0.0]], draws=50_000)
        assert estimate.value[0] == pytest.approx(expected, abs=4 * estimate.error[0])
        assert estimate.error[0] < 0.02 * abs(expected) + 0.02


def test_impossible_points_and_single_draws_have_infinite_errors() -> None:
    model = MediaMix.random(2, seed=0)
    never = model.confounding_bias(0, [[-1.0, 5.0]])
    assert np.isnan(never.value).all()
    assert np.isinf(never.error).all()
    actions, _ = model.sample((), 3, np.random.default_rng(0))
    assert np.isinf(model.confounding_bias(0, actions, draws=5).error).all()


def test_datasets_have_the_requested_rows_of_each_regime_and_a_seed_gives_one() -> None:
    model = MediaMix.random(3, seed=0)
    counts = {(): 40, ("tv",): 10, ("search", "radio"): 5}
    masks = [(False, False, False), (True, False, False), (False, True, True)]
    assert model.dataset(counts, seed=0).regimes == dict(zip(masks, (40, 10, 5), strict=True))
    some = model.dataset(counts, seed=0, regimes=[(), ["radio", "search"]])
    assert some.regimes == {masks[0]: 40, masks[2]: 5}
    same = model.dataset(dict.fromkeys([(), ("tv",), ("radio",), ("search",)], 10), seed=4)
    np.testing.assert_array_equal(same.outcome, model.dataset(10, seed=4).outcome)


BINARY, ORDERED, MEDIA = MODELS["binary"], MODELS["3 levels"], MediaMix.random(2, seed=0)
POINT = [[1.0, 2.0]]
BAD = [
    (lambda: MEDIA.dataset(0, seed=0), "observational cannot have 0 rows"),
    (lambda: MEDIA.dataset({("tv",): 1.5}, seed=0), r"do\(tv\) cannot have 1.5 rows"),
    (lambda: MEDIA.dataset({(): 30}, 0, [(), ("tv",)]), r"do\(tv\) 0 times"),
    (lambda: MEDIA.dataset({("tv", "radio"): 9, ("radio", "tv"): 9}, 0), "2 times"),
    (lambda: MEDIA.dataset({("x",): 9}, 0), "unknown action 'x'"),
    (lambda: MEDIA.dataset(30, 0, []), "no regimes"),
    (lambda: MEDIA.effect(POINT, "tv"), r"write \['tv'\]"),
    (lambda: MEDIA.effect(POINT, ["x"]), "the actions are 'tv', 'radio'"),
    (lambda: MEDIA.effect([1.0, 2.0], []), r"shape \(points, 2\)"),
    (lambda: MEDIA.joint_effect([[1.0, 2.0, 3.0]]), r"shape \(points, 2\)"),
    (lambda: MEDIA.joint_effect([[1.0], [1.0, 2.0]]), "rectangular"),
    (lambda: MEDIA.effect([[1.0, np.nan]], []), "NaN"),
    (lambda: MEDIA.confounding_bias(2, POINT), "unknown action 2"),
    (lambda: MEDIA.effect(POINT, [], draws=0), "draws must be a whole number of at least 1, not 0"),
    (lambda: MediaMix.random(0, seed=0), "at least one action"),
    (lambda: Binary.random(2, 0, share=(0.5, 0.2)), "share must be a range"),
    (lambda: Ordered.random(2, 0, levels=1), "at least 2, not 1"),
    (lambda: FewDoses.random(2, 0, doses=1), "at least 2, not 1"),
    (lambda: Stepped.random(2, 0, shape="wavy"), "unknown shape 'wavy'"),
    (lambda: BINARY.joint_effect([[0, 1, 0.5]]), "'a3' has the levels 0 to 1, not 0.5"),
    (lambda: ORDERED.joint_effect([[3, 1, 1]]), "'a1' has the levels 0 to 2, not 3"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_is_refused(call, message) -> None:
    with pytest.raises(bi.ModelError, match=message):
        call()
