import numpy as np

from bayes_intgen.simulators import Counts


def test_actions_are_counts_overdispersed_in_observational_rows() -> None:
    for seed in range(5):
        model = Counts.random(3, seed=seed)
        rng = np.random.default_rng(0)
        observed, _ = model.sample((), 20_000, rng)
        was_set, _ = model.sample(model.names, 20_000, rng)
        for actions in (observed, was_set):
            np.testing.assert_array_equal(actions, np.maximum(actions.round(), 0))
        # Poisson: variance over mean is one; causes add to it.
        assert (observed.var(axis=0) / observed.mean(axis=0) > 1.2).all()
        np.testing.assert_allclose(was_set.var(axis=0) / was_set.mean(axis=0), 1, atol=0.06)
