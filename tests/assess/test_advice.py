"""Advice on rows: few values of an action, cells far from the others, and long tails."""

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.text.formats import format_number

QUICK = {"method": "laplace", "draws": 400, "progress": False}
MASKS = np.repeat([[False, False], [True, False], [False, True]], 200, axis=0)
POINTS = [[0.5, -0.5], [-1.0, 1.0]]


def rows() -> tuple[np.ndarray, np.ndarray]:
    """Actions, and an outcome of unit noise."""
    rng = np.random.default_rng(3)
    actions = rng.normal(size=(600, 2))
    return actions, actions.sum(axis=1) + rng.normal(size=600)


def table(actions: np.ndarray, outcome: np.ndarray) -> bi.RegimeData:
    return bi.RegimeData.from_arrays(actions, outcome, MASKS, ["tv", "radio"])


def problems(actions: np.ndarray, outcome: np.ndarray) -> list[str]:
    return list(bi.report_identification(table(actions, outcome)).problems)


def test_fits_advise_levels_for_smooth_priors_of_few_values_alone() -> None:
    rng = np.random.default_rng(0)
    actions, outcome = rows()
    actions[:, 0] = rng.choice([1.0, 2.0, 4.0], 600)
    linear = {"tv": "linear"}
    for model in (bi.models.additive(), bi.models.additive(unconfounded=linear)):
        with pytest.warns(bi.DataWarning, match="'tv' takes only the values 1, 2, 4") as issued:
            bi.fit(table(actions, outcome), model, **QUICK)
        assert len(issued) == 1
    # Warnings are errors here.
    for model in (bi.models.additive(unconfounded=linear, bias=linear), bi.models.pooled()):
        bi.fit(table(actions, outcome), model, **QUICK)
    actions[:, 0] = rng.choice([1.0, 2.0], 600)
    bi.fit(table(actions, outcome), **QUICK)


@pytest.mark.parametrize("error", [1e4, -1e6])
def test_a_far_cell_is_reported_and_changes_no_answer(error: float) -> None:
    actions, outcome = rows()
    assert problems(actions, outcome) == []
    clean = bi.fit(table(actions, outcome), **QUICK)
    actions[17, 1] = error
    (sentence,) = problems(actions, outcome)
    assert f"action 'radio' is {format_number(error)} in row 17" in sentence
    assert "correct such cells" in sentence
    with pytest.warns(bi.DataWarning, match="in row 17"):
        wrong = bi.fit(table(actions, outcome), **QUICK)
    means = [fit.joint_effect(POINTS).mean(("chain", "draw")) for fit in (clean, wrong)]
    np.testing.assert_allclose(*means, atol=0.05)


def test_a_long_tail_is_reported() -> None:
    actions, outcome = rows()
    actions[:, 0] = np.exp(3 * actions[:, 0])
    assert any("logarithm" in problem for problem in problems(actions, outcome))
