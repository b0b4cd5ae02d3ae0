"""What a data set holds before anything is fitted, with what is wrong with it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from textwrap import fill

import numpy as np

from bayes_intgen.numerals import plain
from bayes_intgen.regimes import ROWS_PER_UNKNOWN, RegimeData
from bayes_intgen.streamed import Rows
from bayes_intgen.tabulate import aligned

# Fewer distinct values than this are levels, not a scale.
FEWEST_VALUES = 6
# Actions more alike than this cannot be told apart.
MOST_ALIKE = 0.999
# Share of the rows in which an action was set that must lie where it is seen elsewhere.
LEAST_COVERED = 0.9
# Columns of text.
WIDTH = 88


@dataclass(frozen=True)
class ActionOverview:
    """An action: whether it was set, and its values where it was and where it was not.

    Ranges are those of the rows in memory; None where there are no rows.
    """

    name: str
    state: str
    median: float
    set_range: tuple[float, float] | None
    observed_range: tuple[float, float] | None


@dataclass(frozen=True)
class Overview:
    """What a data set holds; its ``str`` is a page to read.

    Attributes
    ----------
    outcome : str
    rows : int
    regimes : dict of str to int
    identified : bool
        Whether the regimes determine the joint effect.
    certificate : str
        How, or what is missing.
    actions : list of ActionOverview
    problems : list of str
        What will make answers wide or wrong; empty where nothing was found.
    """

    outcome: str
    rows: int
    regimes: dict[str, int]
    identified: bool
    certificate: str
    actions: list[ActionOverview]
    problems: list[str]

    def to_json(self) -> str:
        """All of it as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2)

    def __str__(self) -> str:
        regimes = aligned(["regime", "rows"], [[k, f"{n:,}"] for k, n in self.regimes.items()])
        actions = aligned(
            ["action", "experiments", "median", "where set", "elsewhere"],
            [
                [a.name, a.state, _short(a.median), _range(a.set_range), _range(a.observed_range)]
                for a in self.actions
            ],
            left=2,
        )
        found = [
            fill(f"- {problem}", WIDTH, subsequent_indent="  ") for problem in self.problems
        ] or ["none found"]
        return "\n".join(
            [
                f"{self.rows:,} rows, outcome {self.outcome}",
                "",
                regimes,
                "",
                fill(self.certificate, WIDTH),
                "",
                actions,
                "",
                "Problems",
                *found,
            ]
        )


def overview(data: Rows) -> Overview:
    """What a data set holds.

    Parameters
    ----------
    data : RegimeData, StreamedData or DistributedData

    Returns
    -------
    Overview

    Examples
    --------
    >>> overview(data).problems
    []
    """
    held = data.held
    certificate = data.identify(list(data.names))
    problems = (
        []
        if certificate.identified
        else [f"the joint effect is not identified: {certificate.reason}"]
    )
    return Overview(
        data.outcome_name,
        len(data),
        dict(certificate.rows),
        certificate.identified,
        str(certificate),
        [
            ActionOverview(
                name,
                certificate.states[name],
                float(np.median(held.actions[:, k])),
                _ends(held.actions[held.intervened[:, k], k]),
                _ends(held.actions[~held.intervened[:, k], k]),
            )
            for k, name in enumerate(data.names)
        ],
        [*problems, *_problems(held, dict(certificate.rows))],
    )


def _problems(held: RegimeData, regimes: dict[str, int]) -> Iterator[str]:
    needed = ROWS_PER_UNKNOWN * (2 * len(held.names) + 1)
    for label, rows in regimes.items():
        if rows < needed:
            yield f"{label} has {rows} rows only: fewer than {needed} say little of so many actions"
    for k, name in enumerate(held.names):
        values, was_set = held.actions[:, k], held.intervened[:, k]
        distinct = len(np.unique(values))
        if distinct < FEWEST_VALUES:
            yield f"{name} has {distinct} distinct values: between them answers are guesses"
        for here, there, where in ((was_set, ~was_set, "set"), (~was_set, was_set, "not set")):
            if here.any() and there.any():
                low, high = values[there].min(), values[there].max()
                covered = float(((values[here] >= low) & (values[here] <= high)).mean())
                if covered < LEAST_COVERED:
                    yield (
                        f"{name}: {1 - covered:.0%} of the rows in which it was {where} lie "
                        f"outside its range elsewhere, {_short(low)} to {_short(high)}: answers "
                        "there rest on the model"
                    )
        for j in range(k):
            alike = np.corrcoef(held.actions[:, j], values)[0, 1]
            if abs(alike) > MOST_ALIKE:
                yield f"{held.names[j]} and {name} all but coincide: what one does the other may"
    different = len(np.unique(held.outcome))
    if different < FEWEST_VALUES:
        yield f"the outcome has {different} distinct values: the model holds it to be continuous"


def _ends(values: np.ndarray) -> tuple[float, float] | None:
    return (float(values.min()), float(values.max())) if len(values) else None


def _short(value: float) -> str:
    return plain(float(f"{value:.4g}"))


def _range(ends: tuple[float, float] | None) -> str:
    return f"{_short(ends[0])} to {_short(ends[1])}" if ends else "no rows"
