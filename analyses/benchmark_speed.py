"""Time and memory of a posterior against rows and actions, beside other ways to an answer.

    python analyses/benchmark_speed.py [--rows 1000000] [--actions 8] [--seconds 30] [--models 1]
        [--kinds "this library" mgcv ...]

Every measurement runs in a separate process on rows of a random polynomial model: seconds and
processor seconds (of all threads) of a first fit, and of a later one (warm) of other rows of the
same size in the same process; peak memory of the process; error of the joint effect relative to
the limit, and coverage of 90% intervals.

- this library: default settings, rows streamed from a Parquet file, compilation included; also
  with the true graph, and by a Laplace approximation. Cached: the first fit again in a new process,
  with the compiled programs of the first. Importing all that a fit needs has a column of its own;
- update: all rows after a fit of ten elevenths of them, beside a new fit (warm);
- mgcv: ``bam(discrete=TRUE)`` of the same decomposition as by= smooths, whose causes are found by F
  tests in the experiments (``additive.R``). In these data control variables instead of
  smooths of the causes take longer and fit no better; smooths of all other actions take more than
  ten times as long with five actions. Rows are in memory;
- scikit-learn: a ridge regression on cubics of each action, and again where it was not set, from
  rows in memory (``_competitors.py``). It gives no intervals, and biases do not depend on causes;
- pyfixest: least squares of the same columns with fixed effects of the regimes;
- NumPyro: its NUTS on the full (joint) model over all rows, one chain, for --seconds after
  compilation. Its time to 400 effective draws of the joint effect is extrapolated from the draws
  after warmup or, with too few of them, is the time of 400 iterations ("at best").

mgcv and pyfixest are optional: R with mgcv, and ``uv run --with pyfixest``. All use the cores that
OMP_NUM_THREADS allows. --rows and --actions are the largest values, --models the number of random
models of each size. A second table has this library's later fits over those of the others. Results
are saved one by one; an interrupted run resumes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import arviz as az
import jax
import matplotlib.pyplot as plt
import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from numpyro.infer import NUTS
from pyarrow import parquet
from pyarrow.csv import write_csv

import bayes_intgen as bi
from bayes_intgen.simulators import Polynomial

from _competitors import OUTCOME, REGIME
from _figures import save_figure
from _mgcv import FOLDER, gaussian_draws, has_mgcv
from _scores import QUICK, coverage, rms
from _study import Row, add_kinds, arguments, command_of
from _tables import print_table, publish_table, read_table, write_table
from accuracy import limit

ROWS = (4_000, 20_000, 100_000, 1_000_000, 10_000_000)
ACTIONS = (2, 3, 5, 8, 16)
# Total rows while actions vary, and actions while rows vary.
ROWS_AT, ACTIONS_AT = 20_000, 5
# The largest tables of other numbers of actions, of NUTS on all rows, and of rows in memory.
MAX_ROWS, MAX_ROWS_OF_NUTS, MAX_ROWS_IN_MEMORY = 100_000, 100_000, 1_000_000
MAX_ACTIONS_WITHOUT_GRAPH = 8
# Maximum number of rows that are sampled at once.
MAX_BATCH_ROWS = 100_000
# For NumPyro: warmup iterations (few favour it), the target of effective draws, and the smallest
# number of draws with a meaningful effective sample size.
WARMUP, ENOUGH, MIN_DRAWS = 50, 400, 8
LIBRARY, GRAPH, NUTS_ON_ROWS, MGCV = "this library", "this library, graph given", "NumPyro", "mgcv"
LAPLACE, UPDATE = "this library, Laplace", "this library, update"
SKLEARN, PYFIXEST = "scikit-learn", "pyfixest"
# Programs that read a folder of rows and write their answer there.
COMPETITORS = {
    MGCV: ["Rscript", str(FOLDER / "additive.R")],
    SKLEARN: [sys.executable, str(FOLDER / "_competitors.py"), "sklearn"],
    PYFIXEST: [sys.executable, str(FOLDER / "_competitors.py"), "pyfixest"],
}
KINDS = (LIBRARY, LAPLACE, GRAPH, UPDATE, *COMPETITORS, NUTS_ON_ROWS)
# File of other data of the same size.
OTHER = "other.parquet"
# What distinguishes the rows of the table.
KEY = ("what", "actions", "rows", "seed")
FIRST_SEED = 3


def write_rows(path: Path, world: Polynomial, rows: int, batch: int = MAX_BATCH_ROWS) -> None:
    """Write equally many training rows of all regimes, in batches."""
    regimes = [(), *((name,) for name in world.names)]
    each = rows // len(regimes)
    writer = None
    for i, regime in enumerate(regimes):
        rng = np.random.default_rng([7, i])
        for start in range(0, each, batch):
            actions, outcome = world.sample(regime, min(batch, each - start), rng)
            columns = dict(zip(world.names, actions.T, strict=True))
            label = [regime[0] if regime else None] * len(outcome)
            table = pa.table(
                {**columns, OUTCOME: outcome, REGIME: pa.array(label, type=pa.string())}
            )
            writer = writer or parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
    if writer is not None:
        writer.close()


class Measurement(NamedTuple):
    """Seconds of one estimator, its draws of the effect (draw, point), and other columns."""

    seconds: float
    draws: np.ndarray
    more: dict[str, str]


def measure(job: dict[str, Any], world: Polynomial, points: np.ndarray) -> Measurement:
    """Run an estimator that needs this process on one file."""
    what, path = job["what"], Path(job["path"])
    columns = (list(world.names), OUTCOME, REGIME)
    if what == NUTS_ON_ROWS:
        data = bi.RegimeData.from_frame(parquet.read_table(path), *columns)
        draws, duration, more = _nuts_on_rows(data, points, job["seconds"])
        return Measurement(duration, draws, more)
    settings = {"progress": False, **(QUICK if job["quick"] else {})}
    if what == UPDATE:
        posterior, duration, more = _updated(path, columns, settings)
    else:
        model = bi.models.additive(graph=world.graph if what == GRAPH else None)
        settings["method"] = "laplace" if what == LAPLACE else "nuts"
        began = time.perf_counter()
        stream = bi.StreamedData.from_parquet(path, *columns, progress=False)
        more = {"seconds reading": f"{time.perf_counter() - began:.1f}"}
        posterior, duration, more["processor"] = _timed_fit(stream, model, **settings)
        other = path.with_name(OTHER)
        if other.exists():
            stream = bi.StreamedData.from_parquet(other, *columns, progress=False)
            _, warm, more["warm processor"] = _timed_fit(stream, model, **settings)
            more["warm"] = f"{warm:.2f}"
    effect = posterior.joint_effect(points)
    draws = effect.to_numpy().reshape(-1, len(points))
    more["times"] = "measured"
    if what in (LAPLACE, UPDATE):
        return Measurement(duration, draws, more)
    hyper = posterior.tree["posterior"].dataset
    ess = [az.ess(hyper, method=method) for method in ("bulk", "tail")]
    some = effect.isel(point=slice(None, None, 10))
    more |= {
        "ess effect": f"{min(float(az.ess(some, method=m).min()) for m in ('bulk', 'tail')):.0f}",
        "ess least": f"{min(float(v.min()) for each in ess for v in each.data_vars.values()):.0f}",
        "max R-hat": f"{max(float(v.max()) for v in az.rhat(hyper).data_vars.values()):.3f}",
        "divergences": f"{int(posterior.tree['sample_stats']['diverging'].sum())}",
    }
    return Measurement(duration, draws, more)


def _timed_fit(data: Any, model: Any, **settings: Any) -> tuple[bi.Posterior, float, str]:
    """Fit; its seconds, and those of the processor."""
    began, busy = time.perf_counter(), time.process_time()
    posterior = bi.fit(data, model, **settings)
    return posterior, time.perf_counter() - began, f"{time.process_time() - busy:.2f}"


def _updated(
    path: Path, columns: tuple[Any, ...], settings: dict[str, Any]
) -> tuple[bi.Posterior, float, dict[str, str]]:
    """Posterior of all rows by an update, its seconds, and those of a new fit, both warm."""
    data = bi.RegimeData.from_frame(parquet.read_table(path), *columns)
    is_new = np.arange(len(data)) % 11 == 10
    first = bi.fit(data.take(~is_new), **settings)
    _, warm, _ = _timed_fit(data, None, **settings)
    began = time.perf_counter()
    posterior = first.update(data.take(is_new), progress=False)
    return posterior, time.perf_counter() - began, {"warm": f"{warm:.2f}"}


def _nuts_on_rows(
    data: bi.RegimeData, points: np.ndarray, seconds: float
) -> tuple[np.ndarray, float, dict[str, str]]:
    """Draws of the joint effect by NUTS on rows, its time to enough of them, and diagnostics."""
    model = bi.models.additive()
    with jax.enable_x64(True):
        terms = model.decompose(data)
        rows = (
            terms.design(data),
            np.ones(len(data)),
            data.outcome - terms.centre,
        )
        at = terms.matrix(points, np.ones(points.shape, dtype=bool))
        kernel = NUTS(model.program)
        state = kernel.init(jax.random.key(0), WARMUP, None, (terms, *rows), {})
        step = jax.jit(lambda state: kernel.sample(state, (terms, *rows), {}))
        step.lower(state).compile()
        sites = jax.jit(kernel.postprocess_fn((terms, *rows), {}))
        draws: list[np.ndarray] = []
        times = [time.perf_counter()]
        # Single iterations, to stop in time.
        while times[-1] - times[0] < seconds:
            state = step(state)
            draws.append(np.asarray(sites(state.z)["coefficients"]))
            times.append(time.perf_counter())
    effect = np.array(draws) @ at.T + terms.centre
    sampled = effect[WARMUP:]
    if len(sampled) < MIN_DRAWS:
        # A lower bound, as if all iterations were independent draws.
        return effect, ENOUGH * (times[-1] - times[0]) / len(draws), {"times": "at best"}
    ess = min(float(az.ess(sampled[None, :, i])) for i in range(0, len(points), 10))
    duration = (times[-1] - times[WARMUP]) / ess * ENOUGH
    return sampled, duration, {"times": "extrapolated", "ess effect": f"{ess:.1f}"}


def query_points(world: Polynomial) -> np.ndarray:
    """Points at which the joint effect is asked for."""
    return world.sample(world.names, 500, np.random.default_rng(8))[0]


def one(job: dict[str, Any]) -> dict[str, str]:
    """Run one job in this process."""
    warnings.simplefilter("ignore", bi.BayesIntgenWarning)
    world = Polynomial.random(job["actions"], job["seed"])
    points = query_points(world)
    duration, draws, more = measure(job, world, points)
    # Draws of the warmup have no meaningful error.
    scored = {} if more["times"] == "at best" else scores(job, world, points, draws)
    return {"time": f"{duration:.2f}", **scored, **more}


def scores(
    job: dict[str, Any], world: Polynomial, points: np.ndarray, draws: np.ndarray
) -> dict[str, str]:
    """Error of the mean of draws, and coverage of their intervals unless all are equal."""
    truth = world.joint_effect(points)
    error = rms(draws.mean(axis=0) - truth) / limit(world, job["rows"] // (job["actions"] + 1))
    covered = "" if len(draws) == 1 else f"{coverage(draws[None], truth, 0.9):.2f}"
    return {"error/limit": f"{error:.2f}", "coverage90": covered}


def by_competitor(job: dict[str, Any], path: Path) -> dict[str, str]:
    """Fit and predict by another program."""
    world, folder = Polynomial.random(job["actions"], job["seed"]), path.parent
    points = query_points(world)
    if job["what"] == MGCV:
        for file in folder.glob("*.parquet"):
            write_csv(parquet.read_table(file), file.with_suffix(".csv"))
    header = ",".join(world.names)
    np.savetxt(folder / "points.csv", points, delimiter=",", header=header, comments="")
    _, peak = run_alone([*COMPETITORS[job["what"]], str(folder), *world.names])
    answer = json.loads((folder / "answer.json").read_text())
    draws = gaussian_draws(answer)
    names = ("time", "processor", "warm", "warm processor")
    # Tables that fill memory are fitted once.
    seconds = dict(zip(names, (f"{value:.3f}" for value in answer["seconds"]), strict=False))
    return {**seconds, "times": "measured", "peak GB": peak, **scores(job, world, points, draws)}


COLUMNS = (
    "what", "actions", "rows", "seed", "time", "times", "processor", "warm", "warm processor",
    "cached", "import", "error/limit", "coverage90", "peak GB", "ess/s", "ess effect",
    "ess least", "max R-hat", "divergences", "seconds reading",
)  # fmt: skip


def per_second(row: dict[str, str]) -> str:
    """Effective draws of the joint effect per second."""
    if row["what"] != NUTS_ON_ROWS and not row["ess effect"]:
        return ""
    draws = ENOUGH if row["what"] == NUTS_ON_ROWS else float(row["ess effect"])
    return ("< " if row["times"] == "at best" else "") + f"{draws / float(row['time']):.3g}"


def in_own_process(job: dict[str, Any]) -> dict[str, str]:
    """Run a job in a fresh process and return its row of the table."""
    is_ours = job["what"] in (LIBRARY, GRAPH, LAPLACE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        write_rows(path, Polynomial.random(job["actions"], job["seed"]), job["rows"])
        other = path.with_name(OTHER)
        has_later = is_ours or job["what"] in COMPETITORS
        if has_later and job["rows"] <= MAX_ROWS_IN_MEMORY:
            write_rows(other, Polynomial.random(job["actions"], job["seed"] + 1), job["rows"])
        run = by_competitor if job["what"] in COMPETITORS else _in_process
        result = run(job, path)
        if is_ours:
            other.unlink(missing_ok=True)
            result["cached"] = _in_process(job, path)["time"]
            result["import"] = _seconds_of_import()
    row = {name: str({**job, **result}.get(name, "")) for name in COLUMNS}
    return {**row, "ess/s": per_second(row)}


def _in_process(job: dict[str, Any], path: Path) -> dict[str, str]:
    """Run a job in a process whose compiled programs are those of earlier ones beside its rows."""
    job = {**job, "path": str(path)}
    programs = {"JAX_COMPILATION_CACHE_DIR": str(path.with_name("programs"))}
    output, peak = run_alone([sys.executable, __file__, "--one", json.dumps(job)], **programs)
    result: dict[str, str] = json.loads(output[-1])
    return {**result, "peak GB": peak}


def run_alone(command: Sequence[str], **variables: str) -> tuple[list[str], str]:
    """Run a command; what it prints, and its peak memory in GB."""
    # The peak of a process is at least that of the one which starts it: start it from a small one.
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20)"
    )
    process = subprocess.run(
        [sys.executable, "-c", script, *command],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, **variables},
    )
    *output, peak = process.stdout.decode().splitlines()
    return output, f"{float(peak):.2f}"


def _seconds_of_import() -> str:
    """Seconds to import what a fit needs, in a new process."""
    script = (
        "import time; began = time.perf_counter(); import bayes_intgen as bi; "
        "bi.fit, bi.StreamedData, bi.models.additive; print(time.perf_counter() - began)"
    )
    process = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE)
    return f"{float(process.stdout):.2f}"


def installed() -> list[str]:
    """Estimators whose programs are on this machine; the others are named on standard error."""
    has = {MGCV: has_mgcv(), PYFIXEST: find_spec("pyfixest") is not None}
    for what in (what for what, found in has.items() if not found):
        print(f"{what} is not installed: no rows of it", file=sys.stderr)
    return [kind for kind in KINDS if has.get(kind, True)]


def jobs_for(
    rows: int, actions: int, seconds: float, quick: bool, models: int = 1
) -> list[dict[str, Any]]:
    """Jobs: all numbers of rows with five actions, fewer with others, the smallest tables first."""
    sizes = [r for r in ROWS if r <= rows] or [rows]
    counts = [2] if quick else [k for k in ACTIONS if k <= actions]
    jobs = []
    for seed, r, k in product(range(FIRST_SEED, FIRST_SEED + models), sizes, counts):
        common = {"actions": k, "rows": r, "seed": seed, "seconds": seconds, "quick": quick}
        jobs += [{"what": what, **common} for what in KINDS if is_feasible(what, k, r, quick)]
    # The longest and least interesting jobs last.
    jobs.sort(key=lambda job: job["what"] == NUTS_ON_ROWS)
    return jobs


def is_feasible(what: str, actions: int, rows: int, quick: bool) -> bool:
    """Whether an estimator is measured at a size."""
    if actions != ACTIONS_AT and rows > MAX_ROWS:
        return False
    if actions > MAX_ACTIONS_WITHOUT_GRAPH:
        return what == GRAPH and rows == ROWS_AT
    if what == NUTS_ON_ROWS:
        return rows <= MAX_ROWS_OF_NUTS and (actions == ACTIONS_AT or rows == ROWS_AT or quick)
    if quick and what in (LAPLACE, GRAPH):
        return False
    return rows <= MAX_ROWS_IN_MEMORY or what in (LIBRARY, LAPLACE, GRAPH)


# What is compared, of later fits where there are any.
NUMBERS: dict[str, Callable[[dict[str, str]], str]] = {
    "seconds": lambda row: row["warm"] or row["time"],
    "processor seconds": lambda row: row["warm processor"] or row["processor"],
    "memory": lambda row: row["peak GB"],
    "error": lambda row: row["error/limit"],
}


def ratios(rows: list[dict[str, str]]) -> list[Row]:
    """Numbers of this library over those of the others: medians over models."""
    lines = []
    for size in dict.fromkeys((row["actions"], row["rows"]) for row in rows):
        cell = [row for row in rows if (row["actions"], row["rows"]) == size]
        of = {kind: {row["seed"]: row for row in cell if row["what"] == kind} for kind in KINDS}
        for other, ours in product((*COMPETITORS, NUTS_ON_ROWS), (LIBRARY, LAPLACE)):
            seeds = of[ours].keys() & of[other].keys()
            line: Row = {"actions": size[0], "rows": size[1], "of": ours, "over": other}
            line["models"] = len(seeds)
            for name, number in NUMBERS.items():
                pairs = [(number(of[ours][seed]), number(of[other][seed])) for seed in seeds]
                values = [float(mine) / float(its) for mine, its in pairs if mine and its]
                line[name] = f"{np.median(values):.3g}" if values else ""
            lines += [line] if seeds else []
    return lines


def draw_estimator(
    ax: Axes, rows: list[dict[str, str]], x: str, y: str, what: str, marker: str
) -> None:
    """Plot a number of one estimator, in the median of models; arrows mark lower bounds."""
    own = [row for row in rows if row["what"] == what and NUMBERS[y](row)]
    places = sorted({int(row[x]) for row in own})
    if not places:
        return
    cells = [[row for row in own if int(row[x]) == place] for place in places]
    values = [np.median([float(NUMBERS[y](row)) for row in cell]) for cell in cells]
    is_extrapolated = what == NUTS_ON_ROWS and y == "seconds"
    note = " on rows, extrapolated (arrow: at least)" if is_extrapolated else ""
    (line,) = ax.plot(
        places, values, "--" if note else "-", marker=marker, markersize=5, label=f"{what}{note}"
    )
    bounds = [
        (place, value)
        for place, value, cell in zip(places, values, cells, strict=True)
        if note and any(row["times"] == "at best" for row in cell)
    ]
    if bounds:
        at, least = np.array(bounds).T
        arrows = {"fmt": "none", "lolims": True, "color": line.get_color()}
        ax.errorbar(at, least, yerr=0.7 * least, **arrows)


def draw_figure(rows: list[dict[str, str]], path: Path) -> None:
    """Plot seconds and memory against rows and against actions."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), sharey="row", layout="constrained")
    at = min({row["actions"] for row in rows}, key=lambda k: abs(int(k) - ACTIONS_AT))
    panels = (
        ("rows", [r for r in rows if r["actions"] == at], f"rows in all ({at} actions)"),
        ("actions", [r for r in rows if int(r["rows"]) == ROWS_AT], f"actions ({ROWS_AT:,} rows)"),
    )
    heights = {"seconds": "seconds of a later fit", "memory": "peak memory in GB"}
    shown = dict(zip((LIBRARY, LAPLACE, *COMPETITORS, NUTS_ON_ROWS), "osDvP^", strict=True))
    for line, (y, text) in zip(axes, heights.items(), strict=True):
        for ax, (x, own, label) in zip(line, panels, strict=True):
            for what, marker in shown.items():
                draw_estimator(ax, own, x, y, what, marker)
            if y == "seconds":
                ax.set_yscale("log")
            if x == "rows":
                ax.set_xscale("log")
            ax.set_xlabel(label)
            ax.grid(alpha=0.25)
        line[0].set_ylabel(text)
    axes[1, 0].set_ylim(bottom=0)
    entries = axes[0, 0].get_legend_handles_labels()
    figure.legend(*entries, loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    save_figure(figure, path)


def main() -> None:
    """Run from the command line."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(json.loads(sys.argv[2]))))
        return
    parser = arguments(__doc__, models=1, rows=1_000_000, actions=8, seconds=30.0)
    add_kinds(parser, KINDS)
    args = parser.parse_args()
    if args.quick:
        args.rows, args.seconds = 300, 5.0
    command = command_of("benchmark_speed", args, "rows", "actions", "seconds", "models")
    path = args.output / "benchmark_speed.csv"
    # Rows of a table of another form are measured again.
    rows = [row for row in (read_table(path) if path.exists() else []) if {*COLUMNS} <= {*row}]
    finished = {tuple(row[name] for name in KEY) for row in rows}
    kinds = [kind for kind in installed() if kind in (args.kinds or KINDS)]
    for job in jobs_for(args.rows, args.actions, args.seconds, args.quick, args.models):
        if job["what"] in kinds and tuple(str(job[name]) for name in KEY) not in finished:
            rows.append(in_own_process(job))
            print_table(rows[-1:])
            write_table(path, rows, command, path)
    print()
    print_table(rows)
    if compared := ratios(rows):
        publish_table(path.with_stem(f"{path.stem}_ratios"), compared, command, path)
    draw_figure(rows, path)


if __name__ == "__main__":
    main()
