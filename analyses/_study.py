"""Long studies: parallel jobs whose results are saved one by one, so that runs can resume."""

import argparse
import os
import shlex
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits
from tqdm import tqdm

import bayes_intgen as bi

from _tables import commit, publish_table, read_table, versions, write_table

RESULTS = Path(__file__).parent / "results"

Job = Mapping[str, Any]
Row = dict[str, Any]


def run_study(
    work: Callable[..., list[Row]], jobs: Sequence[Job], path: Path, command: str, processes: int
) -> list[dict[str, str]]:
    """Run ``work(**job)`` for all jobs in several processes and collect the rows.

    Parameters
    ----------
    work : callable
        Returns rows; every row must include the items of its job, as a key for resuming.
    jobs : sequence of mappings
    path : Path
        The table. Jobs with rows in it are not run again.
    command : str
        The command that reproduces the table, written above it.
    processes : int

    Returns
    -------
    list of dict
        As read from the table, in the order of the jobs.
    """
    # Of the code that the jobs will run, whatever is committed while they do.
    commit()
    saved: list[Any] = _saved(path, jobs[0])
    finished = {_key(row, jobs[0]) for row in saved}
    remaining = [job for job in jobs if _key(job, job) not in finished]
    place = {_key(job, job): i for i, job in enumerate(jobs)}
    if remaining:
        # A process that has started JAX cannot be forked.
        context = get_context("spawn")
        with (
            ProcessPoolExecutor(processes, mp_context=context, initializer=_quiet) as pool,
            tqdm(total=len(jobs), initial=len(jobs) - len(remaining), desc=path.stem) as bar,
        ):
            try:
                for future in as_completed([pool.submit(work, **job) for job in remaining]):
                    saved += [{name: str(v) for name, v in row.items()} for row in future.result()]
                    saved.sort(key=lambda row: place.get(_key(row, jobs[0]), len(jobs)))
                    write_table(path, saved, command, path)
                    bar.update()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    # Rows of other jobs stay in the table for later runs.
    own = [row for row in saved if _key(row, jobs[0]) in place]
    return sorted(own, key=lambda row: place[_key(row, jobs[0])])


def publish_study(
    name: str,
    args: argparse.Namespace,
    work: Callable[..., list[Row]],
    jobs: Sequence[Job],
    command: str,
    summary: Callable[[list[dict[str, str]]], list[Row]],
) -> tuple[list[dict[str, str]], list[Row]]:
    """Run a study and publish the table of its summary; return its rows and the summary."""
    path = args.output / f"{name}_models.csv"
    rows = run_study(work, jobs, path, command, args.processes)
    lines = summary(rows)
    publish_table(args.output / f"{name}.csv", lines, command, path)
    return rows, lines


def _saved(path: Path, job: Job) -> list[dict[str, str]]:
    """Rows of an earlier run; a table of other versions is moved aside."""
    if not path.exists():
        return []
    rows = read_table(path)
    with path.open() as file:
        made_with = file.readlines()[1].removeprefix("# ").strip()
    if made_with == versions() and set(job) <= set(rows[0]):
        return rows
    aside = path.with_suffix(".old.csv")
    path.replace(aside)
    print(f"{path} is of other versions: moved to {aside}, starting anew")
    return []


def _key(row: Mapping[str, Any], job: Job) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in job)


def _quiet() -> None:
    # With one process per core, further threads would only compete for the cores.
    threadpool_limits(1, "blas")
    warnings.simplefilter("ignore", bi.BayesIntgenWarning)


class _Parser(argparse.ArgumentParser):
    """Parser whose quick runs write to another folder than long runs by default."""

    def parse_args(self, *args: Any, **more: Any) -> Any:
        namespace = super().parse_args(*args, **more)
        if namespace.output is None:
            namespace.output = Path("output/quick") if namespace.quick else RESULTS
        return namespace


def arguments(doc: str, *, models: int, **more: Any) -> argparse.ArgumentParser:
    """Parser of the options that all studies share: models, processes, output folder."""
    parser = _Parser(description=doc.splitlines()[0])
    parser.add_argument("--models", type=int, default=models, help="random models to run")
    for name, default in more.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true", help="a small run, for a test")
    parser.add_argument("--output", type=Path, help="folder of tables and figures")
    return parser


def add_kinds(parser: argparse.ArgumentParser, kinds: Iterable[str]) -> None:
    """Add the option of a study to run some kinds of worlds only."""
    parser.add_argument("--kinds", nargs="+", choices=kinds, help="kinds of worlds, default all")


def story_arguments(doc: str, name: str) -> argparse.ArgumentParser:
    """Parser of the options of an analysis of one data set."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rows and draws, for a test")
    parser.add_argument("--output", type=Path, default=Path("output") / name)
    parser.add_argument("--seed", type=int, default=1)
    return parser


def options(args: argparse.Namespace, *names: str) -> Row:
    """Values of these command-line options, as items of a job."""
    return {name: getattr(args, name) for name in names}


def command_of(script: str, args: argparse.Namespace, *names: str) -> str:
    """Command line that runs a script with these options, and the kinds or techniques chosen."""
    values = options(args, *names).items()
    words = [f"python analyses/{script}.py", *(f"--{name} {x}" for name, x in values)]
    chosen = {name: getattr(args, name, None) for name in ("kinds", "techniques")}
    words += [f"--{name} {shlex.join(own)}" for name, own in chosen.items() if own]
    return " ".join(words)
