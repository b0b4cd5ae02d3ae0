"""Labelled arrays, without xarray's search for Dask arrays.

xarray imports Dask, where it is installed, to see whether an array is one of Dask's. That takes as
long as the rest of a question to a saved fit. ``.to_numpy()`` of a labelled array does so too, but
``.values`` does not.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from xarray.indexes import PandasIndex

# As in xarray: dimensions, values, and perhaps attributes; or the values along a dimension.
VariableLike = Any


def labelled_dataset(
    variables: Mapping[str, VariableLike],
    coords: Mapping[str, VariableLike] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Build a dataset of NumPy arrays, as ``xarray.Dataset`` does.

    Parameters
    ----------
    variables, coords : mapping
        ``(dims, values)``, ``(dims, values, attrs)``, or values along the dimension of that name.
    attrs : mapping, optional

    Examples
    --------
    >>> labelled_dataset({"mean": ("point", [0.5])}, {"point": [3]})["mean"].sel(point=3).item()
    0.5
    """
    data = {name: _variable(name, value) for name, value in variables.items()}
    labels = {name: _variable(name, value) for name, value in (coords or {}).items()}
    labels |= {name: data.pop(name) for name in [*data] if data[name].dims == (name,)}
    indexes = {
        name: PandasIndex(pd.Index(variable.values), name, variable.dtype)
        for name, variable in labels.items()
        if variable.dims == (name,)
    }
    for name, index in indexes.items():
        labels |= index.create_variables({name: labels[name]})
    return xr.Dataset(data, xr.Coordinates(labels, indexes), attrs)


def labelled_array(
    name: str,
    dims: tuple[str, ...],
    values: ArrayLike,
    coords: Mapping[str, VariableLike],
    attrs: Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """Build an array of NumPy's with labels, as ``xarray.DataArray`` does.

    Examples
    --------
    >>> labelled_array("mean", ("point",), [0.5], {"point": [3]}).sel(point=3).item()
    0.5
    """
    array = labelled_dataset({name: (dims, values)}, coords)[name]
    array.attrs = dict(attrs or {})
    return array


def merged(first: xr.Dataset, *others: xr.Dataset) -> xr.Dataset:
    """Merge datasets that share no variables, as ``xarray.merge`` does; attributes of the first.

    Examples
    --------
    >>> list(merged(labelled_dataset({"a": ((), 1)}), labelled_dataset({"b": ((), 2)})))
    ['a', 'b']
    """
    every = (first, *others)
    data = {name: each[name].variable for each in every for name in each}
    labels = {name: values.variable for each in every for name, values in each.coords.items()}
    indexes = {name: index for each in every for name, index in each.xindexes.items()}
    return xr.Dataset(data, xr.Coordinates(labels, indexes), first.attrs)


def _variable(name: str, value: VariableLike) -> xr.Variable:
    dims, values, *rest = value if isinstance(value, tuple) else (name, value)
    array, attrs = np.asarray(values), rest[0] if rest else None
    # xarray converts dates, and objects.
    return xr.Variable(dims, array, attrs, fastpath=array.dtype.kind not in "OMm")
