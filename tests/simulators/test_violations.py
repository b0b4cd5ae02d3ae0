from collections.abc import Callable

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen._typing import Array
from bayes_intgen.simulators import (
    DoseResponse,
    Interacting,
    Linear,
    MediaMix,
    Polynomial,
    SharedConfounder,
    ShiftedSupport,
    StructuralCausalModel,
)

from simulator_checks import misfit

BASES = [Linear.random(3, seed=3), Polynomial.random(3, seed=2), MediaMix.random(3, seed=1)]
MEDIA = BASES[2]
KINDS = [Interacting, SharedConfounder, ShiftedSupport]
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
@pytest.mark.parametrize("base", BASES, ids=lambda m: type(m).__name__)
def test_strength_zero_equals_the_base(
    kind: Callable[..., StructuralCausalModel], base: StructuralCausalModel
) -> None:
    model = kind(base, 0.0)
    for regime in [(), base.names[:1], base.names]:
        for one, other in zip(
            model.sample(regime, 200, np.random.default_rng(0)),
            base.sample(regime, 200, np.random.default_rng(0)),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
    points, _ = base.sample((), 10, np.random.default_rng(0))
    np.testing.assert_array_equal(model.joint_effect(points), base.joint_effect(points))
    np.testing.assert_array_equal(model.outcome_variance(points), base.outcome_variance(points))
    for regime in [(), base.names[:1]]:
        for one, other in zip(
            model.effect(points, regime, 500), base.effect(points, regime, 500), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(
        model.confounding_bias(0, points, 500), base.confounding_bias(0, points, 500)
    )


@pytest.mark.parametrize(
    "model",
    [
        Interacting(MEDIA, 0.5),
        SharedConfounder(MEDIA, 0.5),
        ShiftedSupport(DoseResponse.random(3, seed=1), 1.0),
        ShiftedSupport(Interacting(SharedConfounder(MEDIA, 0.5), 0.5), 0.5),
        SharedConfounder(Interacting(MEDIA, 0.5), 0.5),
    ],
    ids=["interacting", "shared", "shifted", "nested", "nested again"],
)
def test_effect_is_the_conditional_mean_given_the_actions(model: StructuralCausalModel) -> None:
    for regime in [(), model.names[1:2], model.names]:
        assert misfit(model, regime) < 4.5


def test_base_effects_are_wrong_at_positive_strength() -> None:
    base = MEDIA

    def of_base(regime: tuple[str, ...]) -> Callable[[Array], Array]:
        return lambda actions: base.effect(actions, regime, 3000).value

    assert misfit(Interacting(base, 1.0), base.names, truth=base.joint_effect) > 6
    for regime in [(), ("radio",)]:
        assert misfit(SharedConfounder(base, 0.8), regime, truth=of_base(regime)) > 6
    # The joint effect stays where causes are shared or the support is another.
    for model in (SharedConfounder(base, 0.8), ShiftedSupport(base, 1.0)):
        assert misfit(model, base.names, truth=base.joint_effect) < 4.5


@pytest.mark.parametrize("base", BASES, ids=lambda m: type(m).__name__)
def test_shared_causes_keep_moments_and_have_the_stated_variance(
    base: StructuralCausalModel,
) -> None:
    rows = 200_000
    model = SharedConfounder(base, 0.6)
    causes = model.draw_causes(rows, np.random.default_rng(0))
    mean, sd = base.cause_moments
    assert (np.abs(causes.mean(axis=0) - mean) < 5 * sd / np.sqrt(rows)).all()
    products = (causes - mean) / sd
    correlation = products.T @ products / rows
    error = np.sqrt((products**2).T @ products**2 / rows / rows)
    assert (np.abs(correlation - np.where(np.eye(3) == 1, 1, 0.6)) < 5 * error).all()
    point, _ = base.sample(base.names, 1, np.random.default_rng(1))
    total = sum(model.contribution(k, np.full(rows, point[0, k]), causes[:, k]) for k in range(3))
    stated = model.outcome_variance(point)[0] - base.noise_variance
    centred = (total - total.mean()) ** 2
    assert abs(centred.mean() - stated) < 4.5 * centred.std() / np.sqrt(rows)
    assert abs(total.mean() + base.noise_mean - model.joint_effect(point)[0]) < 4.5 * np.sqrt(
        stated / rows
    )
    # Negative control: independent causes have another variance.
    independent = base.outcome_variance(point)[0] - base.noise_variance
    assert abs(centred.mean() - independent) > 6 * centred.std() / np.sqrt(rows)


def test_strength_of_an_interaction_is_its_share_of_the_effect() -> None:
    model = Interacting(MEDIA, 0.5, pair=("radio", "search"))
    points, _ = model.sample(MEDIA.names, 100_000, np.random.default_rng(5))
    effect = MEDIA.joint_effect(points)
    added = model.joint_effect(points) - effect
    assert added.std() / effect.std() == pytest.approx(0.5, rel=0.05)
    changed = points.copy()
    changed[:, 0] *= 2
    np.testing.assert_allclose(model.joint_effect(changed) - MEDIA.joint_effect(changed), added)


def test_a_shift_moves_settings_only() -> None:
    model = ShiftedSupport(MEDIA, 3.0)
    shifted, _ = model.sample(MEDIA.names, 50_000, np.random.default_rng(0))
    before = model.unshifted_points(50_000, np.random.default_rng(0))
    np.testing.assert_allclose((shifted - before).mean(axis=0) / before.std(axis=0), 3.0, rtol=0.05)
    assert (shifted.min(axis=0) > np.quantile(before, 0.9, axis=0)).all()
    for one, other in zip(
        model.sample((), 50, np.random.default_rng(0)),
        MEDIA.sample((), 50, np.random.default_rng(0)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


class Cubed(MediaMix):
    def contribution(self, action: int, values: Array, causes: Array) -> Array:
        return super().contribution(action, values, causes**3)


def test_bad_input_raises_informative_errors() -> None:
    shared = SharedConfounder(MEDIA, 0.5)
    point = np.ones((1, 3))
    for call, message in [
        (lambda: Interacting(MEDIA, -1.0), "from 0 up, not -1.0"),
        (lambda: ShiftedSupport(MEDIA, np.nan), "finite"),
        (lambda: Interacting(MEDIA, 1.0, pair=("tv", "tv")), "two different actions"),
        (lambda: Interacting(MEDIA, 1.0, pair=("tv", "x")), "of 'tv', 'radio', 'search'"),
        (lambda: Interacting(MediaMix.random(1, seed=0), 1.0), "two different actions"),
        (lambda: SharedConfounder(MEDIA, 1.0), "below 1"),
        (lambda: SharedConfounder(Interacting(shared, 1.0), 0.1), "shared already"),
        (lambda: SharedConfounder(Cubed.random(2, seed=0), 0.1), "not quadratic in its cause"),
        (lambda: shared.confounding_bias(0, point), r"use effect\(points, intervened\)"),
        (lambda: shared.effect(point, ["x"]), "unknown action 'x'"),
    ]:
        with pytest.raises(bi.ModelError, match=message):
            call()
