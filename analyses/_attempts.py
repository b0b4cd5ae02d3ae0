"""Outcomes of attempts to break the package, and their table."""

import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import bayes_intgen as bi

MAX_SECONDS = 60.0
OUTCOMES = ("answer", "DataError", "ModelError", "PointsError", "BayesIntgenError", "FAILURE")


def attempt(function: Callable[..., str], *arguments: Any) -> str:
    """Outcome of a call that returns one; failures with their origin.

    Any other exception than one of the package is a failure, and so is more than a minute.
    """
    # Processor time is independent of other processes.
    began = time.process_time()
    try:
        outcome = function(*arguments)
    except bi.BayesIntgenError as error:
        outcome = type(error).__name__
    except Exception as error:  # the failures that the search is for
        frame = traceback.extract_tb(error.__traceback__)[-1]
        message = " ".join(str(error).split())[:100]
        outcome = f"FAILURE {type(error).__name__} in {Path(frame.filename).name}: {message}"
    duration = time.process_time() - began
    if duration > MAX_SECONDS:
        outcome = f"FAILURE: took {duration:.0f} s ({outcome})"
    return outcome


def expect(outcome: str, is_right: bool) -> str:
    """Outcome of a case with a known answer: right input is answered, wrong input refused.

    A refusal is the class of an error of the package.
    """
    if outcome.startswith("FAILURE") or (outcome == "answer") == is_right:
        return outcome
    return f"FAILURE: {outcome}, where {'an answer' if is_right else 'an error'} was expected"


def counts_of(what: str, results: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Counts of outcomes, per kind of case and over all, from pairs of kind and outcome."""
    by_kind: dict[str, list[str]] = {}
    for kind, outcome in results:
        by_kind.setdefault(kind, []).append(outcome.split(" ")[0].rstrip(":"))
    everything = [outcome for own in by_kind.values() for outcome in own]
    if not everything:
        return []
    rows = []
    for kind, own in [*sorted(by_kind.items()), ("all", everything)]:
        outcomes = Counter(own)
        rows.append(
            {
                "what": what,
                "kind": kind,
                "tried": len(own),
                **{name: outcomes[name] for name in OUTCOMES},
            }
        )
        assert sum(outcomes[name] for name in OUTCOMES) == len(own), outcomes
    return rows
