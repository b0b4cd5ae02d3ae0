"""What is stated of the laws of single simulators: ranges, atoms, shapes of effects, edges."""

import numpy as np
import pytest
from _study_worlds import FewDoses, Mistyped, Shape, Steep, Stepped, UniformDesign

from bayes_intgen._typing import Array
from bayes_intgen.simulators import (
    Binary,
    Counts,
    DoseResponse,
    Linear,
    MediaMix,
    Ordered,
    StructuralCausalModel,
    ZeroInflated,
)


def observed_and_set(model: StructuralCausalModel, rows: int) -> tuple[Array, Array]:
    """Actions of observational rows, and of rows in which all are set."""
    rng = np.random.default_rng(0)
    observed, _ = model.sample((), rows, rng)
    return observed, model.sample(model.names, rows, rng)[0]


@pytest.mark.parametrize("share", [(0.3, 0.7), (0.05, 0.1)])
def test_shares_of_ones_lie_in_the_range(share: tuple[float, float]) -> None:
    low, high = share
    for seed in range(5):
        model = Binary.random(3, seed=seed, share=share)
        observed, was_set = observed_and_set(model, 40_000)
        for actions, slack in ((observed, 0.1 * high), (was_set, 4 * np.sqrt(high / 40_000))):
            assert set(np.unique(actions)) == {0.0, 1.0}
            assert (actions.mean(axis=0) > low - slack).all()
            assert (actions.mean(axis=0) < high + slack).all()


def test_actions_are_counts_overdispersed_in_observational_rows() -> None:
    for seed in range(5):
        model = Counts.random(3, seed=seed)
        observed, was_set = observed_and_set(model, 20_000)
        for actions in (observed, was_set):
            np.testing.assert_array_equal(actions, np.maximum(actions.round(), 0))
        # Poisson: variance over mean is one; causes add to it.
        assert (observed.var(axis=0) / observed.mean(axis=0) > 1.2).all()
        np.testing.assert_allclose(was_set.var(axis=0) / was_set.mean(axis=0), 1, atol=0.06)


def test_doses_stay_in_range_and_experiments_cover_it() -> None:
    for seed in range(5):
        model = DoseResponse.random(4, seed=seed)
        observed, was_set = observed_and_set(model, 20_000)
        for actions in (observed, was_set):
            assert (actions > 0).all()
            assert (actions < model.highest).all()
        low, high = np.quantile(was_set, [0.005, 0.995], axis=0)
        assert ((observed > low) & (observed < high)).mean() > 0.98


@pytest.mark.parametrize("doses", [2, 4, 6])
def test_experiments_are_at_a_few_values_only(doses: int) -> None:
    for seed in range(10):
        model = FewDoses.random(2, seed=seed, doses=doses)
        assert (np.diff(model.doses, axis=1) > 0).all()
        first, second = model.names
        actions, _ = model.sample([first], 500, np.random.default_rng(0))
        np.testing.assert_array_equal(np.unique(actions[:, 0]), model.doses[0])
        assert len(np.unique(actions[:, 1])) == 500
        assert second in model.graph


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


def test_names_and_effects_at_zero_and_half_spend() -> None:
    model = MediaMix.random(10, seed=0)
    assert model.names[:2] == ("tv", "radio")
    assert model.names[8:] == ("channel9", "channel10")
    assert len(set(model.names)) == 10
    zeros = np.zeros((1, 10))
    assert model.joint_effect(zeros)[0] == pytest.approx(model.hidden.level)
    assert model.joint_effect(-zeros - 1)[0] == pytest.approx(model.hidden.level)
    assert (model.saturation(0, model.half_spend[:1]) == 0.5).all()


@pytest.mark.parametrize("levels", [2, 3, 5, 7])
def test_every_level_occurs_and_settings_are_uniform(levels: int) -> None:
    model = Ordered.random(3, seed=0, levels=levels)
    observed, was_set = observed_and_set(model, 20_000)
    for k in range(3):
        distinct, counts = np.unique(observed[:, k], return_counts=True)
        np.testing.assert_array_equal(distinct, np.arange(levels))
        assert counts.min() > 20_000 / levels / 10
        counts = np.bincount(was_set[:, k].astype(int), minlength=levels)
        share = 1 / levels
        assert (np.abs(counts / 20_000 - share) < 4.5 * np.sqrt(share * (1 - share) / 20_000)).all()


def test_effects_are_monotone_or_free() -> None:
    for seed in range(10):
        steps = np.diff(Ordered.random(3, seed, levels=5).effects, axis=1)
        assert (np.sign(steps) == np.sign(steps[:, :1])).all()
        assert (np.ptp(np.abs(steps), axis=1) > 0.05).all()
        free = np.diff(Ordered.random(3, seed, levels=5, monotone=False).effects, axis=1)
        assert ((free > 0).any() and (free < 0).any()).all()


def test_half_of_the_effect_is_reached_by_a_fifth_of_the_usual_dose() -> None:
    for hill in (False, True):
        for seed in range(8):
            model = Steep.random(3, seed=seed, hill=hill)
            assert (model.half <= 0.2 * model.budget).all()
            assert (model.steepness > 1).all() == hill
            none, fifth = model.joint_effect(np.stack([np.zeros(3), 0.2 * model.budget]))
            assert none == model.noise_mean
            assert np.isfinite(fifth)
            for k in range(3):
                share = model.unconfounded(k, 0.2 * model.budget[[k]]) / model.size[k]
                assert share >= 0.5


def test_half_of_the_worlds_have_mass_at_zero() -> None:
    masses = []
    for seed in range(40):
        model = Steep.random(2, seed=seed)
        observed, was_set = observed_and_set(model, 4000)
        zeros = np.stack([(observed == 0).mean(axis=0), (was_set == 0).mean(axis=0)])
        assert (zeros == 0).all() or ((zeros > 0.1) & (zeros < 0.45)).all()
        masses.append(bool(zeros.any()))
        assert (was_set <= 2 * model.budget).all()
        # Without an atom, observed and set doses both come close to zero.
        for actions in (observed, was_set):
            assert (np.quantile(actions, 0.05, axis=0) < 0.25 * model.budget).all()
    assert 10 < sum(masses) < 30


def curve(shape: Shape, z: np.ndarray) -> np.ndarray:
    """Effect at distance z from the turn, over its size."""
    model = Stepped.random(1, seed=0, shape=shape)
    return model.unconfounded(0, model.turn[0] + z) / model.size[0]


def test_steps_jump_and_sigmoids_rise_sines_repeat_hinges_bend_and_u_shapes_turn() -> None:
    near, far, z = np.array([-1e-4, 1e-4]), np.array([-2.0, 0.0, 2.0]), np.linspace(-1, 1, 21)
    np.testing.assert_array_equal(curve("step", near), [0, 1])
    # The derivative of expit(12 z) at zero is 12 / 4.
    assert np.diff(curve("sigmoid", near))[0] / 2e-4 == pytest.approx(3, rel=1e-4)
    for shape, period in (("sine 1", 1), ("sine 2", 2)):
        np.testing.assert_allclose(curve(shape, z + period), curve(shape, z), atol=1e-12)
        assert np.abs(curve(shape, z + period / 2) - curve(shape, z)).max() > 0.9
    np.testing.assert_allclose(curve("hinge", far), [0, 0, 2], atol=1e-12)
    np.testing.assert_allclose(curve("u", far), [2, 0, 2], atol=1e-12)


def test_actions_stay_in_the_interval_and_clipped_ones_reach_its_ends() -> None:
    clipped = 0
    for seed in range(8):
        model = UniformDesign.random(3, seed=seed)
        observed, was_set = observed_and_set(model, 20_000)
        assert ((observed >= 0) & (observed <= 1)).all()
        at_ends = ((observed == 0) | (observed == 1)).mean(axis=0)
        assert (at_ends[~model.clipped] == 0).all()
        # Four of the latent's standard deviations span the interval; parents are not exactly
        # standard.
        assert ((at_ends > 0.01) & (at_ends < 0.15))[model.clipped].all()
        clipped += model.clipped.sum()
        # Uniform: the largest distance of 20,000 draws from their ranks (Kolmogorov).
        ranks = (np.arange(20_000) + 0.5)[:, None] / 20_000
        assert (np.abs(np.sort(was_set, axis=0) - ranks).max(axis=0) < 2.0 / np.sqrt(20_000)).all()
    assert 0 < clipped < 24


def test_a_third_to_two_thirds_of_observed_spend_is_exactly_zero() -> None:
    for seed in range(8):
        model = ZeroInflated.random(3, seed=seed)
        observed, was_set = observed_and_set(model, 20_000)
        zeros = (observed == 0).mean(axis=0)
        assert ((zeros > 0.28) & (zeros < 0.62)).all()
        error = np.sqrt(model.set_pause * (1 - model.set_pause) / 20_000)
        assert (np.abs((was_set == 0).mean(axis=0) - model.set_pause) < 4.5 * error).all()
        assert (observed >= 0).all()


def test_exactly_one_cell_is_an_outlier() -> None:
    base = Linear.random(3, seed=0)
    scale = base.sample(base.names, 100_000, np.random.default_rng(0))[0].std(axis=0)
    cells = set()
    for seed in range(10):
        right = base.dataset(50, seed=seed)
        wrong = Mistyped(base, 1e4).dataset(50, seed=seed)
        np.testing.assert_array_equal(wrong.outcome, right.outcome)
        np.testing.assert_array_equal(wrong.intervened, right.intervened)
        ((row, action),) = np.argwhere(wrong.actions != right.actions)
        off = wrong.actions[row, action] - right.actions[row, action]
        assert off == pytest.approx(1e4 * scale[action], rel=0.05)
        cells.add((int(row), int(action)))
    assert len(cells) > 5
