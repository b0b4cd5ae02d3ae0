"""Datasets of NumPy arrays, without xarray's search for Dask arrays.

To see whether an array is one of Dask's, xarray imports Dask where it is installed: 0.45 s, half as
long as a question to a saved fit takes. It does not for variables that are marked as checked, with
indexes of their own.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from xarray.indexes import PandasIndex

from bayes_intgen.text.formats import ACTION

# As in xarray: dimensions, values, and perhaps attributes; or the values along a dimension.
type VariableLike = Any


def labelled_dataset(
    variables: Mapping[str, VariableLike],
    coords: Mapping[str, VariableLike] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Build a dataset as ``xarray.Dataset`` does.

    Coordinates that are called like a variable, as an action may be, are marked by a suffix.

    Examples
    --------
    >>> labelled_dataset({"mean": ("point", [0.5])}, {"point": [3]})["mean"].sel(point=3).item()
    0.5
    """
    data = {name: _variable(name, value) for name, value in variables.items()}
    labels = {
        f"{name}{ACTION}" if name in variables else name: _variable(name, value)
        for name, value in (coords or {}).items()
    }
    labels |= {name: data.pop(name) for name in [*data] if data[name].dims == (name,)}
    indexes = {
        name: PandasIndex(pd.Index(label.values), name, label.dtype)
        for name, label in labels.items()
        if label.dims == (name,)
    }
    for name, index in indexes.items():
        labels |= index.create_variables({name: labels[name]})
    return xr.Dataset(data, xr.Coordinates(labels, indexes), attrs)


def _variable(name: str, value: VariableLike) -> xr.Variable:
    dims, values, *rest = value if isinstance(value, tuple) else (name, value)
    array, attrs = np.asarray(values), rest[0] if rest else None
    # xarray converts dates, and objects.
    return xr.Variable(dims, array, attrs, fastpath=array.dtype.kind not in "OMm")
