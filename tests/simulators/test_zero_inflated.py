import numpy as np

from bayes_intgen.simulators import ZeroInflated


def test_a_third_to_two_thirds_of_observed_spend_is_exactly_zero() -> None:
    for seed in range(8):
        model = ZeroInflated.random(3, seed=seed)
        rng = np.random.default_rng(0)
        observed, _ = model.sample((), 20_000, rng)
        was_set, _ = model.sample(model.names, 20_000, rng)
        zeros = (observed == 0).mean(axis=0)
        assert ((zeros > 0.28) & (zeros < 0.62)).all()
        error = np.sqrt(model.set_pause * (1 - model.set_pause) / 20_000)
        assert (np.abs((was_set == 0).mean(axis=0) - model.set_pause) < 4.5 * error).all()
        assert (observed >= 0).all()


def test_effects_are_zero_at_zero_and_half_at_half_spend() -> None:
    model = ZeroInflated.random(3, seed=0)
    points = np.stack([np.zeros(3), model.half])
    none, half = model.joint_effect(points) - model.noise_mean
    assert none == 0
    np.testing.assert_allclose(half, model.size.sum() / 2)


def test_spend_is_gamma_or_lognormal_with_the_stated_scale() -> None:
    """Given cause and parents: mean log spend differs by the skewness of log gamma."""
    laws = set()
    for seed in range(6):
        model = ZeroInflated.random(2, seed=seed)
        rng = np.random.default_rng(0)
        spend = model.draw_action(0, np.zeros((100_000, 2)), np.zeros((100_000, 2)), rng)
        share = spend[spend > 0] / model.budget[0]
        laws.add(bool(model.gamma[0]))
        centre, sd = (
            (share, model.chance[0]) if model.gamma[0] else (np.log(share), model.chance[0])
        )
        expected = 1.0 if model.gamma[0] else 0.0
        assert abs(centre.mean() - expected) < 4.5 * sd / np.sqrt(len(share))
        np.testing.assert_allclose(centre.std(), sd, rtol=0.02)
    assert laws == {True, False}
