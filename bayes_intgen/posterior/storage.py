"""Storage of fits: one netCDF file, written atomically and read without executing code."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import xarray as xr

from bayes_intgen._atomic import atomic_write
from bayes_intgen._checksum import with_checksum, without_checksum
from bayes_intgen.basis.categories import centres
from bayes_intgen.data.outcome_kind import OutcomeKind
from bayes_intgen.errors import SavedFitError
from bayes_intgen.identification.graph import parents_of
from bayes_intgen.inference.importance_diagnostics import ImportanceDiagnostics
from bayes_intgen.models import AdditiveModel, codec
from bayes_intgen.models.noise_shape import QUANTITIES
from bayes_intgen.models.variance_function import VarianceFunction
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of
from bayes_intgen.posterior.layout import of_netcdf, to_netcdf

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Texts in the attributes of every fit.
ATTRIBUTES = (
    "model", "terms", "spread", "settings", "outcome", "outcome_kind", "covariates_digest",
)  # fmt: skip
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


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
    stored = _bytes_of(source)
    content = without_checksum(stored)
    if content is None:
        raise SavedFitError(
            f"{source} cannot be read as a saved fit: it is truncated, damaged or another file, as "
            "it has no right checksum; use a copy, or fit again"
        )
    try:
        return _check_content(kind, of_netcdf(content))
    except SavedFitError as error:
        raise SavedFitError(f"{source} cannot be read as a saved fit: {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # HDF5 raises many kinds of errors on damaged files
        raise SavedFitError(
            f"{source} cannot be read as a saved fit: it is truncated or not netCDF ({error})"
        ) from error


def _bytes_of(source: Path) -> bytes:
    """Read a regular file; refuse anything else, without waiting for the other end of a pipe."""
    try:
        # Windows cannot open folders.
        is_folder = source.is_dir()
        descriptor = -1 if is_folder else os.open(source, _READ)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no file {source}") from error
    except OSError as error:
        if error.errno != errno.ENXIO:  # a socket, or a device without a driver
            raise
        descriptor = -1
    if descriptor == -1:
        raise SavedFitError(f"{source} is not a file; name a file that posterior.save wrote")
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SavedFitError(f"{source} is not a file; name a file that posterior.save wrote")
        start = file.read(len(_SIGNATURE))
        # Other files may be of any size.
        return start + file.read() if start == _SIGNATURE else start


def _check_content[T: PosteriorDraws](kind: Callable[[xr.DataTree], T], tree: xr.DataTree) -> T:
    """Decode a fit; refuse draws that do not match their model, or that it cannot evaluate."""
    for name in ATTRIBUTES:
        if not isinstance(tree.attrs.get(name), str):
            raise SavedFitError(f"attribute {name!r} is missing")
    try:
        codec.loads(tree.attrs["settings"], dict)
        posterior = kind(tree)
        for what, stored, expected in _twice_stored(posterior):
            if stored != expected:
                raise SavedFitError(f"it has {stored} {what}, but its model has {expected}")
        _evaluate(posterior)
    except SavedFitError:
        raise
    except Exception as error:  # parts of a model that do not match fail in many ways
        raise SavedFitError(f"its model cannot be evaluated ({error})") from error
    return posterior


def _twice_stored(posterior: PosteriorDraws) -> Iterator[tuple[str, Any, Any]]:
    """Facts that the arrays and the model of a fit both state: name, and both values."""
    tree, terms, spread = posterior.tree, posterior.terms, posterior.spread
    yield "coefficients", tree["coefficients"].sizes["coefficient"], terms.size
    groups = [group for group in ("constant_data", "support", "check") if group in tree.children]
    for group in groups:
        yield f"actions in {group}", _texts(tree[group], "action"), list(terms.names)
    masks = _masks(tree["support"])
    yield "regimes in support", sorted(masks), sorted(_masks(tree["constant_data"]))
    which = sorted(set(tree["support"].dataset["regime_of"].values.tolist()))
    yield "regimes with reference rows", which, [*range(len(masks))]
    free = terms.without(_texts(tree["constant_data"], "fixed_scale_of"))
    hyperparameters = tree["posterior"]
    yield "scales", _texts(hyperparameters, "scale_of"), list(free.scaled)
    yield "lengthscales", _texts(hyperparameters, "lengthscale_of"), list(free.lengthscales)
    statistics = tree["sample_stats"]
    is_nuts = ImportanceDiagnostics.of(statistics.attrs) is None
    yield "statistics of divergences", int("diverging" in statistics), int(is_nuts)
    is_student_t = posterior.model.noise == "student_t"
    yield "degrees of freedom", int("df" in tree["noise"]), int(is_student_t)
    knot_values = len(spread.knot_values) if isinstance(spread, VarianceFunction) else 0
    yield "values of the variance function", tree["noise"].sizes.get("height", 0), knot_values
    if "shape" in tree["noise"]:
        size = tree["noise"]["shape"].shape
        yield "values of the noise's shape", size, (len(QUANTITIES), max(knot_values, 1))
    of_mean = max(knot_values, 1) * (posterior.model.link == "log")
    yield "values of the log mean", _sizes(tree["noise"], "log_mean"), [of_mean] * bool(of_mean)
    kind = tree.attrs["outcome_kind"]
    yield "kinds of outcomes that are unknown", int(kind not in get_args(OutcomeKind)), 0


def _masks(group: Any) -> list[list[bool]]:
    masks: list[list[bool]] = (group["intervened"].values > 0).tolist()
    return masks


def _sizes(group: Any, name: str) -> list[int]:
    return list(group[name].shape) if name in group else []


def _texts(group: Any, name: str) -> list[str]:
    return group[name].values.tolist() if name in group else []


def _evaluate(posterior: PosteriorDraws) -> None:
    """Evaluate mean and variance once in each regime; raises an error if they cannot be."""
    terms, prediction = posterior.terms, prediction_of(posterior)
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
    if prediction.shape is not None:
        noise = first.draw_noise(points, masks, np.random.default_rng(0), len(points))
        if not np.isfinite(noise).all():
            raise SavedFitError("the shape of its noise has no law")
