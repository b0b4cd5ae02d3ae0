import numpy as np
import pytest

from bayes_intgen.simulators import FewDoses


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
