"""Many small groups that differ in what they usually do."""

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi

NAMES = ["drug", "dose"]
SLOPES = np.array([1.0, -0.8])
PATIENTS, VISITS = 200, 4


def trials(seed: int, pull: float = 1.0, visits: int = VISITS) -> pd.DataFrame:
    """History and experiments of patients, whose levels move both actions and the outcome."""
    rng, parts = np.random.default_rng(seed), []
    level = rng.normal(size=3 * PATIENTS)
    for i, regime in enumerate(("", *NAMES)):
        patient = np.repeat(np.arange(i, 3 * PATIENTS, 3), visits)
        causes = rng.normal(size=(len(patient), 2))
        actions = causes + pull * level[patient, None] + 0.5 * rng.normal(size=causes.shape)
        if regime:
            actions[:, NAMES.index(regime)] = 1.5 * rng.normal(size=len(patient))
        noise = 0.4 * rng.normal(size=len(patient))
        outcome = level[patient] + actions @ SLOPES + causes.sum(axis=1) + noise
        columns = {"y": outcome, "patient": patient.astype(str), "regime": regime}
        parts.append(pd.DataFrame(actions, columns=NAMES).assign(**columns))
    return pd.concat(parts, ignore_index=True)


def rows_of(frame: pd.DataFrame) -> bi.RegimeData:
    return bi.RegimeData.from_frame(frame, NAMES, outcome="y", regime="regime", groups=["patient"])


def shape_error(data: bi.RegimeData) -> float:
    """Error of the joint effect, apart from its level, over the effect's standard deviation."""
    points = np.random.default_rng(0).normal(size=(50, 2))
    effect = bi.fit(data, method="laplace", progress=False).joint_effect(points)
    truth = points @ SLOPES
    return float(np.std(effect.mean(("chain", "draw")) - truth) / truth.std())


@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
def test_means_remove_what_patients_who_take_more_have_in_common() -> None:
    data = rows_of(trials(0))
    with pytest.warns(bi.DataWarning, match="groups of 'patient' differ in their usual 'drug'"):
        without = shape_error(data)
    # Nothing is reported when the means are there.
    assert shape_error(data.with_group_means()) < without / 2
    assert without > 0.15


def test_patients_who_do_not_differ_are_not_reported() -> None:
    for seed in range(20):
        assert "usual" not in str(bi.report_identification(rows_of(trials(seed, pull=0.0))))
    assert "usual" in str(bi.report_identification(rows_of(trials(0))))


def test_means_are_expectations_of_what_a_patient_does_later() -> None:
    frame = trials(1, pull=0.7, visits=4)
    first = frame.groupby("patient").cumcount() < 2
    data = rows_of(frame[first]).with_group_means()
    assert data.columns.names == ("mean drug of patient", "mean dose of patient")
    free = (frame["regime"] != "drug").to_numpy()
    scale = np.median(np.diff(np.quantile(data.actions[:, 0], [0.25, 0.75]))) / 1.349
    later = frame[free & ~first].groupby("patient")["drug"].mean() / scale
    plain = frame[free & first].groupby("patient")["drug"].mean()
    of_patient = pd.Series(data.covariates[:, 0], frame["patient"][first]).groupby(level=0).first()
    # The regression of later visits on plain means of two visits has a slope of a half.
    assert np.polyfit(of_patient[later.index], later, 1)[0] == pytest.approx(1, abs=0.15)
    assert np.polyfit(plain[later.index] / scale, later, 1)[0] < 0.7
    # Where an action was always set, its mean is inferred from the other action.
    assert np.corrcoef(data.covariates[~free[first]].T)[0, 1] > 0.95
    # Units of numeric levels do not matter.
    levels = (rows_of(frame.assign(dose=unit * (frame["dose"] > 0))) for unit in (1, 5_000))
    one, other = (own.with_group_means().covariates for own in levels)
    np.testing.assert_allclose(other[:, :2], one[:, :2])


def test_means_need_many_groups_and_columns_of_their_own() -> None:
    data = rows_of(trials(0))
    with pytest.raises(bi.DataError, match="have a column 'mean dose of patient' already"):
        data.with_group_means().with_group_means()
    few = rows_of(trials(0)[lambda frame: frame["patient"].astype(int) < 60])
    with pytest.raises(bi.DataError, match="no grouping has more than 64 groups"):
        few.with_group_means()


def test_levels_without_an_order_and_actions_that_do_not_vary_have_no_means() -> None:
    frame = trials(0)
    named = frame.assign(drug=np.random.default_rng(0).choice(["a", "b", "c"], len(frame)))
    assert rows_of(named).with_group_means().columns.names == ("mean dose of patient",)
    # A dose that only its trial gives.
    given = (frame["regime"] == "dose").to_numpy()
    only = frame.assign(dose=np.where(given, frame["dose"], 0.0))
    assert rows_of(only).with_group_means().columns.names == ("mean drug of patient",)
    neither = rows_of(named.assign(dose=np.where(given, frame["dose"], 0.0)))
    assert "usual" not in str(bi.report_identification(neither))
    with pytest.raises(bi.DataError, match="no action has numbers or ordered levels that vary"):
        neither.with_group_means()
