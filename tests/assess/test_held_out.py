import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.assess.held_out import Difference, log_densities, split

from conftest import confounded_rows


def test_a_share_of_every_regime_is_held_out(data) -> None:
    seen, new = split(data, 0.25, seed=0)
    assert set(seen.regimes.values()) == {225}
    assert set(new.regimes.values()) == {75}
    assert np.isin(new.outcome, data.outcome).all()
    assert not np.isin(new.outcome, seen.outcome).any()
    again, other = split(data, 0.25, seed=0)[1], split(data, 0.25, seed=1)[1]
    np.testing.assert_array_equal(new.outcome, again.outcome)
    assert not np.array_equal(new.outcome, other.outcome)


def test_densities_are_those_of_new_rows_and_not_of_the_fitted(data) -> None:
    seen, new = split(data, 0.25, seed=0)
    found = log_densities(bi.models.additive(), seen, new, progress=False)
    # Noise 0.2 and the causes' 0.25 each, less what the actions say of them.
    residual_sd = np.sqrt(0.04 + 0.25 * 0.64 / 0.89 + 0.125)
    expected = -0.5 * np.log(2 * np.pi * np.e * residual_sd**2)
    assert found.mean() == pytest.approx(expected, abs=4 * 0.75 / np.sqrt(len(new)))
    # A few hundred rows would tell little of so small a difference.
    seen, new = split(confounded_rows(1000, seed=11), 0.25, seed=0)
    models = (bi.models.additive(), bi.models.pooled())
    gap = Difference.of(*(log_densities(m, seen, new, progress=False) for m in models))
    assert gap.difference > 2 * gap.error


def test_the_error_of_a_sum() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 500))
    found = Difference.of(first, second)
    assert found.rows == 500
    assert found.difference == pytest.approx(first.sum() - second.sum())
    assert found.error == pytest.approx(np.sqrt(2 * 500), rel=0.15)
