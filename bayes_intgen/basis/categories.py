"""Levels of an action: labels in tables, and their numeric codes in arrays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.errors import BayesIntgenError, DataError
from bayes_intgen.text.formats import shorter_number
from bayes_intgen.text.messages import first_few, hint

Label = str | bool | float

# Maximum number of levels that a message lists.
MAX_LEVELS_SHOWN = 8
# Number of cells whose values are counted before those of the whole column.
FIRST_CELLS = 1_000
# Maximum number of distinct values for which levels are recommended for a numeric action.
MAX_DISTINCT = 6


@dataclass(frozen=True)
class Categories:
    """Levels of one action.

    Attributes
    ----------
    labels : tuple of str, bool or float
        Labels as in the user's table.
    codes : tuple of float
        Increasing numbers that represent the levels in arrays of actions. If the labels are
        increasing numbers, the codes equal the labels.
    ordered : bool
        Whether the order of the levels is meaningful. Two levels are always ordered.

    Examples
    --------
    >>> Categories.of_numbers([0.0, 2.0])
    Categories(labels=(0.0, 2.0), codes=(0.0, 2.0), ordered=True)
    """

    labels: tuple[Label, ...]
    codes: tuple[float, ...]
    ordered: bool

    @classmethod
    def of_labels(cls, labels: Sequence[Label], ordered: bool) -> Self:
        """Build levels in a given order, with codes 0, 1, ... unless they are increasing numbers.

        Examples
        --------
        >>> Categories.of_labels(["off", "on"], ordered=False)
        Categories(labels=('off', 'on'), codes=(0.0, 1.0), ordered=True)
        >>> Categories.of_labels(["b", "a", "c"], ordered=False).ordered
        False
        >>> Categories.of_labels([1.0, 5.0, 20.0], ordered=True).codes
        (1.0, 5.0, 20.0)
        >>> Categories.of_labels([3.0, 1.0, 2.0], ordered=True).codes
        (0.0, 1.0, 2.0)
        >>> Categories.of_labels([7.0, 3.0, 5.0], ordered=False).labels
        (3.0, 5.0, 7.0)
        """
        ordered = ordered or len(labels) == 2
        if _are_numbers(labels):
            increasing = tuple(sorted(float(label) for label in labels))
            if not ordered or tuple(labels) == increasing:
                return cls(increasing, increasing, ordered)
        return cls(tuple(labels), tuple(float(code) for code in range(len(labels))), ordered)

    @classmethod
    def of_numbers(cls, values: Sequence[float]) -> Self:
        """Build levels of a numeric action, whose codes are the numbers themselves."""
        increasing = tuple(sorted(float(value) for value in values))
        return cls(increasing, increasing, True)

    @property
    def numeric(self) -> bool:
        """Whether codes equal labels, so that numbers between two levels are meaningful."""
        return _are_numbers(self.labels) and self.labels == self.codes

    def encode(
        self,
        cells: Iterable[Any],
        name: str,
        error: type[BayesIntgenError] = DataError,
        *,
        rows: Sequence[int] | NDArray[np.int_] | None = None,
        between: bool = False,
    ) -> Array:
        """Encode cells that hold labels as codes, shape (n,).

        Parameters
        ----------
        cells : iterable
            Labels. Numbers and booleans may also be text, as on a command line.
        name : str
            The action, for messages.
        error : exception class
            Class of the error raised.
        rows : sequence of int, optional
            Numbers of the cells' rows, for messages; 0, 1, ... by default.
        between : bool
            Whether to accept other finite numbers if the levels are ordered numbers.

        Raises
        ------
        BayesIntgenError
            Of class ``error``, if a cell is not a level. The message names the cell, its row and
            the levels.

        Examples
        --------
        >>> dose = Categories.of_labels(["low", "mid", "high"], ordered=True)
        >>> dose.encode(["high", "low"], "dose")
        array([2., 0.])

        Numbers and booleans may be text, but text is no number:

        >>> switch = Categories.of_labels([False, True], ordered=True)
        >>> switch.encode(["true", "False", 1, 0.0, np.True_], "x")
        array([1., 0., 1., 0., 1.])
        >>> Categories.of_numbers([0, 10]).encode(["10", "0.0"], "x")
        array([10.,  0.])
        >>> Categories.of_labels(["1", "x"], ordered=True).encode(["1"], "x")
        array([0.])

        Levels survive a round trip:

        >>> for labels in (["low", "mid", "high"], [False, True], [3.0, 1.0, 2.0], [1.0, "a"]):
        ...     levels = Categories.of_labels(labels, ordered=True)
        ...     codes = levels.encode(labels[::-1], "x")
        ...     assert levels.covers(codes).all()
        ...     assert levels.decode(codes).tolist() == labels[::-1]
        """
        if self.numeric and isinstance(cells, np.ndarray) and cells.dtype.kind in "iuf":
            numbers = np.asarray(cells, dtype=np.float64)
            if self.covers(numbers).all():
                return numbers
        known = dict(zip(self.labels, self.codes, strict=True))
        # Types are told apart, since True equals 1 and 1.0.
        code_of = lru_cache(None, typed=True)(lambda cell: self._code_of(cell, known, between))
        out = []
        for i, cell in enumerate(cells):
            try:
                code = code_of(cell)
            except TypeError:  # A list, say, has no hash.
                code = None
            if code is None:
                raise error(self._refusal(cell, name, i if rows is None else int(rows[i])))
            out.append(code)
        return np.array(out, dtype=np.float64)

    def decode(self, codes: Array) -> NDArray[Any]:
        """Decode codes to labels, an array of text, booleans or numbers.

        Numbers between the levels of a numeric action are returned unchanged.

        Raises
        ------
        DataError
            If a number is not a code and the labels are not numbers.

        Examples
        --------
        >>> Categories.of_labels(["off", "on"], ordered=True).decode(np.array([1.0, 0.0]))
        array(['on', 'off'], dtype='<U3')
        """
        values = np.asarray(codes, dtype=np.float64)
        if self.numeric:
            return values
        if not self.covers(values).all():
            unknown = values[~self.covers(values)][0]
            raise DataError(f"no level has the code {unknown:g}; the levels are {self.spelled()}")
        # NumPy would convert a mixture of text and numbers to text.
        kind = object if len({type(label) for label in self.labels}) > 1 else None
        labels = np.array(self.labels, dtype=kind)
        return np.asarray(labels[np.searchsorted(self.codes, values)])

    def nearest(self, values: Array) -> Array:
        """Round values to the nearest codes, ties to the lower one.

        Examples
        --------
        >>> Categories.of_numbers([0, 1]).nearest(np.array([0.4, 0.5, 7.0]))
        array([0., 0., 1.])
        """
        codes = np.array(self.codes)
        gaps = np.abs(np.asarray(values, dtype=np.float64)[..., None] - codes)
        return np.asarray(codes[gaps.argmin(axis=-1)])

    def covers(self, values: Array) -> NDArray[np.bool_]:
        """Test whether each value is exactly the code of a level.

        Examples
        --------
        >>> Categories.of_numbers([0, 1]).covers(np.array([0.0, 0.5]))
        array([ True, False])
        """
        return np.isin(values, self.codes)

    def spelled(self) -> str:
        """List the labels for a message.

        Examples
        --------
        >>> Categories.of_labels(["off", "on"], ordered=True).spelled()
        "'off', 'on'"
        """
        return listed(self.labels)

    def _code_of(self, cell: Any, code_of: dict[Label, float], between: bool) -> float | None:
        """Code of a cell, or None if it is not a level."""
        cell = cell.item() if isinstance(cell, np.generic) else cell
        if _are_numbers(code_of) and isinstance(cell, str):
            try:
                cell = float(cell)
            except ValueError:
                return None
        if all(isinstance(label, bool) for label in code_of) and isinstance(cell, str):
            cell = {"true": True, "false": False}.get(cell.strip().lower(), cell)
        if cell in code_of:
            return code_of[cell]
        allowed = between and self.ordered and self.numeric
        if allowed and isinstance(cell, int | float) and np.isfinite(cell):
            return float(cell)
        return None

    def _refusal(self, cell: Any, name: str, row: int) -> str:
        cell = cell.item() if isinstance(cell, np.generic) else cell
        names = [label for label in self.labels if isinstance(label, str)]
        return (
            f"{name!r} has no level {spelled_label(cell)} (row {row}); {hint(cell, names)} levels "
            f"are {self.spelled()}"
        )


def listed(labels: Sequence[Label]) -> str:
    """List labels for a message, at most eight of them."""
    return first_few(list(map(spelled_label, labels)), MAX_LEVELS_SHOWN)


def spelled_label(cell: Any) -> str:
    """Format a level for a message: text in quotes, numbers without superfluous digits.

    Examples
    --------
    >>> spelled_label("on"), spelled_label(2.0), spelled_label(True)
    ("'on'", '2', 'True')
    """
    is_number = isinstance(cell, int | float) and not isinstance(cell, bool)
    # Without commas between thousands, as it may be one of a list, and can be typed.
    return f"{cell:.12g}" if is_number else repr(cell)


def short_label(label: Any) -> str:
    """Format a value or level for plots and tables: text unchanged, numbers to four figures.

    Examples
    --------
    >>> short_label("on"), short_label(1.23456), short_label(True)
    ('on', '1.235', 'True')
    """
    return str(label) if isinstance(label, str | bool) else shorter_number(float(label))


def at_most_three(values: Array) -> tuple[float, ...]:
    """Distinct values of a column if there are one or two, otherwise three of them.

    Examples
    --------
    >>> at_most_three(np.array([0.0, 5.0, 1.0, 2.0]))
    (0.0, 1.0, 5.0)
    """
    # Most columns have many values among their first cells.
    distinct = pd.unique(values[:FIRST_CELLS])
    if len(distinct) < 3:
        distinct = pd.unique(values)
    return tuple(sorted(distinct[:3].tolist()))


def centres(medians: Sequence[float], categories: Sequence[Categories | None]) -> list[float]:
    """Medians of actions, rounded to the nearest level for actions with levels.

    Examples
    --------
    >>> centres([0.3, 0.5], [None, Categories.of_numbers([0, 1])])
    [0.3, 0.0]
    """
    return [
        float(value if levels is None else levels.nearest(np.array(value)))
        for value, levels in zip(medians, categories, strict=True)
    ]


def decoded_table(values: Array, categories: Sequence[Categories | None]) -> NDArray[Any]:
    """Decode points from codes to labels, shape (M, K).

    The result is an array of objects if some labels are text or booleans, otherwise the same
    numbers.

    Examples
    --------
    >>> drug = Categories.of_labels(["off", "on"], ordered=True)
    >>> decoded_table(np.array([[1.0, 0.5]]), [drug, None]).tolist()
    [['on', 0.5]]
    """
    if all(levels is None or levels.numeric for levels in categories):
        return values
    out = np.empty(values.shape, dtype=object)
    for k, levels in enumerate(categories):
        column = values[:, k] if levels is None else levels.decode(values[:, k])
        out[:, k] = column.tolist()
    return out


def _are_numbers(labels: Iterable[Any]) -> bool:
    return all(isinstance(label, int | float) and not isinstance(label, bool) for label in labels)
