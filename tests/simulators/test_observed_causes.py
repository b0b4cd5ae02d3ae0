from dataclasses import replace

import numpy as np
import pytest

from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.simulators import MarketingPanel, ObservedCauses, RepeatedVisits
from bayes_intgen.simulators.observed_causes import observational_columns


def late_or_old(data: RegimeData) -> RegimeData:
    """Rows with the week or age above its median, so that averages over rows are not the usual."""
    first = data.covariates[:, 0]
    return data.take(first > np.median(first))


PANEL = MarketingPanel.random(2, seed=1)
RESPONSES = 0.3 * np.random.default_rng(0).normal(size=PANEL.response.shape)
MODELS = {
    "panel": MarketingPanel.random(2, seed=0),
    "panel, responses differ": replace(PANEL, response=RESPONSES),
    "trials": RepeatedVisits.random(2, seed=0),
    "trials, one visit": RepeatedVisits.random(2, seed=0, visits=1),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_true_effect_is_the_mean_of_outcomes_under_do_in_the_observational_rows(
    model: ObservedCauses,
) -> None:
    data = late_or_old(model.dataset(3000, seed=1))
    columns = observational_columns(data)
    rows, rng = len(next(iter(columns.covariates.values()))), np.random.default_rng(2)
    points, _ = model.base.sample(model.names, 4, rng)
    for point, truth in zip(points, model.joint_effect(points, data), strict=True):
        actions = np.tile(point, (rows, 1))
        outcomes = []
        for _ in range(30):
            causes = model.base.draw_causes(rows, rng)
            outcome = model.base.draw_noise(rows, rng) + model.adjustment(actions, columns)
            for k in range(len(point)):
                outcome = outcome + model.base.contribution(k, actions[:, k], causes[:, k])
            outcome = outcome + model.draw_group_effects(columns, rng)
            outcomes.append(outcome.mean())
        error = np.std(outcomes, ddof=1) / np.sqrt(len(outcomes))
        assert abs(np.mean(outcomes) - truth) < 4 * error
        # Without the observed causes it is another number.
        assert abs(np.mean(outcomes) - model.base.joint_effect([point])[0]) > 4 * error


def test_regions_have_at_most_one_experiment_and_a_history() -> None:
    panel = MarketingPanel.random(3, seed=2, regions=10)
    data = panel.dataset(400, seed=0)
    region = data.covariates[:, data.columns.every.index("region")]
    masks = {r: {tuple(mask) for mask in data.intervened[region == r]} for r in range(10)}
    assert all((False, False, False) in own and len(own) <= 2 for own in masks.values())
    assert sum(len(own) == 1 for own in masks.values()) == 3


def test_visits_of_a_patient_share_regime_age_and_level() -> None:
    trials = RepeatedVisits.random(2, seed=4, visits=4)
    data = trials.dataset(2000, seed=0)
    patient, age = (
        data.covariates[:, data.columns.every.index(name)] for name in ("patient", "age")
    )
    assert (np.unique(patient, return_counts=True)[1] == 4).all()
    visits = np.column_stack([age, data.intervened]).reshape(-1, 4, 3)
    assert (visits == visits[:, :1]).all()

    def between(model: RepeatedVisits) -> float:
        """Covariance of the outcomes of two visits under the same doses and age."""
        _, outcome, _ = replace(model, ageing=0.0, moderation=np.zeros(2)).sample(
            model.names, 40_000, np.random.default_rng(5)
        )
        visits = outcome.reshape(-1, 4) - outcome.mean()
        return float((visits[:, 0] * visits[:, 1]).mean())

    variance = trials.patient_sd**2
    assert between(trials) == pytest.approx(variance, rel=0.2)
    assert abs(between(replace(trials, patient_sd=0.0))) < 0.1 * variance
