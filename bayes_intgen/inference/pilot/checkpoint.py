"""Checkpoints: a file with the sums over all rows, from which a fit that was killed samples again.

The passes over the rows take longest where rows are many. What else precedes sampling depends on a
sample of the rows and is computed again; so are the draws, which depend on the seed alone. The file
is written at once, and ends with a checksum.
"""

import hashlib
import io
import json
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, Self
from zipfile import BadZipFile

import numpy as np

from bayes_intgen._atomic import atomic_write, with_checksum, without_checksum
from bayes_intgen.data.first_pass import SAMPLE_ROWS
from bayes_intgen.data.rows import Rows
from bayes_intgen.errors import SavedFitError
from bayes_intgen.inference.gaussian.factor import GaussianFactor
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.models import Model, codec
from bayes_intgen.models.terms import Decomposition, Term

# Sums in the file.
SUMS = ("rows", "matrix", "log_scale")


class SavedSums(NamedTuple):
    """What a fit needs passes over all rows for.

    Attributes
    ----------
    terms : Decomposition, candidates : tuple of Term
        Terms of the first fit and candidates, with centres and means over all rows.
    compared : tuple of str
        Names of the terms of the sums, among which the fit selects.
    sums : SufficientStatistics
        Without lift tests.
    """

    terms: Decomposition
    candidates: tuple[Term, ...]
    compared: tuple[str, ...]
    sums: SufficientStatistics

    @classmethod
    def read(cls, path: Path, identity: dict[str, str]) -> Self | None:
        """Read a file, or return None if there is none.

        Raises
        ------
        SavedFitError
            If it belongs to another fit, or is damaged.
        """
        try:
            stored = path.read_bytes()
        except FileNotFoundError:
            return None
        content = without_checksum(stored)
        try:
            with np.load(io.BytesIO(content or b""), allow_pickle=False) as archive:
                arrays = dict(archive)
            other = json.loads(str(arrays["identity"]))
            rows, *factor = (arrays[name] for name in SUMS)
        except (ValueError, LookupError, EOFError, BadZipFile) as error:
            raise SavedFitError(
                f"{path} is no checkpoint, or damaged; name another file, or delete it"
            ) from error
        differences = sorted(key for key in identity if identity[key] != other.get(key))
        if differences:
            raise SavedFitError(
                f"{path} is the checkpoint of a fit with other {', '.join(differences)}; name "
                "another file, or delete it"
            )
        sums = SufficientStatistics(float(rows), GaussianFactor(*factor))
        terms = codec.loads(str(arrays["terms"]), Decomposition)
        candidates = codec.loads(str(arrays["candidates"]), tuple)
        return cls(terms, candidates, tuple(arrays["compared"].tolist()), sums)

    def write(self, path: Path, identity: dict[str, str]) -> None:
        """Write the file, atomically."""
        archive = io.BytesIO()
        values = self.sums.rows, *self.sums.factor
        arrays = dict(zip(SUMS, map(np.asarray, values), strict=True))
        arrays["compared"] = np.array(self.compared, dtype=str)
        arrays["identity"] = np.array(json.dumps(identity))
        arrays["terms"] = np.array(codec.dumps(self.terms))
        arrays["candidates"] = np.array(codec.dumps(self.candidates))
        # NumPy's stub takes further names for the option `allow_pickle`.
        np.savez(archive, **arrays)  # type: ignore[arg-type]
        atomic_write(path, with_checksum(archive.getvalue()))


def identity_of_fit(data: Rows, model: Model, simplify: bool) -> dict[str, str]:
    """Digests and texts of all that determines the sums of a fit."""
    rows = [data.names, data.outcome_name, len(data), *map(repr, data.lift_tests)]
    rows += map(repr, (*data.categories, *data.columns.categories))
    rows += [*data.columns.every, *data.columns.labels, list(data.regimes.values()), data.digest]
    # Scales and the variance function are those of the sample, which depends on the order of rows.
    sample = hashlib.sha256()
    for array in data.sample(SAMPLE_ROWS).arrays.values():
        # Adding zero removes the sign of negative zeros.
        sample.update((array + 0.0).tobytes())
    rows.append(sample.hexdigest())
    libraries = {name: version(name) for name in ("bayes-intgen", "numpy", "scipy")}
    return {
        "data": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
        "model": codec.dumps(model),
        "simplify": str(simplify),
        "versions": json.dumps(libraries),
    }
