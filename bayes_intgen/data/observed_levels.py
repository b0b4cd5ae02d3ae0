"""Levels that occur in columns of tables, collected over all of their rows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from bayes_intgen.basis.categories import MAX_LEVELS_SHOWN, Categories, Label, spelled_label
from bayes_intgen.errors import DataError

# A column of text with more distinct cells than this holds descriptions, not levels.
MAX_LEVELS = 50
# Text of which most is numbers, with more distinct cells than this, is a numeric column with
# some cells that are not.
MAX_NUMBERS_AS_TEXT = 20


@dataclass(frozen=True)
class ColumnLevels:
    """Levels that occur in a column of text, booleans or categories, or in a part of it.

    Attributes
    ----------
    order : tuple of labels
        All levels that the column declares, in its order; of text those that occur, in order of
        occurrence.
    occurring : frozenset of labels
    ordered : bool
        Whether the column says that the order means something.
    declared : bool
        Whether the order is the column's; text is sorted.
    """

    order: tuple[Label, ...]
    occurring: frozenset[Label]
    ordered: bool = False
    declared: bool = False

    def merge(self, other: "ColumnLevels", name: str) -> "ColumnLevels":
        """Levels of two parts of one column; raises DataError where their orders contradict.

        Examples
        --------
        >>> first, second = (ColumnLevels((x,), frozenset([x])) for x in ("on", "off"))
        >>> first.merge(second, "drug").categories("drug").labels
        ('off', 'on')
        """
        ordered = self.ordered and other.ordered
        occurring = self.occurring | other.occurring
        if not ordered:
            order = tuple(dict.fromkeys([*self.order, *other.order]))
            return ColumnLevels(order, occurring, False, self.declared and other.declared)
        longer, shorter = sorted((self.order, other.order), key=len, reverse=True)
        if [label for label in longer if label in shorter] != list(shorter):
            raise DataError(
                f"column {name!r} orders its levels differently in different batches: "
                f"{_listed(self.order)}, and {_listed(other.order)}; give all batches one list of "
                "categories"
            )
        return ColumnLevels(longer, occurring, True, True)

    def categories(self, name: str) -> Categories:
        """The levels that occur, checked.

        Raises
        ------
        DataError
            Where these are numbers written as text, more than 50, or cannot be told apart or
            written down.
        """
        labels = [label for label in self.order if label in self.occurring]
        texts = [label for label in labels if isinstance(label, str)]
        _refuse_unclear_texts(texts, name)
        if not self.declared:
            _refuse_numbers_as_text(texts, name)
        if len(labels) > MAX_LEVELS:
            raise DataError(
                f"action {name!r} has {len(labels)} levels ({_listed(labels)}), more than the "
                f"{MAX_LEVELS} that a fit can take; join rare levels into one, or leave it out"
            )
        if not self.declared:
            labels.sort(key=_natural)
        return Categories.of_labels(labels, self.ordered)


@dataclass(frozen=True)
class ActionLevels:
    """Levels that occur in the columns of all actions, or in a part of their rows.

    Attributes
    ----------
    levels : mapping from action to ColumnLevels or None
        None for numeric columns. Empty where there are no rows.
    """

    levels: Mapping[str, ColumnLevels | None]

    def merge(self, other: Self) -> Self:
        """Levels of these rows and of others.

        Raises
        ------
        DataError
            Where a column is numeric in one part only, or the orders contradict each other.
        """
        if not (self.levels and other.levels):
            return self if self.levels else other
        joined: dict[str, ColumnLevels | None] = {}
        for name, one in self.levels.items():
            two = other.levels[name]
            if one is not None and two is not None:
                joined[name] = one.merge(two, name)
            elif one is two:
                joined[name] = None
            else:
                raise DataError(
                    f"column {name!r} holds numbers in some batches and levels in others; give it "
                    "one type"
                )
        return type(self)(joined)

    def categories(self) -> tuple[Categories | None, ...]:
        """The levels of each action, checked as :meth:`ColumnLevels.categories` does."""
        return tuple(
            None if levels is None else levels.categories(name)
            for name, levels in self.levels.items()
        )


def as_label(cell: Any) -> Label | None:
    """A cell as a label; None where it is neither text nor a boolean nor a finite number."""
    cell = cell.item() if isinstance(cell, np.generic) else cell
    if isinstance(cell, str | bool):
        return cell
    return float(cell) if isinstance(cell, int | float) and np.isfinite(cell) else None


def _listed(labels: Sequence[Label]) -> str:
    shown = ", ".join(spelled_label(label) for label in labels[:MAX_LEVELS_SHOWN])
    return shown + (", ..." if len(labels) > MAX_LEVELS_SHOWN else "")


def _natural(label: Label) -> list[tuple[int, int | str]]:
    """Sorting key in which 'dose 10' comes after 'dose 2'."""
    parts = re.split(r"(\d+)", str(label).casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts] + [(1, str(label))]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _refuse_numbers_as_text(texts: Sequence[str], name: str) -> None:
    others = [text for text in texts if not _is_number(text)]
    if texts and not others:
        raise DataError(
            f"column {name!r} holds numbers written as text, such as {texts[0]!r}; convert it to "
            "numbers (with pandas: frame[column].astype(float)), or make it categorical if these "
            "are names of levels"
        )
    if len(texts) > MAX_NUMBERS_AS_TEXT and 2 * len(others) < len(texts):
        raise DataError(
            f"column {name!r} holds numbers written as text, and cells that are no numbers, such "
            f"as {others[0]!r}; correct or drop these, and convert the column to numbers"
        )


def _refuse_unclear_texts(texts: Sequence[str], name: str) -> None:
    stripped: dict[str, str] = {}
    for text in texts:
        bare = text.strip()
        if not bare:
            raise DataError(
                f"column {name!r} has cells without text ({text!r}); give that level a name, or "
                "drop those rows"
            )
        if bare in stripped:
            raise DataError(
                f"column {name!r} has the levels {stripped[bare]!r} and {text!r}, which differ by "
                "spaces only; strip them"
            )
        stripped[bare] = text
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"column {name!r} has a level {text!r} that is no valid text"
            ) from error
        if "\0" in text:
            raise DataError(f"column {name!r} has a level {text!r} with a zero character")
