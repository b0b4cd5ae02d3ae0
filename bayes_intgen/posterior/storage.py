"""Storage of fits: one netCDF file, written atomically and read without executing code."""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import xarray as xr
from packaging.version import InvalidVersion, Version

from bayes_intgen._atomic import atomic_write
from bayes_intgen.errors import SavedFitError
from bayes_intgen.models import codec as serialise

_ENGINE: Literal["h5netcdf"] = "h5netcdf"


def save_tree(tree: xr.DataTree, path: str | os.PathLike[str]) -> None:
    """Write the tree of a fit to ``path`` atomically: a failure leaves an older file intact.

    Examples
    --------
    >>> save_tree(posterior.tree, folder / "fit.nc")
    """
    with atomic_write(path) as partial:
        tree.to_netcdf(partial, engine=_ENGINE)


def load_tree(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read the tree of a fit into memory; the errors are those of :func:`bayes_intgen.load`.

    Examples
    --------
    >>> save_tree(posterior.tree, folder / "fit.nc")
    >>> load_tree(folder / "fit.nc").attrs == posterior.tree.attrs
    True
    """
    source = Path(path)
    if not source.exists():
        raise FileNotFoundError(f"there is no file {source}")
    try:
        with xr.open_datatree(source, engine=_ENGINE) as opened:
            # DataTree.load does not read arrays that are not chunked.
            nodes = {node.path: node.to_dataset(inherit=False).load() for node in opened.subtree}
        tree = xr.DataTree.from_dict(nodes)
    except (PermissionError, IsADirectoryError, MemoryError):
        raise
    except Exception as error:  # h5py and xarray raise many kinds of errors on damaged files
        raise SavedFitError(
            f"{source} cannot be read as a saved fit: it is truncated or not netCDF ({error})"
        ) from error
    _check_origin(source, tree)
    _check_content(source, tree)
    return tree


def _check_content(source: Path, tree: xr.DataTree) -> None:
    """Refuse a tree that lacks parts of a fit, or with a model and draws of different sizes."""
    try:
        for attribute in ("model", "spread"):
            serialise.loads(tree.attrs[attribute])
        size = serialise.loads(tree.attrs["terms"]).size
        for group in ("posterior", "sample_stats", "constant_data", "noise"):
            tree[group]
        columns = tree["coefficients"]["coefficients"].sizes["coefficient"]
    except (KeyError, AttributeError) as error:
        raise SavedFitError(f"{source} is an incomplete saved fit: {error} is missing") from error
    if columns != size:
        raise SavedFitError(f"{source} has {columns} coefficients, but its model has {size}")


def _check_origin(source: Path, tree: xr.DataTree) -> None:
    if tree.attrs.get("creation_library") != "bayes-intgen":
        raise SavedFitError(f"{source} was not written by bayes-intgen")
    own, installed = str(tree.attrs.get("creation_library_version")), version("bayes-intgen")
    try:
        is_newer = Version(own) > Version(installed)
    except InvalidVersion as error:
        raise SavedFitError(f"{source} does not say which version wrote it") from error
    if is_newer:
        raise SavedFitError(
            f"{source} was written by bayes-intgen {own}; this is {installed}: upgrade to read it"
        )
