"""Storage of fits: one netCDF file, written atomically and read without executing code."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from bayes_intgen._atomic import atomic_write, with_checksum, without_checksum
from bayes_intgen.basis.categories import centres
from bayes_intgen.errors import SavedFitError
from bayes_intgen.identification.graph import parents_of
from bayes_intgen.models import AdditiveModel, codec
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of
from bayes_intgen.posterior.layout import of_netcdf, to_netcdf
from bayes_intgen.posterior.schema import FIT

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Texts in the attributes of every fit.
ATTRIBUTES = (
    "model", "terms", "spread", "settings", "outcome", "outcome_kind", "covariates_digest",
)  # fmt: skip


def save_tree(tree: xr.DataTree, path: str | os.PathLike[str]) -> None:
    """Write the tree of a fit; see :meth:`bayes_intgen.Posterior.save`."""
    content = to_netcdf(tree)
    try:
        _check_content(PosteriorDraws, of_netcdf(content))
    except SavedFitError as error:
        raise SavedFitError(
            f"{path} was not written, as it could not be loaded: {error}"
        ) from error
    atomic_write(path, with_checksum(content))


def load_draws[T: PosteriorDraws](
    path: str | os.PathLike[str], kind: Callable[[xr.DataTree], T]
) -> T:
    """Read a fit into memory, as an object of a class; see :func:`bayes_intgen.load`."""
    source = Path(path)
    content = without_checksum(_bytes_of(source))
    if content is None:
        raise SavedFitError(
            f"{source} cannot be read as a saved fit: it is truncated, damaged or another file, as "
            "it has no right checksum; use a copy or fit again, and name the fit, not its table"
        )
    try:
        return _check_content(kind, of_netcdf(content))
    except MemoryError:
        raise
    except Exception as error:  # HDF5 raises many kinds of errors on damaged files
        own = isinstance(error, SavedFitError)
        why = error if own else f"it is truncated or not netCDF ({error})"
        raise SavedFitError(f"{source} cannot be read as a saved fit: {why}") from error


def _bytes_of(source: Path) -> bytes:
    """Read a regular file; refuse anything else, such as a pipe without another end."""
    if not source.exists():
        raise FileNotFoundError(f"there is no file {source}")
    if not source.is_file():
        raise SavedFitError(f"{source} is not a file; name a saved fit")
    with source.open("rb") as file:
        start = file.read(len(_SIGNATURE))
        # Other files may be of any size.
        return start + file.read() if start == _SIGNATURE else start


def _check_content[T: PosteriorDraws](kind: Callable[[xr.DataTree], T], tree: xr.DataTree) -> T:
    """Decode a fit; refuse one that cannot be evaluated."""
    attrs = tree[FIT].attrs
    for name in ATTRIBUTES:
        if not isinstance(attrs.get(name), str):
            raise SavedFitError(f"attribute {name!r} is missing")
    try:
        codec.loads(attrs["settings"], dict)
        for about, text in json.loads(attrs.get("findings", "[]")):
            if not (isinstance(about, str) and isinstance(text, str) and text):
                raise SavedFitError("its findings are no sentences")
        posterior = kind(tree)
        _evaluate(posterior)
    except SavedFitError:
        raise
    except Exception as error:  # parts of a model that do not match fail in many ways
        raise SavedFitError(f"its model cannot be evaluated ({error})") from error
    return posterior


def _evaluate(posterior: PosteriorDraws) -> None:
    """Evaluate mean and variance once in each regime; raises an error if they cannot be."""
    terms, prediction = posterior.terms, prediction_of(posterior)
    support, statistics = (posterior.tree[name].dataset for name in ("support", "sample_stats"))
    which = np.concatenate([support[name] for name in ("regime_of", "visited_regime")])
    masks = support["intervened"].values
    if not (np.isin(which, range(len(masks))).all() and np.isin(masks, (0, 1)).all()):
        raise SavedFitError("its reference rows are of unknown regimes")
    is_sampled = "diverging" in statistics or "pareto_k" in statistics.attrs
    if "lp" not in statistics or not is_sampled:
        raise SavedFitError("it has no log density, or neither divergences nor Pareto k")
    masks = np.array(list(support_of(posterior).regimes))
    medians = [coordinate.centre for coordinate in terms.coordinates]
    points = np.tile(centres(medians, terms.categories), (len(masks), 1))
    if isinstance(posterior.model, AdditiveModel):
        parents_of(terms.names, posterior.model.graph)
    first = prediction.map_draws(lambda draws: draws[:1, :1])
    if not np.isfinite(first.mean(points, masks)).all():
        raise SavedFitError("its mean is not finite")
    if not ((prediction.sd > 0).all() and (first.noise_sd(points, masks) > 0).all()):
        raise SavedFitError("its noise is not positive")
    units = prediction.units
    if units is not None and not (np.minimum(units.shares, units.rows) > 0).all():
        raise SavedFitError("its population has units without rows")
