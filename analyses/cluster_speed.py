"""Time of a fit on a Dask cluster of several workers and of one, and rows per second of a worker.

    python analyses/cluster_speed.py [--rows 4000000] [--actions 3] [--workers 2] [--quick]

Workers of one thread each, on this machine, read a Parquet file of random polynomial data, all
regimes in every row group, and sum its rows; the client fits by a Laplace approximation. Numbers of
workers alternate, --repeats times, after a first fit, which compiles. Seconds are those of the
clock, reading included; "processor" is the time of processors, which other processes change less:
of the client, and of all workers together. "Bound" is what several workers leave of the time of one
if they split the work of workers evenly. Every fit must have the same draws.
"""

import argparse
import hashlib
import logging
import os
import resource
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
from distributed import Client, LocalCluster
from pyarrow import parquet

import bayes_intgen as bi
from bayes_intgen.simulators import Polynomial

from _study import RESULTS, command_of
from _tables import publish_table

ROWS_PER_GROUP = 60_000
# Keep freed memory in workers, which by Dask's default return it to the system at once: half of
# the processor time would go into clearing it again.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "134217728", "MALLOC_MMAP_THRESHOLD_": "33554432"}
Row = dict[str, Any]


def write_mixed_rows(path: Path, world: Polynomial, rows: int) -> None:
    """Write rows of all regimes in no order, in row groups."""
    regimes, rng = [(), *((name,) for name in world.names)], np.random.default_rng(7)
    writer = None
    for start in range(0, rows, ROWS_PER_GROUP):
        some = min(ROWS_PER_GROUP, rows - start) // len(regimes)
        parts = []
        for regime in regimes:
            actions, outcome = world.sample(regime, some, rng)
            label = pa.array([*regime, None][:1] * some, type=pa.string())
            columns = dict(zip(world.names, actions.T, strict=True))
            parts.append(pa.table({**columns, "outcome": outcome, "regime": label}))
        table = pa.concat_tables(parts)
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table.take(rng.permutation(len(table))))
    if writer is not None:
        writer.close()


def used() -> tuple[int, float, float]:
    """Identity of the process, its seconds of processors, and its peak memory in GB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return os.getpid(), time.process_time(), peak


def timed_fit(path: Path, world: Polynomial, workers: int) -> Row:
    """Read and fit on a new cluster."""
    local = {"threads_per_worker": 1, "dashboard_address": "localhost:0"}
    with (
        LocalCluster(n_workers=workers, silence_logs=logging.CRITICAL, **local) as cluster,
        Client(cluster) as client,
    ):
        client.run(_prepared)
        before = {pid: seconds for pid, seconds, _ in client.run(used).values()}
        began, mine = time.perf_counter(), time.process_time()
        data = bi.DistributedData.from_parquet(
            path, world.names, "outcome", "regime", client=client, progress=False
        )
        posterior = bi.fit(data, method="laplace", progress=False)
        seconds, mine = time.perf_counter() - began, time.process_time() - mine
        after = client.run(used).values()
    points, _ = world.sample(world.names, 100, np.random.default_rng(8))
    draws = posterior.joint_effect(points).to_numpy()
    theirs = [seconds - before[pid] for pid, seconds, _ in after]
    return {
        "workers": workers,
        "rows": len(data),
        "seconds": seconds,
        "client": mine,
        "in workers": sum(theirs),
        "peak": max(peak for *_, peak in after),
        "draws": int(hashlib.sha256(draws.tobytes()).hexdigest(), 16),
    }


def _prepared() -> None:
    """Import the library, and leave the session of the client.

    Linux gives sessions equal shares of processors that others use too, however many processes
    they have.
    """
    assert bi.fit
    os.setsid()


def summary(fits: list[Row], actions: int) -> list[Row]:
    """Medians over the fits with each number of workers, those with one first."""
    lines, medians = [], []
    for workers in dict.fromkeys(fit["workers"] for fit in fits):
        own = [fit for fit in fits if fit["workers"] == workers]
        medians.append({name: median(fit[name] for fit in own) for name in own[0]})
        one, these = medians[0], medians[-1]
        bound = one["client"] + one["in workers"] / workers
        lines.append(
            {
                "workers": workers,
                "rows": own[0]["rows"],
                "actions": actions,
                "fits": len(own),
                "seconds": f"{these['seconds']:.1f}",
                "to one": f"{these['seconds'] / one['seconds']:.2f}",
                "client, processor": f"{these['client']:.2f}",
                "workers, processor": f"{these['in workers']:.2f}",
                "bound": f"{bound / (one['client'] + one['in workers']):.2f}",
                "rows/s of a worker": f"{these['rows'] / these['in workers']:.0f}",
                "peak GB of a worker": f"{these['peak']:.2f}",
            }
        )
    return lines


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--actions", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="beside one")
    parser.add_argument("--repeats", type=int, default=3, help="fits with each number of workers")
    parser.add_argument("--quick", action="store_true", help="few rows, for a test")
    parser.add_argument("--output", type=Path, help="folder of the table")
    args = parser.parse_args()
    if args.quick:
        args.rows, args.actions, args.repeats = 70_000, 2, 1
    output = args.output or (Path("output/quick") if args.quick else RESULTS)
    warnings.simplefilter("ignore", bi.BayesIntgenWarning)
    os.environ |= KEEP_MEMORY
    world, fits = Polynomial.random(args.actions, 3), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        write_mixed_rows(path, world, args.rows)
        # Compiles.
        timed_fit(path, world, args.workers)
        for _ in range(args.repeats):
            for workers in (1, args.workers):
                fits.append(timed_fit(path, world, workers))
                print({k: v for k, v in fits[-1].items() if k != "draws"}, flush=True)
    assert len({fit["draws"] for fit in fits}) == 1, "draws depend on the number of workers"
    command = command_of("cluster_speed", args, "rows", "actions", "workers", "repeats")
    table = output / f"cluster_speed_K{args.actions}.csv"
    publish_table(table, summary(fits, args.actions), command)


if __name__ == "__main__":
    main()
