"""Maximum likelihood estimates of variance ratios."""

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.pilot.residuals import estimate_ratio
from bayes_intgen.models.variance_function import VarianceFunction


@pytest.mark.parametrize("sd", [0.5, 2.0])
def test_ratio_of_variances_is_recovered(sd: float) -> None:
    rng, group = np.random.default_rng(3), np.repeat(np.arange(400), 4)
    actions = rng.normal(size=(len(group), 1))
    outcome = sd * rng.normal(size=400)[group] + rng.normal(size=len(group))
    was_set, groups = (group % 2 == 1)[:, None], {"patient": group.astype(str)}
    data = bi.RegimeData.from_arrays(actions, outcome, was_set, groups=groups)
    effects = bi.models.additive("linear").decompose(data).random_effects
    assert effects is not None
    estimate = estimate_ratio(data, effects, data.outcome, VarianceFunction())
    # The relative standard error is about sqrt(2 / 400) (1 + 1 / (4 ratio)).
    assert np.log(estimate.ratio[0]) == pytest.approx(2 * np.log(sd), abs=0.45)
