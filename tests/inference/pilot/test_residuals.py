"""Residuals: how many rows are independent, and far outcomes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from _rows import fitted

import bayes_intgen as bi
from bayes_intgen.inference.pilot.residuals import FarOutcomes, independent_share

from conftest import confounded_rows


def test_rows_that_persist_count_as_fewer() -> None:
    """An autoregression of 0.8 tells of its mean as much as a ninth of its rows would."""
    rng = np.random.default_rng(4)
    noise = rng.normal(size=(20, 200))
    noise[:, 0] /= 0.6
    persistent = noise.copy()
    for week in range(1, 200):
        persistent[:, week] += 0.8 * persistent[:, week - 1]
    unit, week = np.indices(noise.shape).reshape(2, -1)
    columns = {"y": noise.ravel(), "unit": unit.astype(str), "week": week}
    order = rng.permutation(len(unit))
    columns |= {"regime": np.where(unit % 3, "", "a"), "a": rng.random(len(unit))}
    frame = pd.DataFrame(columns)
    roles = {"actions": ["a"], "outcome": "y", "regime": "regime"}
    plain = bi.RegimeData.from_frame(frame, **roles)
    ordered = bi.RegimeData.from_frame(frame.iloc[order], **roles, unit="unit", time="week")
    assert independent_share(ordered, persistent.ravel()[order]) == pytest.approx(1 / 9, abs=0.03)
    assert independent_share(ordered, noise.ravel()[order]) > 0.9
    assert independent_share(plain, persistent.ravel()) == 1
    # Several columns are not taken for dependent because they resemble each other.
    alike = rng.normal(size=(100, len(unit), 1)) + 0.3 * rng.normal(size=(100, len(unit), 9))
    alike[..., 0] = 0.0
    assert np.mean([independent_share(ordered, own) < 1 for own in alike]) < 0.1


LAWS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "exponential": lambda rng, n: rng.exponential(size=n) - 1,
    "gamma": lambda rng, n: rng.gamma(0.5, size=n) - 0.5,
    "laplace": lambda rng, n: rng.laplace(size=n),
}


def found(noise: np.ndarray) -> FarOutcomes | None:
    data = replace(confounded_rows(len(noise) // 3, seed=0), outcome=noise)
    return FarOutcomes.of(data, data, noise / noise.std())


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("rows", [300, 3000])
def test_noise_with_exponential_tails_is_not_reported(law: str, rows: int) -> None:
    rng = np.random.default_rng(5)
    tables = [LAWS[law](rng, rows) for _ in range(60)]
    assert sum(found(noise) is not None for noise in tables) <= 3
    # Negative control: one outcome in a hundred far away.
    for noise in tables[:10]:
        noise[::100] += 30 * noise.std()
        far = found(noise)
        assert far is not None
        assert far.above + far.below >= rows // 100
        assert far.distance > 20
        assert far.share > 0.5


@pytest.mark.filterwarnings("ignore::bayes_intgen.SamplingWarning")
def test_counts_are_not_reported() -> None:
    clean = confounded_rows(60, seed=4)
    outcome = np.random.default_rng(0).poisson(1.0, len(clean)).astype(float)
    outcome[3] = 60
    posterior = fitted(replace(clean, outcome=outcome), bi.models.additive("linear"), draws=10)
    assert posterior.outcome_kind == "count"
    assert "far_rows" not in posterior.tree["constant_data"]
