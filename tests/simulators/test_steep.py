import numpy as np

from bayes_intgen.simulators import Steep


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
                share = model.effect_of(k, 0.2 * model.budget[[k]]) / model.size[k]
                assert share >= 0.5


def test_half_of_the_worlds_have_mass_at_zero() -> None:
    masses = []
    for seed in range(40):
        model = Steep.random(2, seed=seed)
        rng = np.random.default_rng(0)
        observed, _ = model.sample((), 4000, rng)
        was_set, _ = model.sample(model.names, 4000, rng)
        zeros = np.stack([(observed == 0).mean(axis=0), (was_set == 0).mean(axis=0)])
        assert (zeros == 0).all() or ((zeros > 0.1) & (zeros < 0.45)).all()
        masses.append(bool(zeros.any()))
        assert (was_set <= 2 * model.budget).all()
        # Without an atom, observed and set doses both come close to zero.
        for actions in (observed, was_set):
            assert (np.quantile(actions, 0.05, axis=0) < 0.25 * model.budget).all()
    assert 10 < sum(masses) < 30
