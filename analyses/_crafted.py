"""Crafted files: well-formed HDF5 that no fit has, with a right checksum.

Each function changes the file of a saved fit in place, given a random generator.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bayes_intgen._atomic import with_checksum, without_checksum

# Variables and groups that every fit has.
VARIABLES = (
    "posterior/intercept", "posterior/noise_sd", "posterior/scale", "posterior/draw",
    "sample_stats/lp", "constant_data/rows", "constant_data/intervened",
    "constant_data/action", "coefficients/coefficients", "noise/quantile", "support/reference",
    "support/regime_of",
)  # fmt: skip
ARRAYS = ("posterior/noise_sd", "coefficients/coefficients", "noise/quantile", "support/reference")
GROUPS = ("posterior", "sample_stats", "constant_data", "coefficients", "noise")
MODELS = ("model", "terms", "spread")
Craft = Callable[[h5py.File, np.random.Generator, Path], None]


def craft(name: str, base: Path, path: Path, rng: np.random.Generator) -> None:
    """Write a crafted file.

    Parameters
    ----------
    name : str
        Key of ``CRAFTS``.
    base, path : Path
        A saved fit, and the file to write.
    rng : Generator
    """
    content = without_checksum(base.read_bytes())
    assert content is not None
    path.write_bytes(content)
    with h5py.File(path, "r+") as file:
        CRAFTS[name](file, rng, base)
    path.write_bytes(with_checksum(path.read_bytes()))


def _replaced(file: h5py.File, name: str, **settings: Any) -> h5py.Dataset:
    """Replace a variable by another of the same name and, unless given, shape and type."""
    old = file[name]
    settings = {"shape": old.shape, "dtype": old.dtype, **settings}
    del file[name]
    return file.create_dataset(name, **settings)


def _external_link(file: h5py.File, rng: np.random.Generator, base: Path) -> None:
    name = str(rng.choice([*VARIABLES, *GROUPS, "stolen", "posterior/stolen"]))
    target = name if name in file else "posterior"
    if name in file:
        del file[name]
    file[name] = h5py.ExternalLink(str(base), target)


def _soft_link(file: h5py.File, rng: np.random.Generator, base: Path) -> None:
    name = str(rng.choice(["posterior/intercept", "sample_stats/lp"]))
    del file[name]
    file[name] = h5py.SoftLink("/posterior/noise_sd")


def _cycle(file: h5py.File, rng: np.random.Generator, base: Path) -> None:
    group = str(rng.choice(GROUPS))
    target = rng.choice([group, "/"])
    file[f"{group}/{rng.choice(['parent', 'posterior', 'check'])}"] = file[str(target)]


def _external_storage(file: h5py.File, rng: np.random.Generator, base: Path) -> None:
    name = str(rng.choice(ARRAYS))
    _replaced(file, name, external=[(str(base), 0, h5py.h5f.UNLIMITED)])


def _virtual(file: h5py.File, rng: np.random.Generator, base: Path) -> None:
    name = str(rng.choice(ARRAYS))
    old = file[name]
    layout = h5py.VirtualLayout(old.shape, old.dtype)
    layout[...] = h5py.VirtualSource(str(base), name, old.shape)
    del file[name]
    file.create_virtual_dataset(name, layout)


def _large(file: h5py.File, rng: np.random.Generator, base: Path) -> None:
    name = str(rng.choice(VARIABLES))
    shape = tuple(10 ** int(rng.integers(4, 7)) for _ in file[name].shape)
    how = rng.choice([{}, {"chunks": True, "compression": "gzip"}])
    for each in (name, "noise/probability")[: 1 + (name == "noise/quantile")]:
        _replaced(file, each, shape=shape, **how)


def _compressed(file: h5py.File, rng: np.random.Generator, base: Path) -> None:
    name = str(rng.choice(ARRAYS))
    how = rng.choice([{"compression": "gzip"}, {"shuffle": True}, {"fletcher32": True}, {}])
    values = file[name][()]
    _replaced(file, name, chunks=True, **how)[...] = values


def _other_type(file: h5py.File, rng: np.random.Generator, base: Path) -> None:
    name = str(rng.choice(VARIABLES))
    types = [
        np.complex128, "S3", np.bool_, "V4", np.dtype([("a", float), ("b", int)]),
        h5py.vlen_dtype(np.int32), h5py.ref_dtype,
    ]  # fmt: skip
    types += [] if file[name].dtype.kind == "O" else [h5py.string_dtype()]
    _replaced(file, name, dtype=types[rng.integers(len(types))])


def _other_size(file: h5py.File, rng: np.random.Generator, base: Path) -> None:
    name = str(rng.choice(VARIABLES[:-2]))
    old = file[name]
    values, axis = old[()], int(rng.integers(old.ndim))
    size = int(rng.choice([n for n in (0, 1, 2, old.shape[axis] - 1) if n != old.shape[axis]]))
    values = np.take(values, range(min(size, old.shape[axis])), axis)
    _replaced(file, name, shape=values.shape)[...] = values


def _missing(file: h5py.File, rng: np.random.Generator, base: Path) -> None:
    what = [*VARIABLES, *GROUPS, *(f"@{name}" for name in (*MODELS, "outcome", "creation_library"))]
    name = str(rng.choice(what))
    if name.startswith("@"):
        del (file if name == "@creation_library" else file["fit"]).attrs[name[1:]]
    else:
        del file[name]


def _not_finite(file: h5py.File, rng: np.random.Generator, base: Path) -> None:
    variable = file[
        str(rng.choice(["coefficients/coefficients", "posterior/noise_sd", "noise/quantile"]))
    ]
    values = variable[()]
    values.flat[rng.integers(values.size)] = rng.choice([np.nan, np.inf, -np.inf])
    variable[...] = values


def _attribute(file: h5py.File, rng: np.random.Generator, base: Path) -> None:
    values: list[Any] = [
        3, 2.5, "3", "null", "[]", "{}", "{", "", b"\xff\xfe", "[" * 100_000, '{"a":' * 100_000,
        '{"kind": "LogNormal", "median": 1, "sigma": 1}', np.zeros((3, 3)), h5py.Empty("f8"),
        ["a", "b"], '{"kind": "Popen", "args": ["true"]}', '{"kind": ["GP"]}', "1e999", "NaN",
    ]  # fmt: skip
    file["fit"].attrs[str(rng.choice(MODELS))] = values[rng.integers(len(values))]


def _model_of_other_types(file: h5py.File, rng: np.random.Generator, base: Path) -> None:
    """Replace one number, text or truth value within a model by a value of another type."""
    name = str(rng.choice(MODELS))
    model = json.loads(file["fit"].attrs[name])
    holders = list(_leaves(model))
    holder, key = holders[rng.integers(len(holders))]
    others: list[Any] = [{"kind": "array", "shape": [1], "values": [0.0]}, [[]], float("nan")]
    others += [7] if isinstance(holder[key], str) else ["x"]
    holder[key] = others[rng.integers(len(others))]
    file["fit"].attrs[name] = json.dumps(model)


def _leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    """Places of numbers, texts and truth values in decoded JSON."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, dict | list):
            yield from _leaves(item)
        elif item is not None:
            yield value, key


def _findings(file: h5py.File, rng: np.random.Generator, base: Path) -> None:
    """Findings that are no pairs of texts."""
    file["fit"].attrs["findings"] = ["[1", '[["a"]]', "null", '[["copies", ""]]'][rng.integers(4)]


CRAFTS: dict[str, Craft] = {
    "external link": _external_link,
    "soft link": _soft_link,
    "cycle of groups": _cycle,
    "external storage": _external_storage,
    "virtual variable": _virtual,
    "declared size": _large,
    "compressed variable": _compressed,
    "variable of another type": _other_type,
    "variable of another size": _other_size,
    "missing part": _missing,
    "number that is not finite": _not_finite,
    "attribute of another kind": _attribute,
    "findings without words": _findings,
    "model of other types": _model_of_other_types,
}
