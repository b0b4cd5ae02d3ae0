"""Missing cells: counts by column and regime, and the remedies that a user may choose."""

import shlex
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_intgen.errors import PACKAGE, DataError, DataWarning
from bayes_intgen.identification.regimes import Mask, in_regime_order, mask_label, masks_of
from bayes_intgen.text.messages import first_few, hint, option, quoted

# Treatment of missing cells: an error, rows left out, or a level of a text covariate. A mapping has
# treatments by column, and under "" that of the others.
Treatment = Literal["error", "drop", "level"]
Missing = Treatment | Mapping[str, Treatment]

# Level of the missing cells of a text covariate.
MISSING_LEVEL = "missing"
# Maximum number of columns that an error describes.
MAX_COLUMNS_SHOWN = 6

Counts = dict[Mask, int]


@dataclass(frozen=True)
class MissingCells:
    """Counts of missing cells, and of the rows that contain them.

    Attributes
    ----------
    cells : dict from column to dict from mask to int
        Missing cells of each column that has any, by regime.
    first : dict from column to int
        Row of the first one.
    rows : dict from mask to int
        Rows with at least one missing cell, by regime.
    """

    cells: dict[str, Counts] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    rows: Counts = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        missing: Mapping[str, NDArray[np.bool_]],
        intervened: NDArray[np.bool_],
        first_row: int = 0,
    ) -> Self:
        """Count missing cells.

        Parameters
        ----------
        missing : mapping from column to ndarray of bool, shape (n,)
            True where a cell is missing, in columns that have any.
        intervened : ndarray of bool, shape (n, K)
        first_row : int
            Number of the first row.

        Examples
        --------
        >>> absent = {"age": np.array([True, False, True])}
        >>> MissingCells.of(absent, np.array([[False], [True], [True]])).rows
        {(False,): 1, (True,): 1}
        """
        if not missing:
            return cls()
        return cls(
            {name: counts_of_masks(intervened[cells]) for name, cells in missing.items()},
            {name: first_row + int(cells.argmax()) for name, cells in missing.items()},
            counts_of_masks(intervened[np.any([*missing.values()], axis=0)]),
        )

    def merge(self, other: Self) -> Self:
        """Combine with the counts of rows that follow these."""
        return type(self)(
            {
                name: summed(self.cells.get(name, {}), other.cells.get(name, {}))
                for name in dict.fromkeys([*self.cells, *other.cells])
            },
            {**other.first, **self.first},
            summed(self.rows, other.rows),
        )

    @property
    def total(self) -> int:
        """Number of rows with missing cells."""
        return sum(self.rows.values())

    def refuse(
        self, actions: Sequence[str], missing: Missing, level_columns: Sequence[str] = ()
    ) -> None:
        """Raise DataError if there are missing cells in columns whose rows may not be left out.

        Parameters
        ----------
        actions : sequence of str
        missing : Missing
            The user's choice.
        level_columns : sequence of str
            Covariates whose missing cells could be a level.
        """
        refused = [name for name in self.cells if treatment_of(missing, name) != "drop"]
        if not refused:
            return
        shown = [
            f"column {name!r} has {_numbered(sum(self.cells[name].values()), 'missing cell')} "
            f"({', '.join(_counted(actions, self.cells[name]))}), "
            f"the first in row {self.first[name]}"
            for name in refused[:MAX_COLUMNS_SHOWN]
        ]
        if more := len(refused) - len(shown):
            shown += [f"missing cells in {_numbered(more, 'more column')}"]
        levels: dict[str, Treatment] = {n: "level" for n in refused if n in level_columns}
        others: dict[str, Treatment] = {} if {*levels} == {*self.cells} else {"": "drop"}
        or_level = f", or make those of text a level with {_spelled({**others, **levels})}"
        raise DataError(
            f"{'; '.join(shown)}. Fill them in, or leave out the {_numbered(self.total, 'row')} "
            f"with missing cells: {_spelled({'': 'drop'})}{or_level if levels else ''}"
        )

    def refuse_all(self, complete: int) -> None:
        """Raise DataError if there are no ``complete`` rows."""
        if not complete:
            of_rows = f"no row without missing cells; all {self.total} have some"
            raise DataError(f"the source holds {of_rows if self.total else 'no rows'}")

    def warn(self, actions: Sequence[str], rows: int) -> None:
        """Warn of the rows that were left out of ``rows`` rows, if any.

        Warns
        -----
        DataWarning
        """
        if self.rows:
            counts = first_few(_counted(actions, self.rows))
            warnings.warn(
                f"{self.total} of {rows} rows have missing cells and are left out ({counts}): fill "
                "them in if they are missing for a reason related to the outcome",
                DataWarning,
                skip_file_prefixes=(PACKAGE,),
            )


def _spelled(missing: Mapping[str, Treatment]) -> str:
    """Treatments in the interface in use."""
    if [*missing] == [""]:
        return option("missing", missing[""])
    return option("missing", repr(dict(missing)), command=shlex.join(words_of_missing(missing)))


def words_of_missing(missing: Mapping[str, Treatment]) -> list[str]:
    """Option of the command line with treatments by column; empty without any.

    Examples
    --------
    >>> words_of_missing({"": "drop", "holiday": "level"})
    ['--missing', 'drop,holiday=level']
    """
    parts = [f"{name}={own}" if name else own for name, own in missing.items()]
    return ["--missing", ",".join(parts)] if parts else []


def _counted(actions: Sequence[str], counts: Mapping[Mask, int]) -> list[str]:
    return [f"{mask_label(actions, mask)} {count}" for mask, count in counts.items()]


def dropped_in_words(actions: Sequence[str], dropped: Mapping[Mask, int]) -> list[str]:
    """One sentence on rows that were left out because of missing cells, if there are any.

    Examples
    --------
    >>> dropped_in_words(["red"], {(False,): 2, (True,): 1})
    ['3 rows with missing cells left out: observational 2, do(red) 1']
    """
    total = sum(dropped.values())
    counts = ", ".join(_counted(actions, dropped))
    return [f"{_numbered(total, 'row')} with missing cells left out: {counts}"] if total else []


def _numbered(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def treatment_of(missing: Missing, column: str) -> Treatment:
    """Treatment of the missing cells of a column."""
    return missing if isinstance(missing, str) else missing.get(column, missing.get("", "error"))


def check_missing(missing: Missing, columns: Sequence[str], covariates: Sequence[str]) -> None:
    """Raise DataError unless ``missing`` is a treatment, or maps columns to treatments."""
    each = {"": missing} if isinstance(missing, str) else missing
    kinds = get_args(Treatment)
    if not isinstance(each, Mapping) or not all(own in kinds for own in each.values()):
        raise DataError(
            f"missing must be {', '.join(map(repr, kinds))}, or map columns to these, not "
            f"{missing!r}"
        )
    for name in filter(None, each):
        if name not in columns:
            raise DataError(f"missing: unknown column {name!r}; {hint(name, columns)} columns are "
                            f"{quoted(columns)}")  # fmt: skip
        if each[name] == "level" and name not in covariates:
            raise DataError(
                f"missing: only the cells of covariates can be a level, and {name!r} is not one"
            )


def missing_in(values: object) -> NDArray[np.bool_]:
    """Whether each cell of an array is masked, None, NaN or NaT, in the shape of the array.

    Examples
    --------
    >>> missing_in(np.array(["a", None], dtype=object)), missing_in([1.0, float("nan")])
    (array([False,  True]), array([False,  True]))
    """
    array = np.ma.asanyarray(values)
    return np.asarray(np.ma.getmaskarray(array) | pd.isna(array.data))


def counts_of_masks(intervened: NDArray[np.bool_]) -> Counts:
    """Number of rows per mask, fewest interventions first.

    Examples
    --------
    >>> counts_of_masks(np.array([[True], [False], [True]]))
    {(False,): 1, (True,): 2}
    """
    masks, which = masks_of(intervened)
    return in_regime_order(dict(zip(masks, np.bincount(which).tolist(), strict=True)))


def summed(one: Mapping[Mask, int], other: Mapping[Mask, int]) -> Counts:
    """Number of rows per mask in two sets of rows together."""
    return in_regime_order({m: one.get(m, 0) + other.get(m, 0) for m in {**one, **other}})
