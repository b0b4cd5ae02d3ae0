import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.assess.held_out import Difference, log_densities, split

from conftest import confounded_rows


def test_split_holds_out_a_share_of_every_regime(data) -> None:
    train, held_out = split(data, 0.25, seed=0)
    assert set(train.regimes.values()) == {225}
    assert set(held_out.regimes.values()) == {75}
    assert np.isin(held_out.outcome, data.outcome).all()
    assert not np.isin(held_out.outcome, train.outcome).any()
    again, other = split(data, 0.25, seed=0)[1], split(data, 0.25, seed=1)[1]
    np.testing.assert_array_equal(held_out.outcome, again.outcome)
    assert not np.array_equal(held_out.outcome, other.outcome)


def test_log_density_of_held_out_rows_matches_the_true_noise(data) -> None:
    train, held_out = split(data, 0.25, seed=0)
    result = log_densities(bi.models.additive(), train, held_out, progress=False)
    # Variance of the noise and of the causes, conditional on the actions.
    residual_sd = np.sqrt(0.04 + 0.25 * 0.64 / 0.89 + 0.125)
    expected = -0.5 * np.log(2 * np.pi * np.e * residual_sd**2)
    assert result.mean() == pytest.approx(expected, abs=4 * 0.75 / np.sqrt(len(held_out)))
    # So small a difference needs more than a few hundred rows.
    train, held_out = split(confounded_rows(1000, seed=11), 0.25, seed=0)
    models = (bi.models.additive(), bi.models.pooled())
    gap = Difference.of(*(log_densities(m, train, held_out, progress=False) for m in models))
    assert gap.difference > 2 * gap.error


def test_standard_error_of_a_sum() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 500))
    result = Difference.of(first, second)
    assert result.rows == 500
    assert result.difference == pytest.approx(first.sum() - second.sum())
    assert result.error == pytest.approx(np.sqrt(2 * 500), rel=0.15)


def test_shares_that_leave_too_few_rows_are_named(data) -> None:
    for share in (0.999, 1e-6):
        with pytest.raises(bi.ModelError, match=f"held_out={share:g} leaves"):
            bi.check(data, held_out=share, progress=False)
