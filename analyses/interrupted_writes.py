"""Interrupted writes: no kill and no full disk loses draws or leaves half a file.

    python analyses/interrupted_writes.py [--fits 40] [--saves 60] [--disks 10] [--quick]

Default fits with a checkpoint are killed (SIGKILL) at random moments until each ends: its draws
must equal those of an uninterrupted fit, and no temporary file may be left. Processes that
save one of two fits to the same file over and over are killed: the file must be one of the two, and
the next save must remove what the dead process left. On disks (tmpfs) that are full after a random
number of bytes a fit is saved, sampled with a checkpoint, reported and plotted: each must raise an
OSError and leave the old file as it was, and the fit must continue from its checkpoint on a larger
disk. Mounting disks needs the rights of the superuser; without them that part is left out.
"""

import argparse
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import bayes_intgen as bi
from bayes_intgen.cli import main as command_line
from bayes_intgen.simulators import Polynomial

from _study import RESULTS, command_of
from _tables import publish_table
from _worker import Worker

SETTINGS = {"draws": 300, "warmup": 60, "chains": 2, "progress": False}
WRITES = ("save", "checkpoint", "report", "plot")
Row = dict[str, Any]


def fit(file: str | None, out: str) -> str:
    """Fit the default model with a checkpoint, and save it."""
    rows = Polynomial.random(2, seed=0).dataset(100, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.BayesIntgenWarning)
        bi.fit(rows, checkpoint=file, **SETTINGS).save(out)
    return "done"


def save_forever(one: str, other: str, path: str) -> None:
    """Save two fits to the same path in turn, until the process is killed."""
    fits = [bi.load(one), bi.load(other)]
    Path(path).with_suffix(".ready").touch()
    while True:
        for each in fits:
            each.save(path)


def write(what: str, intact: str, path: str) -> str:
    """Write a file or checkpoint to a disk; return the class of the error, if there is one."""
    try:
        if what == "checkpoint":
            return fit(path, f"{path}.nc")
        posterior = bi.load(intact)
        if what == "save":
            posterior.save(path)
        elif what == "report":
            posterior.report(path)
        else:
            code = command_line(["plot", intact, "-o", path, "--quiet"])
            return "OSError" if code == 1 else f"FAILURE exit code {code}"
    except OSError as error:
        return "OSError" if error.errno == 28 else f"FAILURE {error}"
    return "written"


def leftovers(folder: Path) -> list[str]:
    """Names of temporary files in a folder."""
    return sorted(file.name for file in folder.glob(".*.part"))


def report_failure(what: str, failure: str) -> bool:
    """Print a failure, if there is one; whether there is one."""
    if failure:
        print(f"{what}: FAILURE {failure}", flush=True)
    return bool(failure)


def killed_fits(kills: int, folder: Path) -> Row:
    """Kill fits at random moments until each ends, and compare its draws."""
    rng = np.random.default_rng(0)
    # With a cache of compiled programs most of a fit is sampling.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "compiled")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    whole = folder / "whole.nc"
    with Worker("interrupted_writes", 600) as worker:
        for _ in range(2):
            worker.kill()
            worker.start("fit", None, str(whole))
            began = time.perf_counter()
            assert worker.result() == "done"
            takes = time.perf_counter() - began
        expected = bi.load(whole).tree
        killed = grown = left = runs = failures = 0
        while killed < kills:
            run, out = folder / f"run{runs}", folder / f"run{runs}.nc"
            runs += 1
            while True:
                written = run.exists()
                worker.kill()
                worker.start("fit", str(run), str(out))
                # At a random moment of the fit, or soon after the checkpoint was written.
                if rng.random() < 0.6 and not written:
                    while not run.exists() and not worker.ends(0.002):
                        pass
                    moment = rng.uniform(0, 0.5)
                else:
                    moment = rng.uniform(0, takes)
                if killed == kills or worker.ends(moment):
                    break
                worker.kill()
                killed += 1
                grown += run.exists()
                left += bool(leftovers(folder))
            result = worker.result()
            same = result == "done" and bi.load(out).tree.equals(expected)
            failure = "" if same else f"other draws ({result})"
            failure = failure or ", ".join(leftovers(folder))
            failures += report_failure(f"fit {runs}", failure)
    return {"what": "kill during a fit", "tried": killed, "fits": runs,
            "killed after progress": grown, "temporary files left": left,
            "FAILURE": failures}  # fmt: skip


def killed_saves(kills: int, folder: Path, intact: Path) -> Row:
    """Kill processes that save one of two fits, and load the file."""
    rng = np.random.default_rng(1)
    one, path = bi.load(intact), folder / "saved" / "fit.nc"
    tree = one.tree.copy()
    reverse = tree["coefficients"].to_dataset().isel(draw=slice(None, None, -1))
    tree["coefficients"] = tree["coefficients"].copy().assign(reverse.drop_vars("draw"))
    other = bi.Posterior(tree)
    other.save(folder / "other.nc")
    path.parent.mkdir()
    one.save(path)
    began = time.perf_counter()
    one.save(path)
    takes = time.perf_counter() - began
    ready, failures, left, saved = path.with_suffix(".ready"), 0, 0, 0
    with Worker("interrupted_writes") as worker:
        for kill in range(kills):
            ready.unlink(missing_ok=True)
            worker.start("save_forever", str(intact), str(folder / "other.nc"), str(path))
            while not ready.exists() and not worker.ends(0.01):
                pass
            worker.ends(rng.uniform(0, 3 * takes))
            worker.kill()
            ready.unlink(missing_ok=True)
            left += bool(leftovers(path.parent))
            loaded = bi.load(path).tree
            which = [name for name, each in (("one", one), ("other", other))
                     if loaded.identical(each.tree)]  # fmt: skip
            saved += which == ["other"]
            one.save(path)
            failure = "" if which else "neither of the two fits"
            failure = failure or ", ".join(leftovers(path.parent))
            failures += report_failure(f"save {kill}", failure)
    return {"what": "kill during a save", "tried": kills, "fits": 2,
            "killed after progress": saved, "temporary files left": left,
            "FAILURE": failures}  # fmt: skip


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Mount a disk of some bytes; yields whether that is possible."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = hasattr(os, "geteuid") and os.geteuid() == 0 and _runs("mount", *options)
    try:
        yield mounted
    finally:
        if mounted:
            _runs("umount", "-l", str(folder))
        folder.rmdir()


def _runs(*command: str) -> bool:
    return not subprocess.run(command, capture_output=True, check=False).returncode


def can_mount(folder: Path) -> bool:
    """Whether this process may mount disks."""
    with small_disk(folder / "trial", 4096) as mounted:
        return mounted


def full_disks(disks: int, what: str, folder: Path, intact: Path) -> Row:
    """Write to disks that are full after some bytes."""
    failures, shares = 0, np.linspace(0.02, 0.9, disks)
    plain = folder / f"plain-{what}"
    plain.mkdir()
    with Worker("interrupted_writes", 600) as worker:
        target = plain / "file.svg"
        worker.call("write", what, str(intact), str(target))
        total = sum(file.stat().st_size for file in plain.iterdir())
        for i, share in enumerate(shares):
            size = 4096 * (2 + int(share * total / 4096))
            disk = folder / f"disk-{what}-{i}"
            with small_disk(disk, size) as mounted:
                assert mounted
                failure = _full_disk(worker, what, disk, intact)
            failures += report_failure(f"{what} on {size} bytes", failure)
    return {"what": f"full disk: {what}", "tried": disks, "fits": "",
            "killed after progress": "", "temporary files left": "",
            "FAILURE": failures}  # fmt: skip


def _full_disk(worker: Worker, what: str, disk: Path, intact: Path) -> str:
    """Write to a disk that is too small; return what is wrong with the result."""
    target = disk / "file.svg"
    if what != "checkpoint":
        target.write_bytes(b"old")
    result = worker.call("write", what, str(intact), str(target))
    left = leftovers(disk)
    if result != "OSError" or left:
        return f"{result} {left}"
    if what != "checkpoint":
        return "" if target.read_bytes() == b"old" else "the old file is lost"
    out = disk.parent / "continued.nc"
    if not _runs("mount", "-o", "remount,size=64m", str(disk)):
        return "the disk cannot be enlarged"
    result = worker.call("fit", str(target), str(out))
    same = result == "done" and bi.load(out).tree.equals(bi.load(intact).tree)
    return "" if same else f"other draws after the disk was enlarged ({result})"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=40, help="kills during fits")
    parser.add_argument("--saves", type=int, default=60, help="kills during saves")
    parser.add_argument("--disks", type=int, default=10, help="sizes of full disks")
    parser.add_argument("--quick", action="store_true", help="a small run, for a test")
    parser.add_argument("--output", type=Path, help="folder of the table")
    args = parser.parse_args()
    if args.quick:
        args.fits, args.saves, args.disks = 2, 2, 1
    output = args.output or (Path("output/quick") if args.quick else RESULTS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        intact = folder / "whole.nc"
        rows = [killed_fits(args.fits, folder), killed_saves(args.saves, folder, intact)]
        if can_mount(folder):
            rows += [full_disks(args.disks, what, folder, intact) for what in WRITES]
        else:
            print("no disk can be mounted: full disks are left out")
    command = command_of("interrupted_writes", args, "fits", "saves", "disks")
    publish_table(output / "interrupted_writes.csv", rows, command)


if __name__ == "__main__":
    main()
