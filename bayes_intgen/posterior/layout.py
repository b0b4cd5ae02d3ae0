"""Layout of saved fits: the groups and variables of the netCDF file, and a reader of nothing else.

A netCDF-4 file is an HDF5 file, which may also contain links to other files, cycles of groups, and
declared sizes beyond any memory. The reader visits the groups and variables of the layout only,
and reads at most as many bytes as the file has.
"""

import io
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._labelled import labelled_dataset
from bayes_intgen.errors import SavedFitError

# Version of the format; files of others are refused.
FORMAT = 1
# Attributes that are no part of a tree: descriptions of dimensions and types.
_NETCDF = (
    "CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_FillValue", "dtype", "_NCProperties",
    "_Netcdf4Coordinates", "_Netcdf4Dimid",
)  # fmt: skip
# Number of strings that are read at once: a crafted file may refer to a long one many times.
_STRINGS = 16


class Variable(NamedTuple):
    """Dimensions and type of a variable: "f" float, "i" integer, "b" boolean, "s" text."""

    kind: str
    dims: tuple[str, ...]


class Block(NamedTuple):
    """Variables of a group that a fit has together or not at all."""

    variables: Mapping[str, Variable]
    required: bool = False


def _block(*columns: str, required: bool = False) -> Block:
    """Build a block from lines of kind, names and dimensions: ``"f: p q (chain, draw)"``."""
    variables = {}
    for column in columns:
        kind, rest = column.split(": ")
        names, dims = rest.removesuffix(")").split("(")
        variable = Variable(kind, tuple(dims.split(", ")) if dims else ())
        variables.update(dict.fromkeys(names.split(), variable))
    return Block(variables, required)


_DRAWS = ("i: chain (chain)", "i: draw (draw)")
_FIT_TESTS = _block(
    "f: fit_p (fit_test)",
    "i: fit_action (fit_test)",
    "s: fit_role fit_given fit_test (fit_test)",
    required=True,
)
_SITES = (
    _block("f: noise_sd (chain, draw)", *_DRAWS, required=True),
    _block("f: scale (chain, draw, scale_of)", "s: scale_of (scale_of)"),
    _block("f: lengthscale (chain, draw, lengthscale_of)", "s: lengthscale_of (lengthscale_of)"),
)
_BY_ROW = (_block("f: outcome (chain, draw, row)", *_DRAWS, "i: row (row)", required=True),)
LAYOUT: dict[str, tuple[Block, ...]] = {
    "": (),
    "/posterior": (*_SITES, _block("f: intercept (chain, draw)", required=True)),
    "/sample_stats": (
        _block(*_DRAWS, "f: lp (chain, draw)", required=True),
        # Of NUTS, but not of a Laplace approximation.
        _block(
            "f: energy acceptance_rate step_size (chain, draw)",
            "i: n_steps tree_depth (chain, draw)",
            "b: accepted diverging reached_max_treedepth (chain, draw)",
        ),
    ),
    "/constant_data": (
        _block(
            "i: rows (regime)",
            "i: intervened (regime, action)",
            "s: regime (regime)",
            "s: action (action)",
            "f: fixed_scale (fixed_scale_of)",
            "s: fixed_scale_of (fixed_scale_of)",
            "f: pilot_noise_sd ()",
            required=True,
        ),
        _block(
            "f: far_distance far_limit far_share far_value ()",
            "i: far_above far_below far_rows far_row ()",
        ),
        _FIT_TESTS,
        _block(
            "s: lift_of (lift_test)",
            "f: lift_from lift_to lift_effect lift_se (lift_test)",
            "i: lift_test (lift_test)",
        ),
        _block("f: level_code (level)", "s: level_of level (level)"),
    ),
    "/coefficients": (
        _block(
            *_DRAWS,
            "f: coefficients (chain, draw, coefficient)",
            "s: coefficient (coefficient)",
            required=True,
        ),
    ),
    "/noise": (
        _block("f: quantile probability (probability)", required=True),
        _block(*_DRAWS),
        _block("f: deviation (chain, draw, height)", "i: height (height)"),
        _block(
            "f: shape (quantity, feature)",
            "f: shape_deviation (chain, draw, quantity, feature)",
            "s: quantity (quantity)",
            "i: feature (feature)",
        ),
        _block("f: log_mean (feature)", "f: log_mean_deviation (chain, draw, feature)"),
        _block("f: df relative_scale ()"),
    ),
    "/support": (
        _block(
            "f: reference (reference_row, action)",
            "i: regime_of reference_row (reference_row)",
            "i: intervened (regime, action)",
            "s: regime (regime)",
            "s: action (action)",
            required=True,
        ),
    ),
    "/check": (
        _block(
            "f: log_bayes_factor p p_familywise size detectable weight (test)",
            "s: kind test (test)",
            "b: between (test, action)",
            "b: hidden_between (hidden, action)",
            "s: hidden hidden_kind hidden_obstacle (hidden)",
            "s: action (action)",
            "f: moderator_p_familywise (moderator)",
            "s: moderated by moderator (moderator)",
            required=True,
        ),
        _FIT_TESTS,
    ),
    "/population": (
        _block(
            "f: unit (population_row, covariate)",
            "f: low high (covariate)",
            "i: under_one_mask n_groups (grouping)",
            "s: covariate (covariate)",
            "i: population_row (population_row)",
            "s: grouping (grouping)",
            "f: share rows_of_unit (population_row)",
            required=True,
        ),
    ),
    "/check/held_out": (_block("f: difference error ()", "i: rows ()"),),
    "/log_likelihood": _BY_ROW,
    "/log_prior": _SITES,
    "/posterior_predictive": _BY_ROW,
    "/observed_data": (_block("f: outcome (row)", "i: row (row)", required=True),),
}
# Groups of every fit.
_REQUIRED = ("/posterior", "/sample_stats", "/constant_data", "/coefficients", "/noise", "/support")
# Groups whose numbers are all finite.
_FINITE = (*_REQUIRED[:1], *_REQUIRED[2:], "/population")
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
        If the file has other groups, variables or attributes than a fit, sizes that contradict each
        other, or numbers that are not finite.
    Exception
        Of many kinds, if HDF5 cannot read the file.

    Examples
    --------
    >>> of_netcdf(to_netcdf(posterior.tree)).equals(posterior.tree)
    True
    """
    with h5py.File.in_memory(content) as file:
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
        attributes = self._attributes(group)
        if not path:
            _check_origin(attributes)
        variables: dict[str, Any] = {}
        groups = []
        expected = {name: v for block in LAYOUT[path] for name, v in block.variables.items()}
        for name in group:
            own = f"{path}/{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise SavedFitError(f"{own} is a link")
            kind = group.get(name, getclass=True)
            if own in LAYOUT and kind is h5py.Group:
                groups.append(name)
            elif name in expected and kind is h5py.Dataset:
                dims, values = expected[name].dims, self._array(group[name], own, expected[name])
                variables[name] = dims, values, self._attributes(group[name])
            else:
                raise SavedFitError(f"{own} is not part of a fit")
        for block in LAYOUT[path]:
            lacking = set(block.variables) - set(variables)
            if lacking and (block.required or len(lacking) < len(block.variables)):
                raise SavedFitError(f"{path}/{min(lacking)} is missing")
        yield path or "/", labelled_dataset(variables, attrs=attributes)
        for name in groups:
            yield from self.nodes(group[name], f"{path}/{name}")

    def _array(self, dataset: "h5py.Dataset", path: str, variable: Variable) -> NDArray[Any]:
        properties = dataset.id.get_create_plist()
        storage, shape = properties.get_layout(), dataset.shape
        known = (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED)
        if (
            properties.get_external_count()
            or properties.get_nfilters()
            or storage not in known
            # netCDF stores empty arrays in chunks.
            or (storage == h5py.h5d.CHUNKED and 0 not in shape)
        ):
            raise SavedFitError(f"{path} is not stored in the way of a fit")
        is_text = h5py.check_string_dtype(dataset.dtype) is not None
        # netCDF has no type for truth values.
        is_bool = variable.kind == "b" and dataset.dtype == np.int8
        kind = "s" if is_text else "b" if is_bool else dataset.dtype.kind
        if dataset.dtype == np.bool_ or (kind, len(shape)) != (variable.kind, len(variable.dims)):
            raise SavedFitError(f"{path} has another type or shape than in a fit")
        for dim, size in zip(variable.dims, shape, strict=True):
            scope = dim if dim in _SHARED else f"{path.rpartition('/')[0]}:{dim}"
            if self._sizes.setdefault(scope, size) != size:
                raise SavedFitError(
                    f"{path} has {size} values along {dim!r}, others have {self._sizes[scope]}"
                )
        self._spend(math.prod(shape) * dataset.dtype.itemsize, path)
        if is_text:
            return np.array(list(self._texts(dataset, path)), dtype=str)
        values = np.asarray(dataset[()])
        if path.rpartition("/")[0] in _FINITE and not np.isfinite(values).all():
            raise SavedFitError(f"{path} has numbers that are not finite")
        return values.astype(bool) if is_bool else values

    def _texts(self, dataset: "h5py.Dataset", path: str) -> Iterator[str]:
        for begin in range(0, len(dataset), _STRINGS):
            for text in dataset[begin : begin + _STRINGS]:
                self._spend(len(text), path)
                yield text.decode()

    def _attributes(self, item: "h5py.Group | h5py.Dataset") -> dict[str, Any]:
        attributes: dict[str, Any] = {}
        for name in item.attrs:
            if name in _NETCDF:
                continue
            stored = item.attrs.get_id(name)
            is_text = h5py.check_string_dtype(stored.dtype) is not None
            own = f"{item.name} attribute {name!r}"
            # An array of texts could repeat one of any length.
            if stored.shape if is_text else stored.dtype.kind not in "iuf":
                raise SavedFitError(f"{own} is neither a text nor numbers")
            self._spend(math.prod(stored.shape or ()) * stored.dtype.itemsize, own)
            value = item.attrs[name]
            if is_text:
                value = value if isinstance(value, str) else ""
                self._spend(len(value), own)
            attributes[name] = value.item() if np.size(value) == 1 and not is_text else value
        return attributes

    def _spend(self, size: int, path: str) -> None:
        self._left -= size
        if self._left < 0:
            raise SavedFitError(f"{path} is larger than the file")


def _check_origin(attributes: Mapping[str, Any]) -> None:
    if attributes.get("creation_library") != "bayes-intgen":
        raise SavedFitError("it was not written by bayes-intgen")
    if attributes.get("format") != FORMAT:
        raise SavedFitError("it was written by another version of bayes-intgen; fit again")
