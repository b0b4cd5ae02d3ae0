import numpy as np

from bayes_intgen.simulators import UniformDesign


def test_actions_stay_in_the_interval_and_clipped_ones_reach_its_ends() -> None:
    clipped = 0
    for seed in range(8):
        model = UniformDesign.random(3, seed=seed)
        rng = np.random.default_rng(0)
        observed, _ = model.sample((), 20_000, rng)
        was_set, _ = model.sample(model.names, 20_000, rng)
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
