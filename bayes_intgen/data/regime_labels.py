"""Regime labels: text that names the actions that were set in a row."""

import re
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_intgen.errors import DataError
from bayes_intgen.identification.regimes import regime_label
from bayes_intgen.text.messages import unknown_action

OBSERVATIONAL = regime_label(())
SEPARATOR = "+"
# Separators of actions in a label, in the order in which they are tried: names may contain them.
SEPARATORS = (r"\+", ",", r"[+,]")
INTERVENTION = re.compile(r"do\s*\((.*)\)", re.IGNORECASE | re.DOTALL)


class UnknownActionError(LookupError):
    """Part of a label that is not an action."""


class LabelReader:
    """Reader of regime labels, regardless of case where that is unambiguous.

    Parameters
    ----------
    names : sequence of str
        Names of the actions.

    Examples
    --------
    >>> reader = LabelReader(["red", "green"])
    >>> [reader.actions(label) for label in ("do(red)", "Red, green", "red+green", "")]
    [('red',), ('red', 'green'), ('red', 'green'), ()]
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = dict.fromkeys(names)
        counts = Counter(name.casefold() for name in names)
        self._of_folded = {n.casefold(): n for n in names if counts[n.casefold()] == 1}

    def actions(self, label: str) -> tuple[str, ...]:
        """Actions in a label; raises UnknownActionError with the first unknown part."""
        whole = label if label in self._names else label.strip()
        if is_observational(whole):
            return ()
        name = self._name(whole)
        if name is not None:
            return (name,)
        for separator in SEPARATORS:
            parts = [part.strip() for part in re.split(separator, whole)]
            named = [self._name(part) for part in parts]
            if None not in named:
                return tuple(name for name in named if name is not None)
        inner = INTERVENTION.fullmatch(whole)
        if inner:
            return self.actions(inner[1])
        raise UnknownActionError(next(p for p, n in zip(parts, named, strict=True) if n is None))

    def _name(self, part: str) -> str | None:
        if part in self._names:
            return part
        inner = INTERVENTION.fullmatch(part)
        return self._of_folded.get(part.casefold()) or (self._name(inner[1]) if inner else None)


def is_observational(label: str) -> bool:
    """Whether a label says that no action was set.

    Examples
    --------
    >>> is_observational(" Observational"), is_observational("do()"), is_observational("control")
    (True, True, False)
    """
    return label.strip().casefold() in ("", OBSERVATIONAL, "do()")


def masks_of_labels(
    cells: Sequence[Any], names: tuple[str, ...], column: str, first_row: int
) -> NDArray[np.bool_]:
    """Masks of rows, shape (n, K), from the cells of a column of labels; missing ones are empty.

    Raises
    ------
    DataError
        On a label with an unknown action; rows are numbered from ``first_row``.
    """
    # NumPy would make a table of lists of equal length.
    absent = pd.isna(pd.Series(cells, dtype=object)).to_numpy()
    labels = ["" if is_absent else str(cell) for cell, is_absent in zip(cells, absent, strict=True)]
    which, distinct = pd.factorize(np.array(labels, dtype=object))
    reader, masks = LabelReader(names), []
    for label in distinct:
        try:
            masks.append(np.isin(names, reader.actions(label)))
        except UnknownActionError as unknown:
            row = first_row + labels.index(label)
            raise DataError(_refusal(label, str(unknown), names, row, column)) from None
    # Tables are read by column.
    return np.reshape(masks, (-1, len(names))).astype(np.bool_).T[:, which].T


def _refusal(label: str, part: str, names: Sequence[str], row: int, column: str) -> str:
    where = f"column {column!r} has the label {label!r} in row {row}"
    if get_close_matches(part.casefold(), [OBSERVATIONAL], cutoff=0.7):
        return f"{where}; did you mean {OBSERVATIONAL!r}?"
    return (
        f"{where}: {unknown_action(part, list(names))}; in observational rows the label must be "
        f"empty or {OBSERVATIONAL!r}"
    )
