"""Chains of a fit that has not ended yet, in a folder: a killed fit goes on where it was.

Each chain writes one file a stage, after every block of iterations: all that the stage has
drawn so far, and the state of the sampler. What is drawn after that is the same whether the process
that drew it was killed in between or not. What comes before the chains, and the random numbers that
they take, are computed anew: they depend on the data, the model and the settings alone.
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
from bayes_intgen.models import Model
from bayes_intgen.models import codec as serialise

Collected = dict[str, NDArray[Any]]

# What NumPy raises where a file is not, or not all of, what it wrote.
UNREADABLE = (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile)
# Counts changes of what a sampler's state and its draws mean: chains of another one cannot go on.
SAMPLER = 2
# Sums over the same rows differ by rounding, where they are read in other pieces.
SAME = 1e-9


class Checkpoint:
    """A folder with the chains of one fit; open it with :meth:`of`."""

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
        """The folder of a fit, made where it is not there.

        Raises
        ------
        SavedFitError
            Where it holds the chains of another fit.
        """
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        mine = _described(data, model, settings)
        label = path / "fit.json"
        if label.exists():
            try:
                theirs = json.loads(label.read_text())
            except ValueError as error:
                raise SavedFitError(f"{label} cannot be read; take another folder") from error
            differ = sorted(key for key in mine if mine[key] != theirs.get(key))
            if differ:
                raise SavedFitError(
                    f"{path} holds a fit with other {', '.join(differ)}; take another folder, or "
                    "delete it to begin anew"
                )
        elif any(file.suffix != ".part" for file in path.iterdir()):
            raise SavedFitError(f"{path} holds other files; take an empty folder")
        else:
            with atomic_write(label) as partial:
                partial.write_text(json.dumps(mine))
        return cls(path)

    def read[State](self, stage: str, chain: int, like: State) -> tuple[State, Collected] | None:
        """State and draws of a chain's stage as they were last written; None where never.

        ``like`` is a state of the same sampler, a pytree of arrays: it gives the structure.

        Raises
        ------
        SavedFitError
            Where the file cannot be read.
        """
        path = self._path(stage, chain)
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = dict(stored)
            leaves, structure = jax.tree.flatten(like)
            states = [arrays.pop(f"state{i}") for i in range(len(leaves))]
            if any(map(_differ, states, leaves)) or f"state{len(leaves)}" in arrays:
                raise ValueError("of another sampler")
        except UNREADABLE as error:
            raise SavedFitError(
                f"{path} cannot be read ({error}); delete it, and the chain's stage begins anew"
            ) from error
        return jax.tree.unflatten(structure, states), arrays

    def write(self, stage: str, chain: int, state: Any, collected: Collected) -> None:
        """Keep what a chain's stage has drawn so far, and the sampler's state."""
        leaves = jax.tree.leaves(state)
        arrays: dict[str, Any] = {f"state{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
        with atomic_write(self._path(stage, chain)) as partial, partial.open("wb") as file:
            np.savez(file, **{**arrays, **collected})

    def refuse_other_sums(self, xy: ArrayLike, yy: ArrayLike) -> None:
        """Keep X'Wy and y'Wy over all rows, or compare them with those that are kept.

        Of rows that are not in memory the folder's label knows a sample alone.

        Raises
        ------
        SavedFitError
            Where they are others, or their file cannot be read.
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
            raise SavedFitError(f"{path} cannot be read ({error}); take another folder") from error
        if not same:
            raise SavedFitError(
                f"{self._folder} holds a fit to other rows; take another folder, or delete it to "
                "begin anew"
            )

    def _path(self, stage: str, chain: int) -> Path:
        return self._folder / f"{stage}-{chain}.npz"


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    size = float(np.abs(other).max(initial=0.0))
    return one.shape == np.shape(other) and np.allclose(one, other, rtol=SAME, atol=SAME * size)


def _differ(one: NDArray[Any], other: Any) -> bool:
    return bool(one.shape != other.shape or one.dtype != other.dtype)


def _described(data: Rows, model: Model, settings: SamplerSettings) -> dict[str, str]:
    """What makes a fit what it is: the same draws follow from the same of all these."""
    held = data.in_memory
    digest = hashlib.sha256()
    for array in (held.actions, held.outcome, held.intervened):
        digest.update(np.ascontiguousarray(array).tobytes())
    rows = [data.names, data.outcome_name, len(data), *map(repr, data.lift_tests)]
    rows += map(repr, data.categories)
    digest.update(json.dumps([*rows, list(data.regimes.values())]).encode())
    libraries = {
        name: version(name) for name in ("bayes-intgen", "numpyro", "jax", "numpy", "scipy")
    }
    return {
        "data": digest.hexdigest(),
        "model": serialise.dumps(model),
        "settings": json.dumps({k: v for k, v in asdict(settings).items() if k != "progress"}),
        "versions": json.dumps(libraries),
        "sampler": str(SAMPLER),
    }
