"""Maximum likelihood estimates of variance ratios, and predicted random effects."""

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.pilot.residuals import estimate_ratio
from bayes_intgen.models.variance_function import VarianceFunction

MODEL = bi.models.additive("linear")


def _groups(sd: float, groups: int = 400, visits: int = 4) -> tuple[bi.RegimeData, np.ndarray]:
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(groups), visits)
    actions = rng.normal(size=(len(group), 1))
    effects = sd * rng.normal(size=groups)[group]
    noise = rng.normal(size=len(group))
    data = bi.RegimeData.from_arrays(
        actions,
        effects + noise,
        (group % 2 == 1)[:, None],
        groups={"patient": group.astype(str)},
    )
    return data, effects


@pytest.mark.parametrize("sd", [0.5, 2.0])
def test_ratio_of_variances_is_recovered(sd: float) -> None:
    data, _ = _groups(sd)
    effects = MODEL.decompose(data).random_effects
    assert effects is not None
    estimate = estimate_ratio(data, effects, data.outcome, VarianceFunction())
    # The relative standard error is about sqrt(2 / 400) (1 + 1 / (4 ratio)).
    assert np.log(estimate.ratio[0]) == pytest.approx(2 * np.log(sd), abs=0.45)
