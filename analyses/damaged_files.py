"""Damaged files: a saved fit or checkpoint gives the same draws, or one error of the package.

    python analyses/damaged_files.py [--files 2000] [--checkpoints 120] [--quick]

Saved fits are damaged at random (bit flips, garbled and zeroed runs, truncations, appended bytes,
all of these after the checksum is cut off) or crafted: well-formed files with links to other files,
cycles, enormous declared sizes, missing parts and models of other types, with a right checksum.
Checkpoints are damaged alike. Each file is loaded in another process: a crash and
a load of over a minute are failures, and so are other numbers than the intact file's, and any other
error than a `SavedFitError`.
"""

import argparse
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

import bayes_intgen as bi
from bayes_intgen._atomic import with_checksum
from bayes_intgen.simulators import Polynomial

from _crafted import CRAFTS, craft
from _study import RESULTS, command_of
from _tables import publish_table
from _worker import Worker

OUTCOMES = ("SavedFitError", "same numbers", "FAILURE")
# Shares of the files: the rest is crafted.
SHARES = {"flipped bit": 0.3, "garbled run": 0.15, "zeroed run": 0.15, "truncated": 0.1,
          "appended bytes": 0.05, "without checksum, damaged": 0.05}  # fmt: skip
CHECKPOINT_FIT = {"draws": 60, "warmup": 40, "chains": 2, "progress": False}
Damage = Callable[[bytes, np.random.Generator], bytes]


def _with_run(content: bytes, begin: int, run: bytes) -> bytes:
    return content[:begin] + run[: len(content) - begin] + content[begin + len(run) :]


def flipped_bit(content: bytes, rng: np.random.Generator) -> bytes:
    """Flip one bit."""
    place = int(rng.integers(len(content)))
    return _with_run(content, place, bytes([content[place] ^ 1 << int(rng.integers(8))]))


def garbled_run(content: bytes, rng: np.random.Generator) -> bytes:
    """Overwrite 1 to 512 bytes by random ones."""
    begin = int(rng.integers(len(content)))
    return _with_run(content, begin, rng.bytes(2 ** int(rng.integers(10))))


def zeroed_run(content: bytes, rng: np.random.Generator) -> bytes:
    """Overwrite 64 to 65,536 bytes by zeros."""
    begin = int(rng.integers(len(content)))
    return _with_run(content, begin, bytes(2 ** int(rng.integers(6, 17))))


def truncated(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut the end off: anywhere, or within the last 200 bytes."""
    cut = int(rng.integers(1, rng.choice([200, len(content)])))
    return content[:-cut]


def appended_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Append 1 to 1,000 bytes, or the file itself."""
    return content + (content if rng.random() < 0.1 else rng.bytes(int(rng.integers(1, 1000))))


def without_checksum_damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut off the checksum, and damage the rest."""
    cut = content[: len(content) - len(with_checksum(b""))]
    return [flipped_bit, garbled_run, zeroed_run][rng.integers(3)](cut, rng)


DAMAGES: dict[str, Damage] = {
    "flipped bit": flipped_bit,
    "garbled run": garbled_run,
    "zeroed run": zeroed_run,
    "truncated": truncated,
    "appended bytes": appended_bytes,
    "without checksum, damaged": without_checksum_damaged,
}


def rows_of_checkpoint() -> bi.RegimeData:
    """The rows to which checkpoints belong."""
    return Polynomial.random(2, seed=0).dataset(100, seed=0)


def fit_checkpoint(file: str | None) -> bi.Posterior:
    """Fit with a checkpoint, or continue from it."""
    model = bi.models.additive("linear")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.BayesIntgenWarning)
        return bi.fit(rows_of_checkpoint(), model, checkpoint=file, **CHECKPOINT_FIT)


def outcome_of_load(path: str, intact: str) -> str:
    """Outcome of loading a file: an error, or whether every number equals the intact file's."""
    try:
        tree = bi.load(path).tree
    except bi.SavedFitError:
        return "SavedFitError"
    return "same numbers" if tree.identical(bi.load(intact).tree) else "FAILURE other numbers"


def outcome_of_resume(file: str, intact: str) -> str:
    """Outcome of a fit that continues from a checkpoint: an error, or whether draws are equal."""
    try:
        tree = fit_checkpoint(file).tree
    except bi.SavedFitError as error:
        return "SavedFitError" if file in str(error) else f"FAILURE names no file: {error}"
    # It is another fit, at another time, of the same draws.
    own, other = tree, bi.load(intact).tree
    same = own.equals(other) and own["fit"].attrs == other["fit"].attrs
    return "same numbers" if same else "FAILURE other draws"


def write_fits(folder: Path) -> list[Path]:
    """Save fits of several kinds: with a check, and of importance draws."""
    rows = rows_of_checkpoint()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.BayesIntgenWarning)
        posterior = bi.fit(rows, draws=60, chains=2, progress=False)
        check = bi.check(rows, held_out=0, progress=False)
        other = bi.fit(rows, draws=100, method="laplace", progress=False)
    paths = [folder / f"intact{i}.nc" for i in range(2)]
    posterior.with_check(check).save(paths[0])
    other.save(paths[1])
    return paths


def damaged_fits(files: int, folder: Path) -> dict[str, Counter[str]]:
    """Outcomes of loading damaged and crafted files, by kind of damage."""
    intact = write_fits(folder)
    path = folder / "damaged.nc"
    rng = np.random.default_rng(0)
    outcomes: dict[str, Counter[str]] = {}
    crafted = list(CRAFTS)
    kinds = [kind for kind, share in SHARES.items() for _ in range(int(share * files))]
    with Worker("damaged_files") as worker:
        for i in range(files):
            base = intact[i % len(intact)]
            if i < len(kinds):
                kind = kinds[i]
                path.write_bytes(DAMAGES[kind](base.read_bytes(), rng))
            else:
                name = crafted[i % len(crafted)]
                kind = f"crafted: {name}"
                path.unlink(missing_ok=True)
                craft(name, base, path, rng)
            outcome = worker.call("outcome_of_load", str(path), str(base))
            record(outcomes, kind, outcome)
    return outcomes


def damaged_checkpoints(tries: int, folder: Path) -> dict[str, Counter[str]]:
    """Outcomes of fits that continue from damaged checkpoints, by kind of damage."""
    intact, run, plain = folder / "intact", folder / "run", folder / "plain.nc"
    fit_checkpoint(str(intact))
    fit_checkpoint(None).save(plain)
    rng = np.random.default_rng(1)
    outcomes: dict[str, Counter[str]] = {}
    # The first fit of a process compiles.
    with Worker("damaged_files", 180) as worker:
        for i in range(tries):
            kind = list(DAMAGES)[i % len(DAMAGES)]
            run.write_bytes(DAMAGES[kind](intact.read_bytes(), rng))
            outcome = worker.call("outcome_of_resume", str(run), str(plain))
            record(outcomes, kind, outcome)
    return outcomes


def record(outcomes: dict[str, Counter[str]], kind: str, outcome: str) -> None:
    """Count an outcome, and print a failure."""
    outcomes.setdefault(kind, Counter())[outcome.split(" ")[0].replace("same", "same numbers")] += 1
    if outcome.startswith("FAILURE"):
        print(kind, outcome, flush=True)


def table_of(what: str, outcomes: dict[str, Counter[str]]) -> list[dict[str, object]]:
    """Counts of outcomes, by kind of damage and over all."""
    total: Counter[str] = sum(outcomes.values(), Counter())
    return [
        {
            "what": what,
            "damage": kind,
            "tried": own.total(),
            **{name: own[name] for name in OUTCOMES},
        }
        for kind, own in [*sorted(outcomes.items()), ("all", total)]
    ]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000, help="damaged saved fits")
    parser.add_argument("--checkpoints", type=int, default=120, help="damaged checkpoints")
    parser.add_argument("--quick", action="store_true", help="a small run, for a test")
    parser.add_argument("--output", type=Path, help="folder of the table")
    args = parser.parse_args()
    if args.quick:
        args.files, args.checkpoints = 100, 8
    output = args.output or (Path("output/quick") if args.quick else RESULTS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = table_of("saved fit", damaged_fits(args.files, folder))
        rows += table_of("checkpoint", damaged_checkpoints(args.checkpoints, folder))
    publish_table(
        output / "damaged_files.csv",
        rows,
        command_of("damaged_files", args, "files", "checkpoints"),
    )


if __name__ == "__main__":
    main()
