from dataclasses import replace

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.pilot.residuals import (
    FarOutcomes,
)

from conftest import confounded_rows

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
    data = replace(clean, outcome=outcome)
    linear = bi.models.additive("linear")
    posterior = bi.fit(data, linear, method="laplace", draws=10, progress=False)
    assert posterior.outcome_kind == "count"
    assert "far_rows" not in posterior.tree["constant_data"]
