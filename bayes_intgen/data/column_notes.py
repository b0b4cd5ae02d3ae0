"""Explanation of a table: the role and content of each column."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np

from bayes_intgen.basis.categories import listed
from bayes_intgen.data.cells import present_texts, reading_of, remedy_of_text
from bayes_intgen.data.covariates import holds_dates
from bayes_intgen.data.levels import MAX_LEVELS
from bayes_intgen.data.tables import is_categorical, missing_cells
from bayes_intgen.text.formats import format_number
from bayes_intgen.text.messages import first_few

UNUSED = "unused"
# Maximum number of unused columns of a kind that have a line each.
MAX_UNUSED = 4
# Kinds of content in words, in the plural.
KINDS = {
    "number": "numbers",
    "whole": "whole numbers",
    "levels": "text of few values",
    "names": "text of many values",
    "text": "numbers written as text",
    "constant": "a single value",
    "other": "other content",
}

_CAUSE = (
    "; an action if it was set in some rows, a covariate if it is a cause that no action changes"
)
_ADVICE = {
    "number": _CAUSE,
    "whole": _CAUSE,
    "levels": f"{_CAUSE}, a group if it names units",
    "names": "; a group if these are units such as regions or patients",
    "dates": "; a covariate, with a trend and a yearly season",
    "constant": "; it does not vary",
}


class ColumnNote(NamedTuple):
    """Role of a column, and its reason.

    Attributes
    ----------
    name, role : str
        The role ends with a question mark if it is proposed.
    reason : str
    kind : str
        Kind of the content, as in :class:`Content`.
    """

    name: str
    role: str
    reason: str
    kind: str


class Content(NamedTuple):
    """Content of a column.

    Attributes
    ----------
    kind : str
        One of "number", "whole" (numbers), "levels", "names", "dates", "text" (numbers written as
        text), "constant" and "other".
    description : str
    distinct, missing : int
        Numbers of distinct cells, and of missing ones.
    """

    kind: str
    description: str
    distinct: int
    missing: int


def explain_columns(
    table: nw.DataFrame[Any], roles: Mapping[str, str], reasons: Mapping[str, str] | None = None
) -> list[ColumnNote]:
    """Explain every column of a table, given the roles of some, and reasons for these.

    Examples
    --------
    >>> table = nw.from_dict({"x": [1.5, 2.0, 3.0], "drug": ["a", "b", "a"]}, backend="pandas")
    >>> for note in explain_columns(table, {"x": "action"}):
    ...     print(*note[:3], sep=": ")
    x: action: numbers from 1.5 to 3
    drug: unused: text with two values, 'a', 'b'; an action if it was set in some rows, \
a covariate if it is a cause that no action changes, a group if it names units
    """
    notes = []
    for name in table.columns:
        content, role = content_of(table[name]), roles.get(name, UNUSED)
        description = content.description
        if role.startswith("regime"):
            numbers = f"{content.distinct} numbers"
            description = f"labels: {numbers if content.kind == 'text' else description}"
        if reasons and name in reasons:
            description += f"; {reasons[name]}"
        elif role == UNUSED:
            description += _ADVICE.get(content.kind, "")
        elif content.kind == "levels" and role in ("action", "covariate"):
            description += "; levels"
        notes.append(ColumnNote(name, role, description, content.kind))
    return notes


def note_lines(notes: Sequence[ColumnNote]) -> tuple[str, ...]:
    """Role of each column of a table, with the reason; many unused ones of a kind in one line."""
    unused: dict[str, list[str]] = {}
    for note in notes:
        if note.role == UNUSED:
            unused.setdefault(note.kind, []).append(note.name)
    many = {kind: own for kind, own in unused.items() if len(own) > MAX_UNUSED}
    shown = [note for note in notes if note.role != UNUSED or note.kind not in many]
    names, roles = (max((len(note[i]) for note in shown), default=0) for i in (0, 1))
    lines = [f"{note.name:<{names}}  {note.role:<{roles}}  {note.reason}" for note in shown]
    lines += [
        f"{len(own)} columns of {KINDS.get(kind, kind)} are {UNUSED}: {first_few(own, MAX_UNUSED)}"
        for kind, own in many.items()
    ]
    return tuple(lines)


def content_of(series: nw.Series[Any]) -> Content:
    """Describe the content of a column."""
    missing = missing_cells(series)
    absent = int(missing.sum())
    present = series.filter((~missing).tolist()) if absent else series
    if not len(present):
        return Content("constant", "no cells, only missing ones", 0, absent)
    row = int(np.argmin(missing))
    cell = str(present[0]).removesuffix(" 00:00:00")
    kind, description, distinct = _content(present, f"such as {cell!r} in row {row}")
    if kind == "constant" and absent and not present.dtype.is_numeric():
        # Cells are empty where something is not the case.
        kind = "levels"
    cells = "1 missing cell" if absent == 1 else f"{absent:,} missing cells"
    return Content(kind, f"{description}; {cells}" if absent else description, distinct, absent)


def _content(present: nw.Series[Any], such: str) -> tuple[str, str, int]:
    if present.dtype.is_numeric():
        return _numbers(present)
    if present.dtype != nw.String and holds_dates(present):
        return "dates", f"dates, {such}", present.n_unique()
    if present.dtype.is_temporal():
        return "other", f"durations or times of day, {such}", present.n_unique()
    cells = present.to_list()
    try:
        distinct = sorted(dict.fromkeys(cells), key=str)
    except TypeError:
        return "other", f"{present.dtype}, {such}", len(cells)
    count = len(distinct)
    if not all(isinstance(cell, str | bool) for cell in distinct) and not is_categorical(present):
        return "other", f"{present.dtype}, {such}", count
    kind = "categories" if is_categorical(present) else "text"
    texts = [cell for cell in distinct if isinstance(cell, str)]
    if not texts and kind == "text":
        kind = "booleans"
    if count == 1:
        return "constant", f"{kind}, always {listed(distinct)}", count
    reason = ""
    if kind == "text":
        reading = reading_of(present_texts(texts))
        if reading.values and reading.kind == "dates":
            return "dates", f"dates written as text, {such}", count
        reason = f"; {reading.reason}" * bool(reading.reason)
        if reading.values or reading.asks or (reason and count > max(MAX_LEVELS, len(cells) // 2)):
            return "text", f"text {such}{remedy_of_text(present.name, texts)}", count
    if count <= MAX_LEVELS:
        values = "two values" if count == 2 else f"{count} values"
        return "levels", f"{kind} with {values}, {listed(distinct)}{reason}", count
    repeated = 2 * count <= len(cells)
    return "names" if repeated else "other", f"{kind} with {count:,} values, {such}{reason}", count


def _numbers(present: nw.Series[Any]) -> tuple[str, str, int]:
    low, high, distinct = float(present.min()), float(present.max()), present.n_unique()
    if distinct == 1:
        return "constant", f"always {_spelled(low)}", distinct
    values = np.asarray(present.to_numpy())
    # Decimals are objects.
    values = values.astype(float) if values.dtype == object else values
    are_whole = values.dtype.kind in "iu" or bool((values == np.round(values)).all())
    text = f"two numbers, {_spelled(low)} and {_spelled(high)}"
    if distinct > 2:
        text = f"{'whole ' * are_whole}numbers from {_spelled(low)} to {_spelled(high)}"
    for code in (low, high):
        others = values[values != code]
        # Programs write nines for missing cells, far from all others.
        is_code = (
            re.fullmatch("-?9{2,}", f"{code:.0f}") and np.ptp(others) < abs(others - code).min()
        )
        if is_code and len(values) - len(others) > 1:
            text += f"; {code:.0f} may be a missing cell (of text files: --cell {code:.0f}=)"
    return "whole" if are_whole else "number", text, distinct


def _spelled(number: float) -> str:
    # Years have no comma.
    return f"{number:.6g}" if abs(number) < 10_000 else format_number(number)
