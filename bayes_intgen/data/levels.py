"""Levels and groups: the labels that occur over all rows."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from bayes_intgen.basis.categories import Categories, Label, listed
from bayes_intgen.data.cells import MAX_NUMBERS_AS_TEXT, reading_of, remedy_of_text
from bayes_intgen.data.covariates import NEW_GROUP
from bayes_intgen.errors import DataError

# Maximum number of levels of an action. Columns of text with more contain descriptions.
MAX_LEVELS = 50


@dataclass(frozen=True)
class ColumnLevels:
    """Levels that occur in a column of text, booleans or categories, in all or some rows.

    Attributes
    ----------
    order : tuple of labels
        All levels that the column declares, in its order; for text the levels that occur, in
        order of occurrence.
    occurring : frozenset of labels
        Levels that occur in the rows.
    ordered : bool
        Whether the column declares that the order is meaningful.
    declared : bool
        Whether the column declares the order; otherwise levels are sorted.
    rows : mapping from str to int
        Row of the first occurrence of each level of text, for messages.
    categorical : bool
        Whether the column holds categories, which may be named by numbers.
    """

    order: tuple[Label, ...]
    occurring: frozenset[Label]
    ordered: bool = False
    declared: bool = False
    rows: Mapping[str, int] = field(default_factory=dict)
    categorical: bool = False

    def merge(self, other: "ColumnLevels", name: str) -> "ColumnLevels":
        """Combine the levels of two sets of rows; raises DataError if their orders contradict.

        Examples
        --------
        >>> first, second = (ColumnLevels((x,), frozenset([x])) for x in ("on", "off"))
        >>> first.merge(second, "drug").categories("drug").labels
        ('off', 'on')
        """
        occurring = self.occurring | other.occurring
        if not (self.ordered and other.ordered):
            order = tuple(dict.fromkeys([*self.order, *other.order]))
            rows, declared = {**other.rows, **self.rows}, self.declared and other.declared
            categorical = self.categorical and other.categorical
            return ColumnLevels(order, occurring, False, declared, rows, categorical)
        longer, shorter = sorted((self.order, other.order), key=len, reverse=True)
        if [label for label in longer if label in shorter] != list(shorter):
            raise DataError(
                f"column {name!r} orders its levels differently in different batches: "
                f"{listed(self.order)}, and {listed(other.order)}; give all batches one list of "
                "categories"
            )
        return ColumnLevels(longer, occurring, True, True, categorical=True)

    def categories(self, name: str) -> Categories:
        """Validate the levels that occur, and assign codes.

        Raises
        ------
        DataError
            If the levels are numbers as text, more than 50, ambiguous or not writable.
        """
        labels = [label for label in self.order if label in self.occurring]
        texts = [label for label in labels if isinstance(label, str)]
        _refuse_unclear_texts(texts, name)
        if not self.categorical:
            _refuse_numbers_as_text(texts, name, self.rows)
        if len(labels) > MAX_LEVELS:
            raise DataError(
                f"column {name!r} has {len(labels)} levels ({listed(labels)}), more than the "
                f"maximum of {MAX_LEVELS}; join rare levels into one, omit the column, or pass it "
                "in groups if it names units such as regions or patients"
            )
        if not self.declared:
            labels.sort(key=_natural)
        return Categories.of_labels(labels, self.ordered)


# Workers of Dask in other processes return tuples that are keys without their class.
@dataclass(frozen=True)
class ColumnUse:
    """A column that is read, as labels of groups, units or regimes, or as values."""

    name: str
    as_labels: bool


# Content of a column: its levels, the labels of its groups, or what its numbers are.
Content = ColumnLevels | frozenset[str] | Literal["numbers", "dates"]


def merged(
    one: Mapping[ColumnUse, Content], other: Mapping[ColumnUse, Content]
) -> Mapping[ColumnUse, Content]:
    """Combine the contents of the columns in two sets of rows.

    Raises
    ------
    DataError
        If the contents differ in kind, or the orders of levels contradict.
    """
    common = {use: _merged(use.name, one[use], other[use]) for use in one if use in other}
    return {**one, **other, **common}


def _merged(name: str, one: Content, other: Content) -> Content:
    if isinstance(one, ColumnLevels) and isinstance(other, ColumnLevels):
        return one.merge(other, name)
    if isinstance(one, frozenset) and isinstance(other, frozenset):
        return one | other
    if one == other:
        return one
    kinds = "dates in some batches only"
    if isinstance(one, ColumnLevels) or isinstance(other, ColumnLevels):
        kinds = "numbers in some batches and levels in others"
    raise DataError(f"column {name!r} holds {kinds}; give it one type")


def labels_of_groups(name: str, labels: Collection[str]) -> tuple[str, ...]:
    """Sort the labels of the groups of a column in natural order.

    Raises
    ------
    DataError
        If a group has the label by which queries ask for a group that is not in the data.
    """
    if NEW_GROUP in labels:
        raise DataError(
            f"column {name!r} has a group {NEW_GROUP!r}, by which queries ask for a group "
            "that is not in the data; give it another name"
        )
    return tuple(sorted(labels, key=_natural))


def as_label(cell: Any, column: str) -> Label:
    """Convert a cell to a label; raises DataError unless it is text, boolean or finite number."""
    cell = cell.item() if isinstance(cell, np.generic) else cell
    if isinstance(cell, str | bool):
        return cell
    if isinstance(cell, int | float) and np.isfinite(cell):
        return float(cell)
    raise DataError(f"levels of column {column!r} must be text, booleans or numbers, not {cell!r}")


def _natural(label: Label) -> list[tuple[int, int | str]]:
    """Natural sort key: 'dose 10' follows 'dose 2'."""
    parts = re.split(r"(\d+)", str(label).casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts] + [(1, str(label))]


def _refuse_numbers_as_text(texts: Sequence[str], name: str, rows: Mapping[str, int]) -> None:
    reading = reading_of(texts)
    # Among many texts, most of which are numbers, the others are no levels, nor are zeros in words.
    most = MAX_LEVELS if reading.kind == "dates" else 0 if reading.values else MAX_NUMBERS_AS_TEXT
    most = 0 if reading.asks else most
    if reading.kind != "text" and len(texts) > most:
        row = f" in row {rows[texts[0]]}" if texts[0] in rows else ""
        remedy = remedy_of_text(name, texts)
        numbers = reading.values or reading.asks
        levels = ", or make it categorical if these are names of levels" if numbers else ""
        raise DataError(f"column {name!r} holds text such as {texts[0]!r}{row}{remedy}{levels}")


def _refuse_unclear_texts(texts: Sequence[str], name: str) -> None:
    stripped: dict[str, str] = {}
    for text in texts:
        bare = text.strip()
        if bare in stripped:
            raise DataError(
                f"column {name!r} has the levels {stripped[bare]!r} and {text!r}, which differ by "
                "spaces only; strip them"
            )
        stripped[bare] = text
        refuse_unwritable(text, f"a level of column {name!r}")


def refuse_unwritable(name: str, what: str) -> None:
    """Raise DataError on a name that cannot be written to a file."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{what} cannot be called {name!r}: that is not valid text") from error
    if "\0" in name:
        raise DataError(f"{what} cannot be called {name!r}: it has a zero character")
