"""Checkpoints: files of unfinished chains, from which a killed fit continues.

After every block of iterations each chain writes one file per stage, with all draws of the stage so
far and the state of the sampler. Later draws do not depend on whether the process was killed in
between. Earlier steps and random numbers are computed again: they depend on the data, the model and
the settings alone. Every file of arrays ends with a checksum.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_intgen._atomic import atomic_write
from bayes_intgen._checksum import with_checksum, without_checksum
from bayes_intgen.data.rows import Rows
from bayes_intgen.errors import SavedFitError
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models import Model, codec

Collected = dict[str, NDArray[Any]]

# Version of the sampler's state and draws: chains of another version cannot continue.
SAMPLER = 10
# Relative tolerance of sums over the same rows, whose rounding depends on the batches.
SUMS_TOLERANCE = 1e-9
# Names of arrays in files, where they differ from those in the code.
STORED_NAMES = {"coefficients": "given"}


class Checkpoint:
    """Folder with the chains of one fit; :meth:`of` opens it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(
        cls,
        folder: str | os.PathLike[str],
        data: Rows,
        model: Model,
        settings: SamplerSettings,
    ) -> Self:
        """Open the folder of a fit, or create it.

        Raises
        ------
        SavedFitError
            If it holds the chains of another fit, or other files.
        """
        path = Path(folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise SavedFitError(f"{path} is not a folder; choose another checkpoint") from error
        identity = _identity(data, model, settings)
        label = path / "fit.json"
        if label.exists():
            try:
                other = dict(json.loads(label.read_bytes()))
            except (ValueError, TypeError, RecursionError, IsADirectoryError) as error:
                raise SavedFitError(
                    f"{label} cannot be read ({error}); choose another folder, or delete it to "
                    "start again"
                ) from error
            differences = sorted(key for key in identity if identity[key] != other.get(key))
            if differences:
                raise SavedFitError(
                    f"{path} holds a fit with other {', '.join(differences)}; choose another "
                    "folder, or delete it to start again"
                )
        elif any(file.suffix != ".part" for file in path.iterdir()):
            raise SavedFitError(f"{path} holds other files; choose an empty folder")
        else:
            atomic_write(label, json.dumps(identity).encode())
        return cls(path)

    def read[State](
        self, stage: str, chain: int, like: State, names: Iterable[str]
    ) -> tuple[State, Collected] | None:
        """Read state and draws of a chain's stage, or return None if there is no file.

        Parameters
        ----------
        stage : str
        chain : int
        like : nested tuples of arrays
            A state of the same structure, shapes and types.
        names : iterable of str
            Names of the arrays that are collected over iterations.

        Raises
        ------
        SavedFitError
            If the file cannot be read.
        """
        path = self._path(stage, chain)
        if not path.exists():
            return None
        leaves, structure = jax.tree.flatten(like)
        remedy = "delete it to repeat this stage of the chain"
        arrays = _read(path, remedy)
        states = [arrays.pop(f"state{i}", np.zeros(0)) for i in range(len(leaves))]
        stored = {name: STORED_NAMES.get(name, name) for name in names}
        if any(map(_differ, states, leaves)) or set(arrays) != set(stored.values()):
            raise SavedFitError(f"{path} is of another sampler; {remedy}")
        if len({array.shape[:1] for array in arrays.values()}) != 1:
            raise SavedFitError(f"{path} has arrays of different lengths; {remedy}")
        collected = {name: arrays[own] for name, own in stored.items()}
        return jax.tree.unflatten(structure, states), collected

    def write(self, stage: str, chain: int, state: Any, collected: Collected) -> None:
        """Write the draws of a chain's stage so far, and the state of the sampler."""
        leaves = jax.tree.leaves(state)
        arrays: dict[str, Any] = {f"state{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
        arrays |= {STORED_NAMES.get(name, name): values for name, values in collected.items()}
        _write(self._path(stage, chain), arrays)

    def refuse_other_sums(self, xy: ArrayLike, yy: ArrayLike) -> None:
        """Write X'Wy and y'Wy over all rows, or compare them with those in the folder.

        The identity of a fit covers only a sample of the rows that are not in memory.

        Raises
        ------
        SavedFitError
            If they differ, or the file cannot be read.
        """
        sums = {"xy": np.asarray(xy), "yy": np.asarray(yy)}
        path = self._folder / "sums.npz"
        if not path.exists():
            _write(path, sums)
            return
        stored = _read(path, "choose another folder")
        same = set(stored) == set(sums) and all(
            _same(stored[name], values) for name, values in sums.items()
        )
        if not same:
            raise SavedFitError(
                f"{self._folder} holds a fit to other rows; choose another folder, or delete it to "
                "start again"
            )

    def _path(self, stage: str, chain: int) -> Path:
        return self._folder / f"{stage}-{chain}.npz"


def _write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    archive = io.BytesIO()
    # NumPy's stub takes further names for the option `allow_pickle`.
    np.savez(archive, **arrays)  # type: ignore[arg-type]
    atomic_write(path, with_checksum(archive.getvalue()))


def _read(path: Path, remedy: str) -> dict[str, NDArray[Any]]:
    """Read arrays whose checksum is right; raise SavedFitError otherwise."""
    try:
        content = without_checksum(path.read_bytes())
        if content is None:
            raise ValueError("its checksum is wrong")
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return dict(archive)
    except (ValueError, IsADirectoryError) as error:
        raise SavedFitError(f"{path} cannot be read ({error}); {remedy}") from error


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    atol = SUMS_TOLERANCE * float(np.abs(other).max(initial=0.0))
    return one.shape == np.shape(other) and np.allclose(one, other, SUMS_TOLERANCE, atol)


def _differ(one: NDArray[Any], other: Any) -> bool:
    return bool(one.shape != other.shape or one.dtype != other.dtype)


def _identity(data: Rows, model: Model, settings: SamplerSettings) -> dict[str, str]:
    """Digests and settings that determine the draws of a fit."""
    sample = data.in_memory
    digest = hashlib.sha256()
    units = [values for values in (sample.weights, sample.within) if values is not None]
    for array in (sample.inputs, sample.outcome, sample.intervened, *units):
        digest.update(np.ascontiguousarray(array).tobytes())
    rows = [data.names, data.outcome_name, len(data), *map(repr, data.lift_tests)]
    rows += map(repr, (*data.categories, *data.columns.categories))
    rows += [*data.columns.every, *data.columns.labels]
    digest.update(json.dumps([*rows, list(data.regimes.values())]).encode())
    libraries = {
        name: version(name) for name in ("bayes-intgen", "numpyro", "jax", "numpy", "scipy")
    }
    return {
        "data": digest.hexdigest(),
        "model": codec.dumps(model),
        "settings": json.dumps({k: v for k, v in asdict(settings).items() if k != "progress"}),
        "versions": json.dumps(libraries),
        "sampler": str(SAMPLER),
    }
