"""Checkpoints: files of unfinished chains, from which a killed fit continues.

After every block of iterations each chain writes one file per stage, with all draws of the stage so
far and the state of the sampler. Later draws do not depend on whether the process was killed in
between. Earlier steps and random numbers are computed again: they depend on the data, the model and
the settings alone.
"""

import hashlib
import json
import os
import zipfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_intgen._atomic import atomic_write
from bayes_intgen.data.rows import Rows
from bayes_intgen.errors import SavedFitError
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models import Model, codec

Collected = dict[str, NDArray[Any]]

# Exceptions that NumPy raises for truncated or foreign files.
UNREADABLE = (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile)
# Version of the sampler's state and draws: chains of another version cannot continue.
SAMPLER = 2
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
        path.mkdir(parents=True, exist_ok=True)
        identity = _identity(data, model, settings)
        label = path / "fit.json"
        if label.exists():
            try:
                other = json.loads(label.read_text())
            except ValueError as error:
                raise SavedFitError(f"{label} cannot be read; choose another folder") from error
            differences = sorted(key for key in identity if identity[key] != other.get(key))
            if differences:
                raise SavedFitError(
                    f"{path} holds a fit with other {', '.join(differences)}; choose another "
                    "folder, or delete it to start again"
                )
        elif any(file.suffix != ".part" for file in path.iterdir()):
            raise SavedFitError(f"{path} holds other files; choose an empty folder")
        else:
            with atomic_write(label) as partial:
                partial.write_text(json.dumps(identity))
        return cls(path)

    def read[State](self, stage: str, chain: int, like: State) -> tuple[State, Collected] | None:
        """Read state and draws of a chain's stage, or return None if there is no file.

        Parameters
        ----------
        stage : str
        chain : int
        like : pytree of arrays
            A state of the same structure, shapes and types.

        Raises
        ------
        SavedFitError
            If the file cannot be read.
        """
        path = self._path(stage, chain)
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            leaves, structure = jax.tree.flatten(like)
            states = [arrays.pop(f"state{i}") for i in range(len(leaves))]
            if any(map(_differ, states, leaves)) or f"state{len(leaves)}" in arrays:
                raise ValueError("of another sampler")
            arrays |= {name: arrays.pop(stored) for name, stored in STORED_NAMES.items()}
        except UNREADABLE as error:
            raise SavedFitError(
                f"{path} cannot be read ({error}); delete it to repeat this stage of the chain"
            ) from error
        return jax.tree.unflatten(structure, states), arrays

    def write(self, stage: str, chain: int, state: Any, collected: Collected) -> None:
        """Write the draws of a chain's stage so far, and the state of the sampler."""
        leaves = jax.tree.leaves(state)
        arrays: dict[str, Any] = {f"state{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
        arrays |= {STORED_NAMES.get(name, name): values for name, values in collected.items()}
        with atomic_write(self._path(stage, chain)) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)

    def refuse_other_sums(self, xy: ArrayLike, yy: ArrayLike) -> None:
        """Write X'Wy and y'Wy over all rows, or compare them with those in the folder.

        The identity of a fit covers only a sample of the rows that are not in memory.

        Raises
        ------
        SavedFitError
            If they differ, or the file cannot be read.
        """
        sums: dict[str, Any] = {"xy": np.asarray(xy), "yy": np.asarray(yy)}
        path = self._folder / "sums.npz"
        if not path.exists():
            with atomic_write(path) as partial, partial.open("wb") as file:
                np.savez(file, **sums)
            return
        try:
            with np.load(path, allow_pickle=False) as stored:
                same = all(_same(stored[name], values) for name, values in sums.items())
        except UNREADABLE as error:
            raise SavedFitError(
                f"{path} cannot be read ({error}); choose another folder"
            ) from error
        if not same:
            raise SavedFitError(
                f"{self._folder} holds a fit to other rows; choose another folder, or delete it to "
                "start again"
            )

    def _path(self, stage: str, chain: int) -> Path:
        return self._folder / f"{stage}-{chain}.npz"


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
