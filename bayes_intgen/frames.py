"""Columns of data frames of any kind as arrays, through narwhals."""

from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from bayes_intgen.errors import BayesIntgenError, DataError


def as_table(frame: Any) -> nw.DataFrame[Any] | None:
    """A pandas, Polars or Arrow table, lazy ones computed; None for anything else."""
    try:
        # Arrow's record batches are no tables of any library that narwhals knows.
        batch = hasattr(frame, "__arrow_c_array__")
        table = nw.from_arrow(frame, backend="pyarrow") if batch else nw.from_native(frame)
    except TypeError:
        return None
    except nw.exceptions.DuplicateError as error:
        raise DataError(f"the frame has two columns of the same name ({error})") from error
    return table.collect() if isinstance(table, nw.LazyFrame) else table


def numeric_column(
    table: nw.DataFrame[Any], name: str, error: type[BayesIntgenError]
) -> NDArray[np.float64]:
    """A column as float64, missing cells as NaN; raises ``error`` where it holds no numbers."""
    series = table[name]
    if not (series.dtype.is_numeric() or series.dtype == nw.Boolean):
        raise error(f"column {name!r} holds {series.dtype}, not numbers")
    filled = series.cast(nw.Float64).fill_null(float("nan"))
    return np.asarray(filled.to_numpy(), dtype=np.float64)
