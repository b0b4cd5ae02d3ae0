from dataclasses import replace

import numpy as np
import pytest
from _rows import fitted

import bayes_intgen as bi
from bayes_intgen.inference.settings import ImportanceDiagnostics

from _posteriors import joined
from conftest import confounded_rows

POINTS = np.array([[0.0, 0.0], [0.5, 1.25], [-0.5, -1.25]])
MODEL = bi.models.additive("linear", graph={"green": ["red"]})

pytestmark = pytest.mark.filterwarnings("ignore::bayes_intgen.LackOfFitWarning")


@pytest.fixture(scope="module")
def first() -> bi.Posterior:
    return fitted(confounded_rows(100, seed=5), MODEL)


def effect_of(posterior: bi.Posterior) -> np.ndarray:
    return posterior.joint_effect(POINTS).to_numpy()


# The new rows, which come last, have another level.
@pytest.mark.filterwarnings("ignore:neighbouring rows")
def test_an_update_is_the_fit_of_all_rows(first) -> None:
    old, new = confounded_rows(100, seed=5), confounded_rows(10, seed=6)
    # Another intercept, so that the new rows move the posterior.
    new = replace(new, outcome=new.outcome + 1)
    before = effect_of(first)
    updated, together = first.update(new, progress=False), fitted(joined(old, new), MODEL)
    one, other = map(effect_of, (updated, together))
    limit = 0.25 * other.std((0, 1))
    assert (np.abs(one.mean((0, 1)) - other.mean((0, 1))) < limit).all()
    np.testing.assert_allclose(one.std((0, 1)), other.std((0, 1)), rtol=0.15)
    np.testing.assert_array_equal(effect_of(first), before)
    # Negative control: the posterior before the update.
    assert (np.abs(before.mean((0, 1)) - other.mean((0, 1))) > limit).any()
    # Rows may be added again, and a check does not lose them.
    third = updated.with_check(bi.check(old, held_out=0, progress=False))
    assert int(third.update(new, progress=False).tree["constant_data"]["rows"].sum()) == 360


def test_an_update_keeps_the_pilot_fit_for_rows_like_the_earlier_ones() -> None:
    old, new, more = confounded_rows(160, seed=5), *(confounded_rows(8, s) for s in (6, 7))
    first = fitted(old)
    second = first.update(new, progress=False)
    third = second.update(more, progress=False)
    spreads = [each.tree["fit"].attrs["spread"] for each in (first, second, third)]
    assert spreads == spreads[:1] * 3
    assert int(third.tree["constant_data"]["rows"].sum()) == 528
    # Both start from the first fit, so that importance weights do not multiply.
    at_once = first.update(joined(new, more), progress=False)
    np.testing.assert_array_equal(effect_of(third), effect_of(at_once))
    # More than an eighth of the rows.
    fourth = third.update(confounded_rows(8, seed=8), progress=False)
    assert fourth.tree["fit"].attrs["spread"] != spreads[0]


def test_a_few_rows_like_few_earlier_ones_mostly_keep_the_pilot_fit() -> None:
    kept = 0
    for seed in range(8):
        first = fitted(confounded_rows(40, seed))
        second = first.update(confounded_rows(5, seed + 50), progress=False)
        kept += second.tree["fit"].attrs["spread"] == first.tree["fit"].attrs["spread"]
    # Three, if new rows were taken for rows of the fit, whose residuals are smaller.
    assert kept > 4


@pytest.mark.filterwarnings("ignore::bayes_intgen.DataWarning")
def test_rows_unlike_the_earlier_ones_get_a_new_pilot_fit() -> None:
    old, new = confounded_rows(160, seed=5), confounded_rows(8, seed=6)
    first = fitted(old)

    def keeps_terms(rows: bi.RegimeData) -> bool:
        updated = first.update(rows, progress=False)
        assert int(updated.tree["constant_data"]["rows"].sum()) == 504
        return bool(updated.tree["fit"].attrs["spread"] == first.tree["fit"].attrs["spread"])

    assert keeps_terms(new)
    far = new.actions.copy()
    far[0, 0] = 3 * old.actions[:, 0].max()
    jump = np.where(new.actions[:, 0] > 0.5, 30.0, 0.0)
    both_set = np.ones_like(new.intervened)
    for other in ({"actions": far}, {"outcome": new.outcome + jump}, {"intervened": both_set}):
        assert not keeps_terms(replace(new, **other))
    assert not keeps_terms(new.add_lift_test("red", -0.5, 0.5, effect=0.9, se=0.3))


def test_nuts_runs_where_importance_weights_do_not_suffice(monkeypatch) -> None:
    monkeypatch.setattr(ImportanceDiagnostics, "is_reliable", property(lambda self: False))
    data, new = confounded_rows(100, seed=5), confounded_rows(10, seed=6)
    for method, attribute in (("nuts", False), ("laplace", True)):
        first = fitted(data, MODEL, method=method, draws=50)
        statistics = first.update(new, progress=False).tree["sample_stats"]
        assert ("pareto_k" in statistics.attrs) == attribute
        assert ("n_steps" in statistics) != attribute


def test_posteriors_without_rows_say_so(first) -> None:
    with pytest.raises(bi.DataError, match="no rows to add to.*fit all rows together with bi.fit"):
        # As a loaded one.
        bi.Posterior(first.tree).update(confounded_rows(10, seed=6))
    with pytest.raises(bi.DataError, match="new_rows must be a RegimeData, not ndarray"):
        first.update(POINTS)
