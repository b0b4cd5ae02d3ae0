"""Levels of an action: the names in a table, and the numbers that stand for them in arrays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import compress
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.errors import BayesIntgenError, DataError

Label = str | bool | float

# Number of levels that a message lists.
SHOWN = 8
# Number of distinct values up to which a numeric action is better modelled as levels.
MAX_DISTINCT = 6


@dataclass(frozen=True)
class Categories:
    """The levels of one action.

    Attributes
    ----------
    labels : tuple of str, bool or float
        The levels as the user's table has them.
    codes : tuple of float
        The numbers that stand for them in arrays of actions, rising. Where the labels are
        numbers in rising order, these are the labels themselves.
    ordered : bool
        Whether the order of the levels means something. Two levels are always ordered.

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
        """Levels in the given order, with codes 0, 1, ... unless they are rising numbers.

        Examples
        --------
        >>> Categories.of_labels(["off", "on"], ordered=False)
        Categories(labels=('off', 'on'), codes=(0.0, 1.0), ordered=True)
        """
        ordered = ordered or len(labels) == 2
        if _are_numbers(labels):
            rising = sorted(float(label) for label in labels)
            if not ordered or list(labels) == rising:
                return cls(tuple(rising), tuple(rising), ordered)
        return cls(tuple(labels), tuple(float(code) for code in range(len(labels))), ordered)

    @classmethod
    def of_numbers(cls, values: Sequence[float]) -> Self:
        """Levels of a numeric action: the numbers stand for themselves."""
        rising = tuple(sorted(float(value) for value in values))
        return cls(rising, rising, True)

    @property
    def numeric(self) -> bool:
        """Whether the codes are the labels, so that numbers between two levels have a meaning."""
        return _are_numbers(self.labels) and self.labels == self.codes

    def encode(
        self,
        cells: Iterable[Any],
        name: str,
        error: type[BayesIntgenError] = DataError,
        *,
        first_row: int = 0,
        between: bool = False,
    ) -> Array:
        """Codes of cells that hold labels, shape (n,).

        Parameters
        ----------
        cells : iterable
            Labels. Numbers and booleans may also come as text, as on a command line.
        name : str
            The action, for messages.
        error : exception class
            What is raised.
        first_row : int
            Number of the first cell's row, for messages.
        between : bool
            Whether other finite numbers are returned as they are, where the levels are ordered
            numbers. NaN never is a level.

        Raises
        ------
        BayesIntgenError
            Of class ``error``, where a cell is no level; it names the level, its row and the
            known levels.

        Examples
        --------
        >>> dose = Categories.of_labels(["low", "mid", "high"], ordered=True)
        >>> dose.encode(["high", "low"], "dose")
        array([2., 0.])
        """
        if self.numeric and isinstance(cells, np.ndarray) and cells.dtype.kind in "iuf":
            numbers = np.asarray(cells, dtype=np.float64)
            if self.covers(numbers).all():
                return numbers
        known = dict(zip(self.labels, self.codes, strict=True))
        found: dict[Any, float] = {}
        out = []
        for row, cell in enumerate(cells):
            # True equals 1 and 1.0, but is looked up as what it is.
            key = (type(cell), cell) if _is_hashable(cell) else None
            code = None if key is None else found.get(key)
            if code is None:
                code = self._code_of(cell, known, between)
                if code is None:
                    raise error(self._refusal(cell, name, first_row + row))
                if key is not None:
                    found[key] = code
            out.append(code)
        return np.array(out, dtype=np.float64)

    def decode(self, codes: Array) -> NDArray[Any]:
        """Labels of codes, an array of text, booleans or numbers.

        Numbers between the levels of a numeric action are returned as they are.

        Raises
        ------
        DataError
            Where a code stands for no level, unless the labels are numbers.

        Examples
        --------
        >>> Categories.of_labels(["off", "on"], ordered=True).decode(np.array([1.0, 0.0]))
        array(['on', 'off'], dtype='<U3')
        """
        values = np.asarray(codes, dtype=np.float64)
        if self.numeric:
            return values
        if not self.covers(values).all():
            strange = values[~self.covers(values)][0]
            raise DataError(f"{strange:g} stands for no level; the levels are {self.spelled()}")
        return np.asarray(self._label_array()[np.searchsorted(self.codes, values)])

    def nearest(self, values: Array) -> Array:
        """The codes that are nearest to some values, the lower one of two.

        Examples
        --------
        >>> Categories.of_numbers([0, 1]).nearest(np.array([0.4, 0.5, 7.0]))
        array([0., 0., 1.])
        """
        codes = np.array(self.codes)
        gaps = np.abs(np.asarray(values, dtype=np.float64)[..., None] - codes)
        return np.asarray(codes[gaps.argmin(axis=-1)])

    def covers(self, values: Array) -> NDArray[np.bool_]:
        """Whether each value is exactly the code of a level.

        Examples
        --------
        >>> Categories.of_numbers([0, 1]).covers(np.array([0.0, 0.5]))
        array([ True, False])
        """
        return np.isin(values, self.codes)

    def subset(self, values: Array) -> "Categories":
        """The levels that occur among some values.

        Examples
        --------
        >>> Categories.of_labels(["low", "mid", "high"], True).subset(np.array([2.0, 0.0])).labels
        ('low', 'high')
        """
        occurring = np.isin(self.codes, values).tolist()
        return Categories(
            tuple(compress(self.labels, occurring)),
            tuple(compress(self.codes, occurring)),
            self.ordered,
        )

    def spelled(self) -> str:
        """The labels in a list for messages.

        Examples
        --------
        >>> Categories.of_labels(["off", "on"], ordered=True).spelled()
        "'off', 'on'"
        """
        shown = [spelled_label(label) for label in self.labels[:SHOWN]]
        more = len(self.labels) - len(shown)
        return ", ".join(shown) + (f" and {more} more" if more else "")

    def _label_array(self) -> NDArray[Any]:
        if len({type(label) for label in self.labels}) > 1:
            # NumPy would turn a mixture of text and numbers into text.
            mixed = np.empty(len(self.labels), dtype=object)
            mixed[:] = self.labels
            return mixed
        return np.array(self.labels)

    def _code_of(self, cell: Any, known: dict[Label, float], between: bool) -> float | None:
        cell = cell.item() if isinstance(cell, np.generic) else cell
        if _are_numbers(known) and isinstance(cell, str):
            try:
                cell = float(cell)
            except ValueError:
                return None
        if all(isinstance(label, bool) for label in known) and isinstance(cell, str):
            cell = {"true": True, "false": False}.get(cell.strip().lower(), cell)
        if not _is_hashable(cell):
            return None
        if cell in known:
            return known[cell]
        allowed = between and self.ordered and self.numeric
        if allowed and isinstance(cell, int | float) and np.isfinite(cell):
            return float(cell)
        return None

    def _refusal(self, cell: Any, name: str, row: int) -> str:
        cell = cell.item() if isinstance(cell, np.generic) else cell
        names = [label for label in self.labels if isinstance(label, str)]
        close = get_close_matches(cell, names, n=1) if isinstance(cell, str) else []
        hint = f"did you mean {close[0]!r}? The" if close else "the"
        return (
            f"{name!r} has no level {spelled_label(cell)} (row {row}); {hint} levels are "
            f"{self.spelled()}"
        )


def spelled_label(cell: Any) -> str:
    """A level in a message: text in quotes, numbers without needless digits.

    Examples
    --------
    >>> spelled_label("on"), spelled_label(2.0), spelled_label(True)
    ("'on'", '2', 'True')
    """
    is_number = isinstance(cell, int | float) and not isinstance(cell, bool)
    return f"{cell:g}" if is_number else repr(cell)


def short_label(label: Any) -> str:
    """A value or level in pictures and tables: text as it is, numbers to four figures.

    Examples
    --------
    >>> short_label("on"), short_label(1.23456), short_label(True)
    ('on', '1.235', 'True')
    """
    return str(label) if isinstance(label, str | bool) else f"{label:.4g}"


def two_valued(values: Array) -> Categories | None:
    """The levels of a numeric column with exactly two distinct values; None of any other.

    Examples
    --------
    >>> two_valued(np.array([0.0, 1.0, 1.0])).labels
    (0.0, 1.0)
    >>> two_valued(np.array([0.0, 1.0, 2.0])) is None
    True
    """
    few = at_most_three(values)
    return Categories.of_numbers(few) if len(few) == 2 and np.isfinite(few).all() else None


def at_most_three(values: Array) -> tuple[float, ...]:
    """The distinct values of a column where these are one or two, else three of them.

    Examples
    --------
    >>> at_most_three(np.array([0.0, 1.0, 5.0, 2.0]))
    (0.0, 1.0, 5.0)
    """
    if not len(values):
        return ()
    low, high = float(values.min()), float(values.max())
    other = (values != low) & (values != high)
    return tuple(sorted({low, high, *(float(v) for v in values[other][:1])}))


def centres(medians: Sequence[float], categories: Sequence[Categories | None]) -> list[float]:
    """Medians of actions, of those with levels the level that is nearest.

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
    """Points with labels in place of codes, shape (M, K).

    An array of objects where some labels are text or booleans; the same numbers otherwise.

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


def _is_hashable(cell: Any) -> bool:
    try:
        hash(cell)
    except TypeError:
        return False
    return True
