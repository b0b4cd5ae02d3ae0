"""Every question on every kind of table: a right answer, or an error that says what to do."""

import inspect

import pytest
from _kinds import KINDS
from _questions import ALWAYS_ALIKE, QUESTIONS


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.__name__)
def asked(request, tmp_path_factory):
    """Case of a kind, with its fit."""
    case = request.param(tmp_path_factory.mktemp("rows"))
    return request.param.__name__, case, case.fit(case)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.__name__)
def test_answer(asked, question, request, tmp_path) -> None:
    kind, case, fit = asked
    overs = [{}]
    if question not in ALWAYS_ALIKE:
        overs += [{"given": case.given}] * bool(case.given)
        overs += [{"population": case.population}] * (case.population is not None)
    wanted = set(inspect.signature(question).parameters)
    tools = {"folder": tmp_path} if "folder" in wanted else {}
    if "browser" in wanted:
        tools["browser"] = request.getfixturevalue("browser")
    for over in overs:
        question(case, fit, over, **tools)
