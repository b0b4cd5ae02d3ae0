"""Explanation of a table: the role and content of each column, and a proposal of roles."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np

from bayes_intgen.basis.categories import listed
from bayes_intgen.data.cells import reading_of, remedy_of_text
from bayes_intgen.data.levels import MAX_LEVELS
from bayes_intgen.data.regime_labels import LabelReader, UnknownActionError
from bayes_intgen.data.schema import refuse_absent
from bayes_intgen.data.tables import is_categorical, missing_cells

UNUSED = "unused"
# Maximum number of texts that are proposed as levels of a covariate rather than as groups.
MAX_COVARIATE_LEVELS = 6

_CAUSE = (
    "; an action if it was set in some rows, a covariate if it is a cause that no action changes"
)
_UNITS = "; a group if these are units such as regions or patients"
_ADVICE = {
    "number": _CAUSE,
    "levels": f"{_CAUSE}, a group if it names units",
    "names": _UNITS,
    "dates": "; a covariate, with a trend and a yearly season",
    "constant": "; it does not vary",
}
_PROPOSAL = {
    "action?": "; an action, since the regime labels name it or no column",
    "covariate?": "; never set, so a covariate if no action changes it",
    "group?": _UNITS,
}


class ColumnNote(NamedTuple):
    """Role of a column, and its reason.

    Attributes
    ----------
    name, role : str
        The role ends with a question mark if it is proposed.
    reason : str
    """

    name: str
    role: str
    reason: str


class Content(NamedTuple):
    """Content of a column.

    Attributes
    ----------
    kind : str
        One of "number", "levels", "names", "dates", "text" (numbers written as text), "constant"
        and "other".
    description : str
    """

    kind: str
    description: str


def explain_columns(table: nw.DataFrame[Any], roles: dict[str, str]) -> list[ColumnNote]:
    """Explain every column of a table, given the roles of some.

    Examples
    --------
    >>> table = nw.from_dict({"x": [1.0, 2.0, 3.0], "drug": ["a", "b", "a"]}, backend="pandas")
    >>> for note in explain_columns(table, {"x": "action"}):
    ...     print(*note, sep=": ")
    x: action: numbers from 1 to 3
    drug: unused: text with two values, 'a', 'b'; an action if it was set in some rows, \
a covariate if it is a cause that no action changes, a group if it names units
    """
    notes = []
    for name in table.columns:
        content, role = content_of(table[name]), roles.get(name, UNUSED)
        description = content.description
        if role == "regime":
            description = f"labels: {description}"
        elif role == UNUSED:
            description += _ADVICE.get(content.kind, "")
        elif role.endswith("?"):
            description += _PROPOSAL[role]
        elif content.kind == "levels" and role in ("action", "covariate"):
            description += "; levels"
        notes.append(ColumnNote(name, role, description))
    return notes


def propose_roles(table: nw.DataFrame[Any], outcome: str, regime: str) -> dict[str, str]:
    """Propose roles of the columns of a table: actions, covariates and groups.

    Columns that the regime labels name are actions. If they name none, all numbers are.

    Raises
    ------
    DataError
        If there is no outcome, or no column of regime labels.

    Examples
    --------
    >>> table = nw.from_dict(
    ...     {"tv": [1.0, 2.0, 3.0], "age": [30, 40, 50], "y": [1, 2, 4], "regime": ["", "TV", ""]},
    ...     backend="pandas",
    ... )
    >>> propose_roles(table, "y", "regime")
    {'y': 'outcome', 'regime': 'regime', 'tv': 'action', 'age': 'covariate'}
    """
    for name, role in ((outcome, "outcome"), (regime, "regime labels")):
        refuse_absent([name], table.columns, f" for the {role}", "the table")
    others = [name for name in table.columns if name not in (outcome, regime)]
    named = _named_in(table[regime], others)
    roles = {outcome: "outcome", regime: "regime"}
    for name in others:
        kind = content_of(table[name]).kind
        if name in named or (not named and kind == "number"):
            roles[name] = "action"
        elif kind in ("number", "levels"):
            distinct = table[name].n_unique()
            levels = kind == "levels" and distinct > MAX_COVARIATE_LEVELS
            roles[name] = "group" if levels else "covariate"
        elif kind == "names":
            roles[name] = "group"
    return roles


def content_of(series: nw.Series[Any]) -> Content:
    """Describe the content of a column."""
    missing = missing_cells(series)
    present = series.filter((~missing).tolist()) if missing.any() else series
    absent = f"; {int(missing.sum())} missing cells" if missing.any() else ""
    if not len(present):
        return Content("constant", "no cells, only missing ones")
    row = int(np.argmin(missing))
    kind, description = _content(present, f"such as {str(present[0])!r} in row {row}")
    return Content(kind, description + absent)


def _content(present: nw.Series[Any], such: str) -> Content:
    if present.dtype.is_numeric():
        return _numbers(present)
    if present.dtype.is_temporal():
        return Content("dates", f"dates or durations, {such}")
    cells = present.to_list()
    try:
        distinct = sorted(dict.fromkeys(cells), key=str)
    except TypeError:
        return Content("other", f"{present.dtype}, {such}")
    if not all(isinstance(cell, str | bool) for cell in distinct) and not is_categorical(present):
        return Content("other", f"{present.dtype}, {such}")
    kind = "categories" if is_categorical(present) else "text"
    texts = [cell for cell in distinct if isinstance(cell, str)]
    if not texts and kind == "text":
        kind = "booleans"
    if len(distinct) == 1:
        return Content("constant", f"{kind}, always {listed(distinct)}")
    if kind == "text":
        reading = reading_of(texts)
        if reading.values and reading.kind == "dates":
            return Content("dates", f"dates written as text, {such}")
        if reading.values:
            return Content("text", f"text {such}{remedy_of_text(present.name, texts)}")
    if len(distinct) <= MAX_LEVELS:
        count = "two" if len(distinct) == 2 else len(distinct)
        return Content("levels", f"{kind} with {count} values, {listed(distinct)}")
    repeated = 2 * len(distinct) <= len(cells)
    return Content(
        "names" if repeated else "other", f"{kind} with {len(distinct):,} values, {such}"
    )


def _numbers(present: nw.Series[Any]) -> Content:
    low, high = float(present.min()), float(present.max())
    if low == high:
        return Content("constant", f"always {low:g}")
    if present.n_unique() == 2:
        return Content("number", f"two numbers, {low:g} and {high:g}")
    return Content("number", f"numbers from {low:g} to {high:g}")


def _named_in(labels: nw.Series[Any], names: Sequence[str]) -> set[str]:
    """Columns that regime labels name."""
    reader, named = LabelReader(names), set()
    for label in dict.fromkeys(labels.drop_nulls().to_list()):
        with suppress(UnknownActionError):
            named |= {*reader.actions(str(label))}
    return named
