import numpy as np
import pytest
from _study_worlds import Mistyped

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

SEEDS = {MediaMix: 1, Linear: 3, Polynomial: 2, DoseResponse: 1}
BASES = [world.random(3, seed=seed) for world, seed in SEEDS.items()]
MEDIA = BASES[0]
each_base = pytest.mark.parametrize("base", BASES, ids=lambda m: type(m).__name__)


def assert_same_rows(model: StructuralCausalModel, base: StructuralCausalModel, *regimes) -> None:
    for regime in regimes:
        one, other = (m.sample(regime, 200, np.random.default_rng(0)) for m in (model, base))
        for rows, expected in zip(one, other, strict=True):
            np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize("kind", [Interacting, SharedConfounder, ShiftedSupport, Mistyped])
@each_base
def test_strength_zero_equals_the_base(kind, base: StructuralCausalModel) -> None:
    model = kind(base, 0.0)
    assert_same_rows(model, base, (), base.names[:1], base.names)
    points, _ = base.sample((), 10, np.random.default_rng(0))
    np.testing.assert_array_equal(model.joint_effect(points), base.joint_effect(points))


@each_base
def test_only_an_interaction_changes_the_joint_effect(base: StructuralCausalModel) -> None:
    def scores(model: StructuralCausalModel) -> Array:
        """Correlations of products of actions with what the base's effect does not explain."""
        actions, outcome = model.sample(model.names, 50_000, np.random.default_rng(1))
        residual = outcome - base.joint_effect(actions)
        ranks = np.argsort(np.argsort(actions, axis=0), axis=0)
        waves = np.cos(np.pi * ranks / len(ranks))
        columns = [np.ones(len(ranks)), *waves.T, waves[:, 0] * waves[:, 1]]
        products = residual[:, None] * np.stack(columns, axis=1)
        return np.abs(products.mean(axis=0) / products.std(axis=0)) * np.sqrt(len(ranks))

    assert scores(Interacting(base, 1.0)).max() > 6
    for model in (SharedConfounder(base, 0.8), ShiftedSupport(base, 1.0)):
        assert scores(model).max() < 4.5


@each_base
def test_shared_causes_are_correlated_and_keep_their_moments(base: StructuralCausalModel) -> None:
    rows = 200_000
    causes = SharedConfounder(base, 0.6).draw_causes(rows, np.random.default_rng(0))
    mean, sd = base.cause_moments
    assert (np.abs(causes.mean(axis=0) - mean) < 5 * sd / np.sqrt(rows)).all()
    products = (causes - mean) / sd
    error = np.sqrt((products**2).T @ products**2 / rows / rows)
    expected = np.where(np.eye(3) == 1, 1, 0.6)
    assert (np.abs(products.T @ products / rows - expected) < 5 * error).all()


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
    shifted, before = (
        own.sample(MEDIA.names, 50_000, np.random.default_rng(0))[0] for own in (model, MEDIA)
    )
    np.testing.assert_allclose((shifted - before).mean(axis=0) / before.std(axis=0), 3.0, rtol=0.05)
    assert (shifted.min(axis=0) > np.quantile(before, 0.9, axis=0)).all()
    assert_same_rows(model, MEDIA, ())
