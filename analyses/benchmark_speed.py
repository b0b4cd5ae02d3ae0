"""Time to a posterior against rows and actions, beside NUTS on all rows and mgcv.

    python analyses/benchmark_speed.py [--rows 10000000] [--actions 16] [--seconds 120]

Every measurement runs in a separate process, compilation included, from a Parquet file of random
polynomial data: seconds of the fit, effective sample sizes of the joint effect and the smallest of
any hyperparameter, peak memory of the process, error relative to the limit.

- this library: default settings, rows streamed from the file; also with the true graph, and by a
  Laplace approximation. Next to the first fit (cold): a fit of other data of the same size in the
  same process (warm), and the first fit again in a new process, with the compiled programs of the
  first (cached). Importing the library and all that a fit needs has a column of its own;
- update: all rows after a fit of ten elevenths of them, beside a new fit (warm);
- NumPyro: its NUTS on the full (joint) model over all rows, one chain, for --seconds after
  compilation. Its time to 400 effective draws of the joint effect is extrapolated from the draws
  after warmup or, with too few of them, is the time of 400 iterations ("at best");
- mgcv: bam(discrete=TRUE) of the same decomposition as by= smooths, if Rscript and mgcv are
  installed.

--rows and --actions are the largest values. Results are saved one by one; an interrupted run
resumes.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
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

import bayes_intgen as bi
from bayes_intgen.simulators import Polynomial

from _figures import column, legend, save_figure
from _scores import QUICK, rms
from _study import arguments, command_of
from _tables import print_table, read_table, write_table
from accuracy import limit

ROWS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
ACTIONS = (2, 3, 5, 8, 16)
# Small tables, and numbers of rows: as many as fit in memory at once.
FEW_ACTIONS, MAX_ROWS_IN_MEMORY = (2, 3), 1_000_000
# Total rows while actions vary, and actions while rows vary.
ROWS_AT, ACTIONS_AT = 20_000, 5
# Limits of feasibility of NUTS on all rows, and of unknown graphs.
MAX_ROWS_OF_NUTS, MAX_ACTIONS_WITHOUT_GRAPH = 100_000, 8
# Maximum number of rows that are sampled at once.
MAX_BATCH_ROWS = 100_000
# For NumPyro: warmup iterations (few favour it), the target of effective draws, and the smallest
# number of draws with a meaningful effective sample size.
WARMUP, ENOUGH, MIN_DRAWS = 50, 400, 8
LIBRARY, GRAPH, NUTS_ON_ROWS, MGCV = "this library", "this library, graph given", "NumPyro", "mgcv"
LAPLACE, UPDATE = "this library, Laplace", "this library, update"
# Column of regimes, and file of other data of the same size.
REGIME, OTHER = "regime", "other.parquet"


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
                {**columns, "outcome": outcome, REGIME: pa.array(label, type=pa.string())}
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


def measure(job: dict[str, Any]) -> Measurement:
    """Run one estimator on one file."""
    world, what = Polynomial.random(job["actions"], job["seed"]), job["what"]
    path = Path(job["path"])
    points, _ = world.sample(world.names, 500, np.random.default_rng(8))
    if what == MGCV:
        fit = _mgcv(world, path, points)
        return Measurement(fit["seconds"], np.array(fit["effect"])[None], {"times": "measured"})
    columns = (list(world.names), "outcome", REGIME)
    if what == NUTS_ON_ROWS:
        data = bi.RegimeData.from_frame(parquet.read_table(path), *columns)
        draws, duration, more = _nuts_on_rows(data, points, job["seconds"])
        return Measurement(duration, draws, more)
    settings = {"progress": False, **(QUICK if job["quick"] else {})}
    if what == UPDATE:
        posterior, duration, more = _updated(path, columns, settings)
    else:
        model = bi.models.additive(graph=world.graph if what == GRAPH else None)
        method = "laplace" if what == LAPLACE else "nuts"
        began = time.perf_counter()
        stream = bi.StreamedData.from_parquet(path, *columns, progress=False)
        more = {"seconds reading": f"{time.perf_counter() - began:.1f}"}
        posterior, duration = _timed_fit(stream, model, method=method, **settings)
        other = path.with_name(OTHER)
        if other.exists():
            stream = bi.StreamedData.from_parquet(other, *columns, progress=False)
            more["warm"] = f"{_timed_fit(stream, model, method=method, **settings)[1]:.2f}"
    effect = posterior.joint_effect(points)
    draws = effect.to_numpy().reshape(-1, len(points))
    if what in (LAPLACE, UPDATE):
        return Measurement(duration, draws, {"times": "measured", **more})
    hyper = posterior.tree["posterior"].dataset
    ess = [az.ess(hyper, method=method) for method in ("bulk", "tail")]
    some = effect.isel(point=slice(None, None, 10))
    more |= {
        "times": "measured",
        "ess effect": f"{min(float(az.ess(some, method=m).min()) for m in ('bulk', 'tail')):.0f}",
        "ess least": f"{min(float(v.min()) for each in ess for v in each.data_vars.values()):.0f}",
        "max R-hat": f"{max(float(v.max()) for v in az.rhat(hyper).data_vars.values()):.3f}",
        "divergences": f"{int(posterior.tree['sample_stats']['diverging'].sum())}",
    }
    return Measurement(duration, draws, more)


def _timed_fit(data: Any, model: Any, **settings: Any) -> tuple[bi.Posterior, float]:
    began = time.perf_counter()
    posterior = bi.fit(data, model, **settings)
    return posterior, time.perf_counter() - began


def _updated(
    path: Path, columns: tuple[Any, ...], settings: dict[str, Any]
) -> tuple[bi.Posterior, float, dict[str, str]]:
    """Posterior of all rows by an update, its seconds, and those of a new fit, both warm."""
    data = bi.RegimeData.from_frame(parquet.read_table(path), *columns)
    is_new = np.arange(len(data)) % 11 == 10
    first = bi.fit(data.take(~is_new), **settings)
    again, warm = _timed_fit(data, None, **settings)
    del again
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
            terms.functions(data.actions),
            terms.gates(data.intervened),
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


def _mgcv(world: Polynomial, path: Path, points: np.ndarray) -> dict[str, Any]:
    """Fit and predict with mgcv, by ``benchmark_speed.R``."""
    folder = path.parent
    table = parquet.read_table(path).to_pandas()
    for name in world.names:
        table[f"free_{name}"] = (table[REGIME] != name).astype(float)
    table.drop(columns=REGIME).to_csv(folder / "rows.csv", index=False)
    np.savetxt(folder / "points.csv", points, delimiter=",", header=",".join(world.names))
    script = Path(__file__).with_name("benchmark_speed.R")
    subprocess.run(["Rscript", str(script), str(folder), *world.names], check=True)
    fit: dict[str, Any] = json.loads((folder / "mgcv.json").read_text())
    return fit


def one(job: dict[str, Any]) -> dict[str, Any]:
    """Run one job in this process."""
    warnings.simplefilter("ignore", bi.BayesIntgenWarning)
    world = Polynomial.random(job["actions"], job["seed"])
    duration, draws, more = measure(job)
    points, _ = world.sample(world.names, 500, np.random.default_rng(8))
    error = rms(draws.mean(axis=0) - world.joint_effect(points))
    each = job["rows"] // (job["actions"] + 1)
    whose = resource.RUSAGE_CHILDREN if job["what"] == MGCV else resource.RUSAGE_SELF
    times = more.pop("times")
    return {
        "time": f"{duration:.2f}",
        "times": times,
        # Draws of the warmup have no meaningful error.
        "error/limit": "" if times == "at best" else f"{error / limit(world, each):.2f}",
        "peak GB": f"{resource.getrusage(whose).ru_maxrss / 2**20:.2f}",
        **more,
    }


COLUMNS = (
    "what", "actions", "rows", "time", "times", "warm", "cached", "import", "error/limit",
    "peak GB", "ess/s", "ess effect", "ess least", "max R-hat", "divergences", "seconds reading",
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
        if is_ours and job["rows"] <= MAX_ROWS_IN_MEMORY:
            write_rows(other, Polynomial.random(job["actions"], job["seed"] + 1), job["rows"])
        result = _in_process(job, path)
        if is_ours:
            other.unlink(missing_ok=True)
            result["cached"] = _in_process(job, path)["time"]
            result["import"] = _seconds_of_import()
    row = {name: str({**job, **result}.get(name, "")) for name in COLUMNS}
    return {**row, "ess/s": per_second(row)}


def _in_process(job: dict[str, Any], path: Path) -> dict[str, Any]:
    """Run a job in a process whose compiled programs are those of earlier ones beside its rows."""
    process = subprocess.run(
        [sys.executable, __file__, "--one", json.dumps({**job, "path": str(path)})],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(path.with_name("programs"))},
    )
    result: dict[str, Any] = json.loads(process.stdout.decode().splitlines()[-1])
    return result


def _seconds_of_import() -> str:
    """Seconds to import what a fit needs, in a new process."""
    script = (
        "import time; began = time.perf_counter(); import bayes_intgen as bi; "
        "bi.fit, bi.StreamedData, bi.models.additive; print(time.perf_counter() - began)"
    )
    process = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE)
    return f"{float(process.stdout):.2f}"


def jobs_for(rows: int, actions: int, seconds: float, quick: bool) -> list[dict[str, Any]]:
    """Jobs: varying rows at two, three and five actions, then varying actions at 20,000 rows."""
    grid = [(ACTIONS_AT, r) for r in ROWS if r <= rows]
    grid += [(k, r) for k in FEW_ACTIONS for r in ROWS if r <= min(rows, MAX_ROWS_IN_MEMORY)]
    grid += [(k, ROWS_AT) for k in ACTIONS if k <= actions]
    if quick:
        grid = [(2, rows)]
    has_mgcv = shutil.which("Rscript") is not None
    jobs = []
    for k, r in dict.fromkeys(grid):
        estimators = [] if quick else [GRAPH]
        if k <= MAX_ACTIONS_WITHOUT_GRAPH:
            estimators = [LIBRARY, *([] if quick else [LAPLACE]), *estimators]
            if r <= MAX_ROWS_IN_MEMORY:
                estimators.append(UPDATE)
            if has_mgcv and r <= 1_000_000:
                estimators.append(MGCV)
            if r <= MAX_ROWS_OF_NUTS and (k == ACTIONS_AT or r == ROWS_AT or quick):
                estimators.append(NUTS_ON_ROWS)
        common = {"actions": k, "rows": r, "seed": 3, "seconds": seconds, "quick": quick}
        jobs += [{"what": what, **common} for what in estimators]
    # The longest and least interesting jobs last.
    jobs.sort(key=lambda job: job["what"] == NUTS_ON_ROWS)
    if not has_mgcv:
        print("Rscript is not installed: no rows of mgcv", file=sys.stderr)
    return jobs


def draw_estimator(ax: Axes, rows: list[dict[str, str]], x: str, what: str, marker: str) -> None:
    """Plot the seconds of one estimator; arrows mark lower bounds."""
    rows = sorted((row for row in rows if row["what"] == what), key=lambda row: int(row[x]))
    if not rows:
        return
    note = {
        NUTS_ON_ROWS: " on rows, extrapolated (arrow: at least)",
        MGCV: ", a point fit",
    }.get(what, "")
    style = "--" if what == NUTS_ON_ROWS else "-"
    (line,) = ax.plot(
        column(rows, x), column(rows, "time"), style, marker=marker, label=f"{what}{note}"
    )
    bounds = [row for row in rows if row["times"] == "at best"]
    if bounds:
        seconds = column(bounds, "time")
        arrows = {"fmt": "none", "lolims": True, "color": line.get_color()}
        ax.errorbar(column(bounds, x), seconds, yerr=0.7 * seconds, **arrows)


def draw_figure(rows: list[dict[str, str]], path: Path) -> None:
    """Plot seconds against rows and against actions."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    at = min({row["actions"] for row in rows}, key=lambda k: abs(int(k) - ACTIONS_AT))
    panels = (
        ("rows", [r for r in rows if r["actions"] == at], f"rows in all ({at} actions)"),
        ("actions", [r for r in rows if int(r["rows"]) == ROWS_AT], f"actions ({ROWS_AT:,} rows)"),
    )
    for ax, (x, own, label) in zip(axes, panels, strict=True):
        for what, marker in ((LIBRARY, "o"), (GRAPH, "s"), (NUTS_ON_ROWS, "^"), (MGCV, "D")):
            draw_estimator(ax, own, x, what, marker)
        ax.set_yscale("log")
        if x == "rows":
            ax.set_xscale("log")
        ax.set_xlabel(label)
        ax.grid(alpha=0.25)
    axes[0].set_ylabel("seconds to the posterior")
    legend(axes[0])
    save_figure(figure, path)


def main() -> None:
    """Run from the command line."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(json.loads(sys.argv[2]))))
        return
    parser = arguments(__doc__, models=1, rows=ROWS[-1], actions=ACTIONS[-1], seconds=120.0)
    args = parser.parse_args()
    if args.quick:
        args.rows, args.seconds = 300, 5.0
    command = command_of("benchmark_speed", args, "rows", "actions")
    command += f" --seconds {args.seconds:g}"
    path = args.output / "benchmark_speed.csv"
    rows = read_table(path) if path.exists() else []
    finished = {(row["what"], row["actions"], row["rows"]) for row in rows}
    for job in jobs_for(args.rows, args.actions, args.seconds, args.quick):
        if (job["what"], str(job["actions"]), str(job["rows"])) in finished:
            continue
        rows.append(in_own_process(job))
        print_table(rows[-1:])
        write_table(path, rows, command, path)
    print()
    print_table(rows)
    draw_figure(rows, path)


if __name__ == "__main__":
    main()
