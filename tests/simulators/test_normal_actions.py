import numpy as np

from bayes_intgen.simulators import FewDoses, Stepped


def test_observed_actions_have_mean_zero_and_variance_one() -> None:
    rows = 40_000
    for seed in range(6):
        for model in (Stepped.random(4, seed), FewDoses.random(4, seed)):
            actions, _ = model.sample((), rows, np.random.default_rng(0))
            assert (np.abs(actions.mean(axis=0)) < 4.5 / np.sqrt(rows)).all()
            assert (np.abs(actions.var(axis=0) - 1) < 4.5 * np.sqrt(2 / rows)).all()
