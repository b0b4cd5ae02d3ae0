"""Long studies: many jobs side by side, saved as they end, resumed where they stopped."""

import argparse
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits
from tqdm import tqdm

import bayes_intgen as bi

from _tables import read_table, write_table

Job = Mapping[str, Any]
Row = dict[str, Any]


def run_study(
    work: Callable[..., list[Row]], jobs: Sequence[Job], path: Path, command: str, processes: int
) -> list[dict[str, str]]:
    """Rows of all jobs, each worked off by ``work(**job)`` in one of several processes.

    Parameters
    ----------
    work : callable
        Gives rows; every row must hold the job's own items, by which it is found again.
    jobs : sequence of mappings
    path : Path
        The table. Jobs whose rows it holds already are not run again.
    command : str
        The command that makes the table, written above it.
    processes : int

    Returns
    -------
    list of dict
        As read back from the table, in the order of the jobs.
    """
    rows: list[Any] = read_table(path) if path.exists() else []
    done = {_key(row, jobs[0]) for row in rows}
    left = [job for job in jobs if _key(job, job) not in done]
    place = {_key(job, job): i for i, job in enumerate(jobs)}
    rows = [row for row in rows if _key(row, jobs[0]) in place]
    if left:
        # A process that has started JAX cannot be forked.
        context = get_context("spawn")
        with (
            ProcessPoolExecutor(processes, mp_context=context, initializer=_quiet) as pool,
            tqdm(total=len(jobs), initial=len(jobs) - len(left), desc=path.stem) as bar,
        ):
            try:
                for future in as_completed([pool.submit(work, **job) for job in left]):
                    rows += [{name: str(v) for name, v in row.items()} for row in future.result()]
                    rows.sort(key=lambda row: place[_key(row, jobs[0])])
                    write_table(path, rows, command)
                    bar.update()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return rows


def _key(row: Mapping[str, Any], job: Job) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in job)


def _quiet() -> None:
    # With a process a core, threads of their own would only get in each other's way.
    threadpool_limits(1, "blas")
    warnings.simplefilter("ignore", bi.BayesIntgenWarning)


def arguments(doc: str, *, models: int, **more: Any) -> argparse.ArgumentParser:
    """The options that every study has: how many models, where to, how many processes."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--models", type=int, default=models, help="random models to run")
    for name, default in more.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true", help="a small run, for a test")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    return parser
