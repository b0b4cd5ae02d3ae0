import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.assess.advice import advice_on_far_cells, advice_on_levels, few_valued
from bayes_intgen.assess.summary import summarise_data
from bayes_intgen.posterior.draws import prediction_of
from bayes_intgen.text.formats import format_number
from bayes_intgen.text.messages import spoken


def doses(values: list[float], rows: int = 60) -> bi.RegimeData:
    rng = np.random.default_rng(0)
    intervened = np.repeat([[False, False], [True, False], [False, True]], rows // 3, axis=0)
    actions = np.stack([rng.choice(values, size=rows), rng.normal(size=rows)], axis=1)
    outcome = actions.sum(axis=1) + rng.normal(size=rows)
    return bi.RegimeData.from_arrays(actions, outcome, intervened, ["dose", "other"])


def test_no_advice_on_levels_for_other_priors_than_smooth_ones() -> None:
    data, linear = doses([1, 2, 4]), {"dose": "linear"}
    assert few_valued(data, bi.models.additive()) == {"dose": [1, 2, 4]}
    assert few_valued(data, bi.models.additive(unconfounded=linear)) == {"dose": [1, 2, 4]}
    for model in (
        bi.models.additive(unconfounded=linear, bias=linear),
        bi.models.additive("linear"),
        bi.models.pooled(),
    ):
        assert few_valued(data, model) == {}


def test_fit_warns_with_advice_on_levels() -> None:
    quick = {"method": "laplace", "draws": 10, "progress": False}
    with pytest.warns(bi.DataWarning) as issued:
        bi.fit(doses([1, 2, 4]), **quick)
    (text,) = [str(w.message) for w in issued if w.category is bi.DataWarning]
    assert text == spoken(advice_on_levels({"dose": [1, 2, 4]}))
    # A warning would be an error here.
    bi.fit(doses([1, 2]), **quick)


def smooth(rows: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    masks = np.repeat([[False, False], [True, False], [False, True]], rows // 3, axis=0)
    actions = rng.normal(size=(rows, 2))
    return actions, actions.sum(axis=1) + rng.normal(size=rows), masks


@pytest.mark.parametrize("error", [1e4, -1e6])
def test_far_cell_is_reported_with_row_and_value(error: float) -> None:
    actions, outcome, masks = smooth()
    assert advice_on_far_cells(bi.RegimeData.from_arrays(actions, outcome, masks)) == []
    actions[17, 1] = error
    data = bi.RegimeData.from_arrays(actions, outcome, masks, ["tv", "radio"])
    (sentence,) = advice_on_far_cells(data)
    assert f"action 'radio' is {format_number(error)} in row 17" in sentence
    assert "correct such cells" in sentence
    assert any("in row 17" in problem for problem in summarise_data(data).problems)


def test_long_tail_is_reported() -> None:
    actions, outcome, masks = smooth()
    actions[:, 0] = np.exp(3 * actions[:, 0])
    (sentence,) = advice_on_far_cells(bi.RegimeData.from_arrays(actions, outcome, masks))
    assert "logarithm" in sentence


def test_fit_warns_of_a_far_cell_and_is_robust_to_it() -> None:
    actions, outcome, masks = smooth()
    quick = {"method": "laplace", "draws": 400, "progress": False}
    clean = bi.fit(bi.RegimeData.from_arrays(actions, outcome, masks), **quick)
    actions[17, 1] = 1e6
    with pytest.warns(bi.DataWarning, match="in row 17"):
        wrong = bi.fit(bi.RegimeData.from_arrays(actions, outcome, masks), **quick)
    points, mask = np.array([[0.5, -0.5], [-1.0, 1.0]]), np.ones((2, 2), dtype=bool)
    means = [prediction_of(p).mean(points, mask).mean(axis=(0, 1)) for p in (clean, wrong)]
    np.testing.assert_allclose(*means, atol=0.05)
