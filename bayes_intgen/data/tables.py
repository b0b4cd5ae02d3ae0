"""Columns of data frames of any kind as arrays, through narwhals."""

from typing import Any

import narwhals as nw
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen.data.observed_levels import ColumnLevels, as_label
from bayes_intgen.errors import BayesIntgenError, DataError

# What a message says that a table may be.
KINDS = "a table (pandas, Polars, Arrow, DuckDB, or an xarray Dataset of one dimension)"


def as_table(frame: Any) -> nw.DataFrame[Any] | None:
    """A table of any kind, lazy ones computed; None for what is none.

    Raises DataError where two columns have one name, a Dataset has several dimensions, a query
    fails, or a library that it takes is missing.
    """
    if isinstance(frame, xr.Dataset):
        frame = _of_dataset(frame)
    try:
        table = _read(frame)
        return table.collect() if isinstance(table, nw.LazyFrame) else table
    except nw.exceptions.DuplicateError as error:
        raise DataError(f"the frame has two columns of the same name ({error})") from error
    except ModuleNotFoundError as error:
        raise DataError(
            f"reading a {type(frame).__name__} needs {error.name}: pip install {error.name}"
        ) from error
    except Exception as error:  # whatever the library of a lazy table raises
        raise DataError(f"the {type(frame).__name__} cannot be read ({error})") from error


def _read(frame: Any) -> nw.DataFrame[Any] | nw.LazyFrame[Any] | None:
    # Arrow's record batches, and streams of them, are no tables of any library that narwhals
    # knows.
    if hasattr(frame, "__arrow_c_array__"):
        return nw.from_arrow(frame, backend="pyarrow")
    try:
        table: nw.DataFrame[Any] | nw.LazyFrame[Any] = nw.from_native(frame)
        return table
    except TypeError:
        # Single columns are streams too, of which no table comes.
        if not hasattr(frame, "__arrow_c_stream__"):
            return None
    try:
        return nw.from_arrow(frame, backend="pyarrow")
    except (TypeError, ValueError):
        return None


def _of_dataset(dataset: xr.Dataset) -> Any:
    """The variables and coordinates along the dimension of rows as a pandas frame."""
    # xarray depends on pandas itself.
    import pandas as pd

    if len(dataset.sizes) != 1:
        raise DataError(
            "a Dataset must have one dimension, that of rows; this one has "
            f"{', '.join(map(repr, dataset.sizes)) or 'none'}"
        )
    along = tuple(dataset.sizes)
    return pd.DataFrame(
        {name: of.to_numpy() for name, of in dataset.variables.items() if of.dims == along}
    )


def numeric_column(
    table: nw.DataFrame[Any], name: str, error: type[BayesIntgenError]
) -> NDArray[np.float64]:
    """A column as float64, missing cells as NaN; raises ``error`` where it holds no numbers."""
    series = table[name]
    if not (series.dtype.is_numeric() or series.dtype == nw.Boolean):
        raise error(f"column {name!r} holds {series.dtype}, not numbers")
    try:
        cells: Any = series.cast(nw.Float64).fill_null(float("nan")).to_numpy()
    except Exception as refusal:  # Arrow's, of integers that no float64 holds to the last digit
        try:
            cells = [float("nan") if cell is None else float(cell) for cell in series.to_list()]
        except (TypeError, ValueError, OverflowError):
            raise error(f"column {name!r} cannot be read as numbers ({refusal})") from refusal
    return np.asarray(cells, dtype=np.float64)


def has_levels(table: nw.DataFrame[Any], name: str) -> bool:
    """Whether a column holds text, booleans or categories, not numbers."""
    series = table[name]
    if series.dtype in (nw.String, nw.Boolean, nw.Categorical, nw.Enum):
        return True
    # How pandas holds text or booleans of which some are missing.
    return series.dtype == nw.Object and all(
        isinstance(cell, str | bool) for cell in series.drop_nulls().to_list()
    )


def label_cells(
    table: nw.DataFrame[Any], name: str, error: type[BayesIntgenError], first_row: int = 0
) -> list[Any]:
    """Cells of a column of levels; raises ``error`` where one is missing."""
    series = table[name]
    missing = np.flatnonzero(series.is_null().to_numpy())
    if missing.size:
        raise error(
            f"column {name!r} has {missing.size} missing cells, the first in row "
            f"{first_row + missing[0]}; drop those rows, or give the cells a level of their own"
        )
    return series.to_list()


def levels_of_column(table: nw.DataFrame[Any], name: str, first_row: int = 0) -> ColumnLevels:
    """Levels of a column for which :func:`has_levels` is true.

    Raises
    ------
    DataError
        Where a cell is missing, or a level is neither text, a boolean nor a number.
    """
    series = table[name]
    if series.dtype == nw.Boolean:
        # A level that does not occur in a batch may do so in the next.
        return ColumnLevels((False, True), frozenset([False, True]), True, True)
    distinct = dict.fromkeys(label_cells(table, name, DataError, first_row))
    declared = _declared(series)
    order, ordered = (list(distinct), False) if declared is None else declared
    labels = {cell: as_label(cell) for cell in [*order, *distinct]}
    for cell, label in labels.items():
        if label is None:
            raise DataError(
                f"column {name!r} has the level {cell!r}; levels must be text, booleans or numbers"
            )
    known = {cell: label for cell, label in labels.items() if label is not None}
    return ColumnLevels(
        tuple(dict.fromkeys(known[cell] for cell in order)),
        frozenset(known[cell] for cell in distinct),
        ordered,
        declared is not None,
    )


def _declared(series: nw.Series[Any]) -> tuple[list[Any], bool] | None:
    """Categories of a column in their order, and whether that means something; None of text."""
    native = series.to_native()
    if nw.dependencies.is_pandas_like_series(native) and hasattr(native, "cat"):
        return list(native.cat.categories), bool(native.cat.ordered)
    if isinstance(series.dtype, nw.Enum):
        return list(series.dtype.categories), True
    if series.dtype != nw.Categorical:
        return None
    if nw.dependencies.is_pyarrow_chunked_array(native):
        chunks = native.unify_dictionaries().chunks
        known = chunks[0].dictionary.to_pylist() if chunks else []
        return known, bool(native.type.ordered)
    # Polars numbers categories in the order in which the process met them.
    return sorted(dict.fromkeys(series.drop_nulls().to_list())), False
