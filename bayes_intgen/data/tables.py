"""Conversion of tables of any kind, and of their columns, through narwhals."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen.data.cells import remedy_of_text
from bayes_intgen.data.covariates import MICROSECONDS_PER_DAY, days_of
from bayes_intgen.data.levels import ColumnLevels, as_label
from bayes_intgen.data.missing import MISSING_LEVEL, missing_in
from bayes_intgen.errors import BayesIntgenError, DataError
from bayes_intgen.text.messages import quoted

# Kinds of tables, for messages.
KINDS = "a table (pandas, Polars, Arrow, DuckDB, or an xarray Dataset of one dimension)"


def as_table(frame: Any, wanted: Sequence[str] = ()) -> "nw.DataFrame[Any] | None":
    """Convert a table of any kind, computing lazy ones; None if the object is not a table.

    Of lazy tables only the columns wanted are computed, if there are any and all are present, so
    that errors can name the others.

    Raises
    ------
    DataError
        If two columns have the same name, a Dataset has several dimensions, a query fails, or a
        library is missing.
    """
    if isinstance(frame, np.ndarray | list | tuple | dict):
        # narwhals need not be imported to see that.
        return None
    if isinstance(frame, xr.Dataset):
        frame = _dataset_as_frame(frame)
    try:
        table = _as_narwhals(frame)
        if isinstance(table, nw.LazyFrame):
            some = wanted and {*wanted} <= {*table.collect_schema().names()}
            table = (table.select(wanted) if some else table).collect()
        return table if table is None else _widened(table)
    except nw.exceptions.DuplicateError as error:
        raise DataError(f"the frame has two columns of the same name ({error})") from error
    except ModuleNotFoundError as error:
        raise DataError(
            f"reading a {type(frame).__name__} needs {error.name}: pip install {error.name}"
        ) from error
    except Exception as error:  # any error of the library of a lazy table
        raise DataError(f"the {type(frame).__name__} cannot be read ({error})") from error


def to_frame(columns: Mapping[str, list[Any]], kind: Any) -> Any:
    """Build a table of a library, such as "pandas", "polars" or "pyarrow", from columns of cells.

    Examples
    --------
    >>> to_frame({"tv": [1.0, 2.0]}, "pandas").shape
    (2, 1)
    """
    return nw.from_dict(columns, backend=kind).to_native()


def array_of(values: Any) -> NDArray[Any]:
    """Convert a list or an array of cells, which may be masked."""
    # NumPy would convert a list of text and NaN to text.
    return np.ma.asanyarray(values, dtype=object if isinstance(values, list | tuple) else None)


def column_of(values: Any) -> "pd.Series[Any]":
    """Column of cells, shape (n,), missing where they are masked, of the type that all have."""
    cells, declared = array_of(values), _declared_type(values)
    if not cells.size:
        return pd.Series(dtype=float)
    absent = missing_in(cells)
    # A column of None alone has no type.
    absent = np.ma.getmaskarray(cells) if absent.all() else absent
    column = pd.Series(np.ma.getdata(cells)).mask(absent).infer_objects()
    if declared is not None:
        return column.astype(declared)
    # Decimals, and whole numbers that need more than 64 bits.
    if column.dtype == object and pd.api.types.infer_dtype(column) in ("decimal", "integer"):
        with suppress(OverflowError):
            return column.astype(float)
    return column


def _declared_type(values: Any) -> pd.CategoricalDtype | None:
    """Categories that a column of any kind declares, with their order; None if it has none."""
    if isinstance(values, pd.Categorical | pd.CategoricalIndex):
        values = pd.Series(values)
    series = nw.from_native(values, series_only=True, pass_through=True)
    declared = _declared(series) if isinstance(series, nw.Series) else None
    return None if declared is None else pd.CategoricalDtype(*declared)


def _as_narwhals(frame: Any) -> "nw.DataFrame[Any] | nw.LazyFrame[Any] | None":
    # narwhals does not accept Arrow record batches, or streams of them, as native tables.
    if hasattr(frame, "__arrow_c_array__"):
        return nw.from_arrow(frame, backend="pyarrow")
    try:
        table: nw.DataFrame[Any] | nw.LazyFrame[Any] = nw.from_native(frame)
        return table
    except TypeError:
        # Single columns are streams too, but not of tables.
        if not hasattr(frame, "__arrow_c_stream__"):
            return None
    try:
        return nw.from_arrow(frame, backend="pyarrow")
    except (TypeError, ValueError):
        return None


def _widened(table: "nw.DataFrame[Any]") -> "nw.DataFrame[Any]":
    """Cast columns of types for which Arrow has few functions."""
    if not table.implementation.is_pyarrow():
        return table
    import pyarrow as pa

    # Polars writes text as views.
    wide = {pa.string_view(): pa.large_string(), pa.float16(): pa.float32()}
    rows = table.to_native()
    fields = [field.with_type(wide.get(field.type, field.type)) for field in rows.schema]
    return nw.from_native(rows.cast(pa.schema(fields, rows.schema.metadata)), eager_only=True)


def _dataset_as_frame(dataset: xr.Dataset) -> Any:
    """Convert variables and coordinates along the dimension of rows to a pandas frame."""
    if len(dataset.sizes) != 1:
        raise DataError(
            "a Dataset must have one dimension, that of rows; this one has "
            f"{quoted(list(dataset.sizes)) or 'none'}"
        )
    return dataset.to_dataframe().reset_index()


def numeric_column(
    table: "nw.DataFrame[Any]", name: str, error: type[BayesIntgenError], first_row: int = 0
) -> NDArray[np.float64]:
    """Convert a column to float64, missing cells to NaN; raises ``error`` if it is not numeric."""
    series = table.get_column(name)
    if not len(series):
        # All cells of a file may be missing, which has no type then.
        return np.empty(0)
    if series.dtype in (nw.Object, nw.Unknown):
        # Decimals of databases, numbers beside None, and sparse columns of pandas.
        column = column_of(pd.Series(series.to_list(), dtype=object).to_numpy())
        if column.dtype.kind in "iufb" and column.notna().any():
            return np.asarray(column, dtype=np.float64)
    if not (series.dtype.is_numeric() or series.dtype == nw.Boolean):
        raise error(f"column {name!r} holds {_not_numbers(series, first_row)}")
    if series.dtype == nw.Float64 and not series.null_count():
        return np.asarray(series.to_numpy(), dtype=np.float64)
    try:
        # Arrow rounds decimals twice, so that 0.35 is off in the last digit.
        exact = series.cast(nw.String) if series.dtype == nw.Decimal else series
        cells: Any = exact.cast(nw.Float64).fill_null(float("nan")).to_numpy()
    except Exception as refusal:  # Arrow refuses integers that float64 does not represent exactly
        try:
            cells = np.array(series.to_list(), dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            raise error(f"column {name!r} cannot be read as numbers ({refusal})") from refusal
    values = np.asarray(cells, dtype=np.float64)
    return _as_written(values) if series.dtype == nw.Float32 else values


def _as_written(single: NDArray[np.float64]) -> NDArray[np.float64]:
    """Decimals of up to seven digits that single floats stand for, such as 0.1, where there are."""
    with np.errstate(all="ignore"):
        digits = 6 - np.floor(np.log10(np.abs(single)))
        # Powers of ten are exact, their inverses are not.
        up, down = 10.0 ** np.maximum(digits, 0), 10.0 ** np.maximum(-digits, 0)
        short = np.round(single * up / down) / up * down
        return np.where(short.astype(np.float32) == single.astype(np.float32), short, single)


def _not_numbers(series: "nw.Series[Any]", first_row: int) -> str:
    """Describe a column that is not numeric, with a cell and the remedy."""
    name = series.name
    missing = missing_cells(series)
    cells = [cell for cell, absent in zip(series.to_list(), missing, strict=True) if not absent]
    if not cells:
        return "no cells, only missing ones"
    such = f"such as {str(cells[0])!r} in row {first_row + int(np.argmin(missing))}"
    if series.dtype.is_temporal():
        return f"dates or durations, {such}; convert them to numbers of days"
    if not all(isinstance(cell, str) for cell in cells):
        # narwhals has no name for some types of NumPy, such as complex numbers.
        known = str(series.dtype) if series.dtype != nw.Unknown else type(cells[0]).__name__
        kind = "categories" if is_categorical(series) else known
        return f"{kind}, {such}, not numbers; make all numbers, dates or text"
    return f"text {such}{remedy_of_text(name, cells) or ', not numbers'}"


def is_categorical(series: "nw.Series[Any]") -> bool:
    """Whether a column holds categories."""
    return series.dtype in (nw.Categorical, nw.Enum)


def missing_cells(series: "nw.Series[Any]") -> NDArray[np.bool_]:
    """Whether each cell of a column is null, NaN or text without letters, shape (n,)."""
    null = np.asarray(series.is_null().to_numpy(), dtype=bool)
    if series.dtype == nw.String:
        blank = (series.str.strip_chars() == "").fill_null(False)
        return np.asarray(null | np.asarray(blank.to_numpy(), dtype=bool))
    if series.dtype.is_float():
        return np.asarray(null | np.asarray(series.is_nan().fill_null(False).to_numpy(), bool))
    if is_categorical(series):
        for blank in [own for own in series.unique().to_list() if str(own).strip() == ""]:
            null = null | np.asarray((series == blank).fill_null(False).to_numpy(), dtype=bool)
    if series.dtype == nw.Object:
        cells = pd.Series(series.to_list(), dtype=object).to_numpy()
        blanks = np.array([isinstance(cell, str) and not cell.strip() for cell in cells], bool)
        return np.asarray(null | missing_in(cells) | blanks)
    return null


def has_levels(table: "nw.DataFrame[Any]", name: str) -> bool:
    """Whether a column holds text, booleans or categories instead of numbers."""
    series = table[name]
    if series.dtype in (nw.String, nw.Boolean, nw.Categorical, nw.Enum):
        return True
    # pandas stores text or booleans with missing cells as objects.
    return series.dtype == nw.Object and all(
        isinstance(cell, str | bool) for cell in series.drop_nulls().to_list()
    )


def label_cells(table: "nw.DataFrame[Any]", name: str, error: type[BayesIntgenError]) -> list[Any]:
    """Cells of a column of levels; raises ``error`` if one is missing."""
    series = table[name]
    missing = np.flatnonzero(missing_cells(series))
    if missing.size:
        raise error(
            f"column {name!r} has {missing.size} missing cells, the first in row {missing[0]}; "
            "drop those rows, or assign the cells a separate level"
        )
    return series.to_list()


class DistinctCells(NamedTuple):
    """Distinct cells of a column, so that each is read once.

    Attributes
    ----------
    cells : list
        The distinct cells in the order of their first rows, and then the missing one, if any.
    which : ndarray of int, shape (n,)
        Position of the cell of each row.
    """

    cells: list[Any]
    which: NDArray[np.intp]

    @property
    def first(self) -> NDArray[np.intp]:
        """First row of each."""
        first = np.empty(len(self.cells), dtype=np.intp)
        # What is written last stays.
        first[self.which[::-1]] = np.arange(len(self.which))[::-1]
        return first


def distinct_cells(series: "nw.Series[Any]", missing: Any = MISSING_LEVEL) -> DistinctCells:
    """Collect the distinct cells of a column, those that are missing as ``missing``.

    Examples
    --------
    >>> import pandas as pd
    >>> regimes = pd.Series(["tv", None, "", "radio", "tv"])
    >>> cells, which = distinct_cells(nw.from_native(regimes, series_only=True), None)
    >>> cells, which.tolist()
    (['tv', 'radio', None], [0, 2, 2, 1, 0])
    """
    is_text = series.dtype == nw.String and series.null_count() < len(series)
    if is_text and not series.implementation.is_pandas_like():
        # Arrow and Polars compare text without making objects of Python.
        cells = series.drop_nulls().unique(maintain_order=True).to_list()
        codes = series.replace_strict(cells, [*range(len(cells))], return_dtype=nw.Int64)
        which = np.asarray(codes.fill_null(-1).to_numpy()).astype(np.intp)
    else:
        objects = pd.Series(series.to_list(), dtype=object).to_numpy()
        if series.dtype == nw.Object or series.dtype.is_nested():
            # Lists cannot be compared, and True would equal 1.
            present = ~missing_in(objects)
            which, distinct = np.where(present, present.cumsum() - 1, -1), objects[present]
        else:
            which, distinct = pd.factorize(objects)
        cells = distinct.tolist()
    blank = [isinstance(cell, str) and not cell.strip() for cell in cells]
    # Absent cells have the code -1, the last place.
    kept = np.flatnonzero(np.logical_not(blank))
    place = np.full(len(cells) + 1, len(kept))
    place[kept] = np.arange(len(kept))
    which = place[which]
    absent = [missing] * bool((which == len(kept)).any())
    return DistinctCells([*(cells[i] for i in kept), *absent], which)


def days_of_column(
    series: "nw.Series[Any]", error: type[BayesIntgenError], utc: bool = False
) -> NDArray[np.float64]:
    """Days since 1970 of the cells of a column, none missing, as :func:`days_of`."""
    if series.dtype in (nw.Date, nw.Datetime):
        if getattr(series.dtype, "time_zone", None):
            zoned = series.dt.convert_time_zone("UTC") if utc else series
            series = zoned.dt.replace_time_zone(None)
        moments = np.asarray(series.to_numpy()).astype("datetime64[us]")
        return np.asarray(moments.astype(np.int64) / MICROSECONDS_PER_DAY)
    cells, which = distinct_cells(series)
    if len({getattr(cell, "tzinfo", None) for cell in cells}) > 1:
        raise error(
            f"column {series.name!r} holds times of several zones; convert them to one, such as by "
            "pd.to_datetime(..., utc=True)"
        )
    return np.array([days_of(cell, series.name, error, utc) for cell in cells], np.float64)[which]


def levels_of_column(
    table: "nw.DataFrame[Any]", name: str, numbers: NDArray[np.int_]
) -> ColumnLevels:
    """Collect the levels of a column for which :func:`has_levels` is true.

    Missing cells are a level of their own.

    Parameters
    ----------
    table : narwhals DataFrame
    name : str
    numbers : ndarray of int
        Numbers of the rows, for messages.

    Raises
    ------
    DataError
        If a level is neither text, a boolean nor a number.
    """
    series = table[name]
    found = distinct_cells(series)
    distinct = dict.fromkeys(found.cells)
    if series.dtype == nw.Boolean and MISSING_LEVEL not in distinct:
        # A level that does not occur in one batch may occur in the next.
        return ColumnLevels((False, True), frozenset([False, True]), True, True)
    declared = _declared(series)
    if declared is not None and MISSING_LEVEL in distinct:
        declared = [*declared[0], MISSING_LEVEL], False
    order, ordered = (list(distinct), False) if declared is None else declared
    labels = {cell: as_label(cell, name) for cell in (*order, *distinct)}
    rows = zip(found.cells, numbers[found.first].tolist(), strict=True)
    return ColumnLevels(
        tuple(dict.fromkeys(labels[cell] for cell in order)),
        frozenset(labels[cell] for cell in distinct),
        ordered,
        declared is not None,
        {cell: row for cell, row in rows if isinstance(cell, str)},
        is_categorical(series),
    )


def _declared(series: "nw.Series[Any]") -> tuple[list[Any], bool] | None:
    """Categories of a column in order, and whether the order is meaningful; None without."""
    native = series.to_native()
    if nw.dependencies.is_pandas_like_series(native) and hasattr(native, "cat"):
        return list(native.cat.categories), bool(native.cat.ordered)
    if isinstance(series.dtype, nw.Enum):
        return list(series.dtype.categories), True
    # Polars orders categories by their first occurrence in the process.
    if series.dtype != nw.Categorical or not nw.dependencies.is_pyarrow_chunked_array(native):
        return None
    chunks = native.unify_dictionaries().chunks
    categories = chunks[0].dictionary.to_pylist() if chunks else []
    return categories, bool(native.type.ordered)
