"""Columns of data frames of any kind as arrays, through narwhals."""

from typing import Any

import narwhals as nw
import numpy as np
import xarray as xr
from numpy.typing import NDArray

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
