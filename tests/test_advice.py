import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.advice import advice_on_levels, few_valued


def doses(values: list[float], rows: int = 60) -> bi.RegimeData:
    rng = np.random.default_rng(0)
    intervened = np.repeat([[False, False], [True, False], [False, True]], rows // 3, axis=0)
    actions = np.stack([rng.choice(values, size=rows), rng.normal(size=rows)], axis=1)
    outcome = actions.sum(axis=1) + rng.normal(size=rows)
    return bi.RegimeData.from_arrays(actions, outcome, intervened, ["dose", "other"])


def test_three_to_six_distinct_numbers_are_few() -> None:
    assert few_valued(doses([1, 2, 4])) == {"dose": 3}
    assert few_valued(doses([*range(6)])) == {"dose": 6}
    assert few_valued(doses([*range(7)])) == {}
    # Two are levels without advice.
    assert few_valued(doses([1, 2])) == {}


def test_late_rows_count() -> None:
    values = np.r_[np.zeros(1500), np.arange(10.0), [1, 2] * 100]
    masks = np.arange(len(values))[:, None] % 2 == 0
    assert few_valued(bi.RegimeData.from_arrays(values[:, None], values + masks[:, 0], masks)) == {}


def test_a_prior_that_was_chosen_is_not_questioned() -> None:
    data, linear = doses([1, 2, 4]), {"dose": "linear"}
    assert few_valued(data, bi.models.additive()) == {"dose": 3}
    assert few_valued(data, bi.models.additive(unconfounded=linear)) == {"dose": 3}
    for model in (
        bi.models.additive(unconfounded=linear, bias=linear),
        bi.models.additive("linear"),
        bi.models.pooled(),
    ):
        assert few_valued(data, model) == {}


def test_a_fit_warns_with_the_line_that_helps() -> None:
    quick = {"draws": 10, "warmup": 10, "chains": 1, "progress": False}
    with pytest.warns(bi.DataWarning) as issued:
        bi.fit(doses([1, 2, 4]), **quick)
    (text,) = [str(w.message) for w in issued if w.category is bi.DataWarning]
    assert text == advice_on_levels({"dose": 3})
    # A warning would be an error here.
    bi.fit(doses([1, 2]), **quick)
