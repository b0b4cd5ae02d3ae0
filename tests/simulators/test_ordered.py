import numpy as np
import pytest

from bayes_intgen.simulators import Ordered


@pytest.mark.parametrize("levels", [2, 3, 5, 7])
def test_every_level_occurs_and_settings_are_uniform(levels: int) -> None:
    model = Ordered.random(3, seed=0, levels=levels)
    rng = np.random.default_rng(0)
    observed, _ = model.sample((), 20_000, rng)
    was_set, _ = model.sample(model.names, 20_000, rng)
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
