"""What a data set holds before anything is fitted, with what is wrong with it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from textwrap import fill

import numpy as np
from numpy.typing import NDArray

from bayes_intgen.advice import advice_on_far_cells, advice_on_levels, few_valued
from bayes_intgen.bases import Array
from bayes_intgen.categories import Categories, centres, short_label, spelled_label
from bayes_intgen.number_format import format_number
from bayes_intgen.regimes import ROWS_PER_UNKNOWN, RegimeData
from bayes_intgen.streamed import Rows
from bayes_intgen.support import Seen, separates
from bayes_intgen.tables import align_columns

# An outcome with fewer distinct values than this is no scale.
FEWEST_VALUES = 6
# Levels that a cell of the table lists.
SHOWN = 6
# Actions more alike than this cannot be told apart.
MOST_ALIKE = 0.999
# Share of the values to which an action was set that must support the joint effect, and of the
# others that must lie in the range of its experiments.
LEAST_COVERED = 0.9
# Columns of text.
WIDTH = 88


@dataclass(frozen=True)
class ActionOverview:
    """An action: whether it was set, and its values where it was and where it was not.

    Ranges are those of the rows in memory; None where there are no rows.

    Attributes
    ----------
    name, state : str
    median : float
        Of levels the code nearest to it.
    set_range, observed_range : (low, high) or None
    set_levels, observed_levels : dict from level to number of rows, or None
        Of the rows in memory; None where the action has no levels.
    """

    name: str
    state: str
    median: float
    set_range: tuple[float, float] | None
    observed_range: tuple[float, float] | None
    set_levels: dict[str, int] | None = None
    observed_levels: dict[str, int] | None = None


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
        regimes = align_columns(
            ["regime", "rows"], [[k, f"{n:,}"] for k, n in self.regimes.items()]
        )
        actions = align_columns(
            ["action", "experiments", "median", "where set", "elsewhere"],
            [
                [
                    a.name,
                    a.state,
                    _short(a.median) if a.set_levels is None else "levels",
                    _range(a.set_range, a.set_levels),
                    _range(a.observed_range, a.observed_levels),
                ]
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
        [_of_action(name, certificate.states[name], held, k) for k, name in enumerate(data.names)],
        [*problems, *_problems(held, dict(certificate.rows), certificate.identified)],
    )


def _of_action(name: str, state: str, held: RegimeData, k: int) -> ActionOverview:
    values, was_set, levels = held.actions[:, k], held.intervened[:, k], held.categories[k]
    parts = (values[was_set], values[~was_set])
    return ActionOverview(
        name,
        state,
        centres([float(np.median(values))], [levels])[0],
        _ends(parts[0]),
        _ends(parts[1]),
        None if levels is None else _counts(parts[0], levels),
        None if levels is None else _counts(parts[1], levels),
    )


def _counts(values: Array, levels: Categories) -> dict[str, int]:
    return {
        str(label): int((values == code).sum())
        for label, code in zip(map(short_label, levels.labels), levels.codes, strict=True)
    }


def _problems(held: RegimeData, regimes: dict[str, int], identified: bool) -> Iterator[str]:
    seen = Seen.of(held)
    needed = ROWS_PER_UNKNOWN * (2 * len(held.names) + 1)
    for label, rows in regimes.items():
        if rows < needed:
            yield f"{label} has {rows} rows only: fewer than {needed} say little of so many actions"
    few = few_valued(held)
    if few:
        yield advice_on_levels(few)
    yield from advice_on_far_cells(held)
    for k, name in enumerate(held.names):
        values, was_set, levels = held.actions[:, k], held.intervened[:, k], held.categories[k]
        if was_set.any() and not was_set.all():
            yield from _outside(name, values, was_set, levels)
        if identified and was_set.any():
            supported = float(_supported(seen, k, values[was_set]).mean())
            if supported < LEAST_COVERED:
                yield (
                    f"{name}: {1 - supported:.0%} of the values to which it was set do not support "
                    "the joint effect: too few regimes reach them. Observe the action there "
                    "without setting it, or say by a graph that it moves no other action"
                )
        for j in range(k):
            alike = np.corrcoef(held.actions[:, j], values)[0, 1]
            if abs(alike) > MOST_ALIKE:
                yield f"{held.names[j]} and {name} all but coincide: what one does the other may"
    different = len(np.unique(held.outcome))
    if different < FEWEST_VALUES:
        yield f"the outcome has {different} distinct values: the model holds it to be continuous"


def _outside(
    name: str, values: Array, was_set: NDArray[np.bool_], levels: Categories | None
) -> Iterator[str]:
    """Values at which an action was set only, or not set only."""
    if levels is None:
        low, high = values[was_set].min(), values[was_set].max()
        covered = float(((values[~was_set] >= low) & (values[~was_set] <= high)).mean())
        if covered < LEAST_COVERED:
            yield (
                f"{name}: {1 - covered:.0%} of the rows in which it was not set lie "
                f"outside the range of its experiments, {_short(low)} to {_short(high)}: "
                "answers there rest on the model"
            )
        return
    for here, where in ((was_set, "set"), (~was_set, "not set")):
        only = np.setdiff1d(values[here], values[~here])
        if len(only):
            labels = ", ".join(map(spelled_label, levels.decode(only).tolist()))
            yield (
                f"{name}: rows in which it was {where} are at {labels}, where no others "
                "are: answers there rest on the model"
            )


def _supported(seen: Seen, action: int, values: np.ndarray) -> np.ndarray:
    """Whether values of an action can support the joint effect, with an unknown graph."""
    count = len(seen.names)
    points = np.zeros((len(values), count))
    points[:, action] = values
    parents = [[j for j in range(count) if j != k] for k in range(count)]
    reached = seen.holds(points, (action,))
    return separates(seen.masks, reached, (True,) * count, action, parents)


def _ends(values: np.ndarray) -> tuple[float, float] | None:
    return (float(values.min()), float(values.max())) if len(values) else None


def _short(value: float) -> str:
    return format_number(float(f"{value:.4g}"))


def _range(ends: tuple[float, float] | None, levels: dict[str, int] | None) -> str:
    if levels is not None and ends is not None:
        shown = [f"{name} {rows:,}" for name, rows in list(levels.items())[:SHOWN]]
        return ", ".join(shown) + ", ..." * (len(levels) > SHOWN)
    return f"{_short(ends[0])} to {_short(ends[1])}" if ends else "no rows"
