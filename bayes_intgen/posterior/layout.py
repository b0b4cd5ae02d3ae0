"""The netCDF file of a fit, and its reader.

A netCDF-4 file is an HDF5 file, which may also refer to other files, and declare sizes beyond any
memory. The reader follows no such reference, and reads at most as many bytes as the file has. It
takes a tenth of the time of ``xarray.open_datatree``.
"""

import io
import math
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._labelled import labelled_dataset
from bayes_intgen.errors import SavedFitError

# Version of the format; files of others are refused.
FORMAT = 5
# Attributes that are no part of a tree: descriptions of dimensions and types.
_NETCDF = (
    "CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_FillValue", "dtype", "_NCProperties",
    "_Netcdf4Coordinates", "_Netcdf4Dimid",
)  # fmt: skip
# Groups of every fit.
_REQUIRED = (
    "/fit", "/posterior", "/sample_stats", "/constant_data", "/coefficients", "/noise", "/support",
)  # fmt: skip
# Groups whose numbers need not be finite: statistics of the sampler, and tests.
_NOT_FINITE = ("/sample_stats", "/check", "/check/held_out")
# Dimensions of the same size in every group.
_SHARED = ("chain", "draw", "action", "regime", "row")


def to_netcdf(tree: xr.DataTree) -> bytes:
    r"""Serialise the tree of a fit.

    Examples
    --------
    >>> to_netcdf(posterior.tree).startswith(b"\x89HDF")
    True
    """
    file = io.BytesIO()
    tree.to_netcdf(file, engine="h5netcdf")
    return file.getvalue()


def of_netcdf(content: bytes) -> xr.DataTree:
    """Restore the tree of a fit.

    Raises
    ------
    SavedFitError
        If the file is not that of a fit, refers to other files, or has sizes that contradict each
        other or numbers that are not finite.
    Exception
        Of many kinds, if HDF5 cannot read the file.

    Examples
    --------
    >>> of_netcdf(to_netcdf(posterior.tree)).equals(posterior.tree)
    True
    """
    with h5py.File.in_memory(content) as file:
        if file.attrs.get("creation_library") != "bayes-intgen":
            raise SavedFitError("it was not written by bayes-intgen")
        if file.attrs.get("format") != FORMAT:
            raise SavedFitError("it was written by another version of bayes-intgen; fit again")
        nodes = dict(_Reader(len(content)).nodes(file, ""))
    for path in _REQUIRED:
        if path not in nodes:
            raise SavedFitError(f"group {path} is missing")
    return xr.DataTree.from_dict(nodes)


class _Reader:
    """Reader of groups that reads at most ``limit`` bytes altogether."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._sizes: dict[str, int] = {}

    def nodes(self, group: "h5py.Group", path: str) -> Iterator[tuple[str, xr.Dataset]]:
        """Read a group and those below it."""
        variables: dict[str, Any] = {}
        groups = []
        for name in group:
            own = f"{path}/{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise SavedFitError(f"{own} is a link")
            item = group[name]
            if isinstance(item, h5py.Group):
                groups.append(name)
                continue
            dims = (name,) if item.is_scale else tuple(d[0].name.split("/")[-1] for d in item.dims)
            for dim, size in zip(dims, item.shape, strict=True):
                if dim in _SHARED and self._sizes.setdefault(dim, size) != size:
                    raise SavedFitError(
                        f"{own} has {size} values along {dim!r}, others have {self._sizes[dim]}"
                    )
            variables[name] = dims, self._array(item, own), _attributes(item)
        yield path or "/", labelled_dataset(variables, attrs=_attributes(group))
        for name in groups:
            yield from self.nodes(group[name], f"{path}/{name}")

    def _array(self, dataset: "h5py.Dataset", path: str) -> NDArray[Any]:
        if dataset.external or dataset.is_virtual:
            raise SavedFitError(f"{path} is not stored in the file itself")
        self._left -= math.prod(dataset.shape) * dataset.dtype.itemsize
        if self._left < 0:
            raise SavedFitError(f"{path} is larger than the file")
        if h5py.check_string_dtype(dataset.dtype) is not None:
            return np.array(dataset.asstr()[()], dtype=str)
        values = np.asarray(dataset[()])
        if path.rpartition("/")[0] not in _NOT_FINITE and not np.isfinite(values).all():
            raise SavedFitError(f"{path} has numbers that are not finite")
        # netCDF has no type for truth values.
        return values.astype(bool) if dataset.attrs.get("dtype") == "bool" else values


def _attributes(item: "h5py.Group | h5py.Dataset") -> dict[str, Any]:
    named = {name: item.attrs[name] for name in item.attrs if name not in _NETCDF}
    # h5py returns single numbers as arrays of one.
    return {
        name: v.item() if isinstance(v, np.ndarray) and v.size == 1 else v
        for name, v in named.items()
    }
