"""Every question on every kind of table: a right answer, or an error that says what to do."""

import inspect
import warnings

import pytest
from _kinds import KINDS, TWO, case_named, case_of, fitted, lift_test
from _questions import (
    ALWAYS_ALIKE,
    QUESTIONS,
    cheapest,
    command_line,
    contrast,
    estimator,
    experiments,
    joint_effect,
    plots,
    report,
    split,
)
from _worlds import World

import bayes_intgen as bi

# Kinds of rows that the scikit-learn regressor does not take: it is given arrays.
NOT_ARRAYS = (
    *("aggregated", "lift_test", "lift_test_beside_rows", "missing_cells"),
    *("stream", "stream_in_time", "cluster", "updated"),
)
# Questions that a fit refuses, with words of the error.
REGRESSION = {
    "mechanisms": "has no mechanisms",
    "sensitivity": "only additive models",
    "check": "only additive models",
    "plots": "no mechanisms",
    "report": "no mechanisms",
}
REFUSED = {
    **{
        (kind, question): words
        for kind in ("pooled", "saturated")
        for question, words in REGRESSION.items()
    },
    ("many_groups", "program"): "'patient' are integrated out.*at most 64 groups",
    ("group_means", "program"): "'patient' are integrated out.*at most 64 groups",
    ("visits", "program"): "'patient' are integrated out.*at most 64 groups",
    ("aggregated", "program"): "outcome_sd",
    ("stream", "program"): "RegimeData.from_frame",
    ("stream_in_time", "program"): "RegimeData.from_frame",
    ("cluster", "program"): "RegimeData.from_frame",
    ("money", "sensitivity"): "log",
    ("two_and_three_levels", "estimator"): "'size'.*OrdinalEncoder",
    ("named_levels", "estimator"): "'drug'.*OrdinalEncoder",
    ("many_named_levels", "estimator"): "'gene 0'.*OrdinalEncoder",
    ("lift_test", "ratio"): "too near to zero",
    **dict.fromkeys(
        [
            ("lift_test", question)
            for question in ("best", "best_cvar", "profit", "frontier", "cheapest")
        ],
        "beyond_support=True",
    ),
    ("lift_test", "command_line"): "supported by the rows",
}


# Questions that take long, which are asked over one population only.
LONG = (plots, report, command_line, cheapest, split, experiments)


@pytest.fixture(scope="module", params=KINDS)
def asked(request, tmp_path_factory):
    """Case of a kind, with its fit."""
    case = case_named(request.param, tmp_path_factory.mktemp("rows"))
    return request.param, case, case.fit(case)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.__name__)
def test_answer(asked, question, request, tmp_path) -> None:
    kind, case, fit = asked
    if question is estimator and kind in NOT_ARRAYS:
        pytest.skip("the scikit-learn regressor takes arrays")
    overs = [{}]
    if question not in ALWAYS_ALIKE:
        overs += [{"given": case.given}] * bool(case.given)
        overs += [{"population": case.population}] * (case.population is not None)
    if question in LONG:
        overs = overs[-1:]
    wanted = set(inspect.signature(question).parameters)
    tools = {"folder": tmp_path} if "folder" in wanted else {}
    if "browser" in wanted:
        tools["browser"] = request.getfixturevalue("browser")
    words = REFUSED.get((kind, question.__name__))
    for over in overs:
        view = fit.given(over.get("given")).over(over.get("population"))
        with warnings.catch_warnings():
            if not case.identified:
                # Said once in the next test.
                warnings.simplefilter("ignore", bi.SupportWarning)
            if words is None:
                question(case, view, over, **tools)
                continue
            with pytest.raises(bi.BayesIntgenError, match=words):
                question(case, view, over, **tools)


def test_a_level_that_rests_on_the_prior_is_said_to() -> None:
    case = lift_test()
    with pytest.warns(bi.SupportWarning, match="do\\(tv, radio\\) is not identified"):
        case.fit(case).joint_effect(case.points)


@pytest.mark.parametrize("question", [joint_effect, contrast])
def test_wrong_fits_fail(question) -> None:
    """Negative control: a regression that ignores hidden causes gives wrong answers."""
    case = case_of(World(TWO, weight=1.5), model=bi.models.pooled())
    with pytest.raises(AssertionError, match="z \\["):
        question(case, fitted(case.data, case.model), {})
