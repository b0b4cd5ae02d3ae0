"""Time to a posterior against rows and actions, beside NUTS on rows and mgcv.

    python analyses/benchmark_speed.py [--rows 10000000] [--actions 16] [--seconds 120]

Every measurement is a process of its own, compilation included, from a Parquet file of random
polynomial data: seconds from calling the fit to its end, effective draws of the joint effect
and the least of any hyperparameter, peak memory of the process, error relative to the limit.

- this library: default settings, the rows streamed from the file; also with the true graph;
- NumPyro: its own NUTS on the same model written out row by row, one chain, for --seconds after
  it was compiled. Its time to 400 effective draws of the joint effect is extrapolated from those
  that it had by then, its warmup left out, or, where it had none to speak of, is that of 400
  iterations: "at best";
- mgcv: bam(discrete=TRUE) of the same decomposition as by= smooths, where Rscript and mgcv are
  installed.

--rows and --actions are the largest that are run. Saves as it goes, and a run that was
stopped goes on where it was.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import arviz as az
import jax
import matplotlib.pyplot as plt
import numpy as np
import pyarrow as pa
from numpyro.infer import NUTS
from pyarrow import parquet

import bayes_intgen as bi
from bayes_intgen.simulators import Polynomial

from _scores import QUICK, rms
from _study import arguments
from _tables import print_table, read_table, write_table
from accuracy import limit

ROWS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
ACTIONS = (2, 3, 5, 8, 16)
# Rows in all where actions vary, and actions where rows vary.
ROWS_AT, ACTIONS_AT = 20_000, 5
# Beyond these, rows one by one and unknown graphs are hopeless.
MOST_ROWS_WRITTEN_OUT, MOST_ACTIONS_UNKNOWN = 100_000, 8
PIECE = 100_000
# Of NumPyro: iterations of warmup (few flatter it), effective draws that are asked for, and draws
# from which their number can be told.
WARMUP, ENOUGH, FEWEST_DRAWS = 50, 400, 8
LIBRARY, GRAPH, WRITTEN_OUT, MGCV = "this library", "this library, graph given", "NumPyro", "mgcv"
REGIME = "regime"


def write_rows(path: Path, world: Polynomial, rows: int) -> None:
    """Training rows of all regimes, evenly, a piece at a time."""
    regimes = [(), *((name,) for name in world.names)]
    each = rows // len(regimes)
    writer = None
    for i, regime in enumerate(regimes):
        rng = np.random.default_rng([7, i])
        for start in range(0, each, PIECE):
            actions, outcome = world.sample(regime, min(PIECE, each - start), rng)
            columns = dict(zip(world.names, actions.T, strict=True))
            label = [regime[0] if regime else None] * len(outcome)
            table = pa.table(
                {**columns, "outcome": outcome, REGIME: pa.array(label, type=pa.string())}
            )
            writer = writer or parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
    if writer is not None:
        writer.close()


def measured(world: Polynomial, path: Path, what: str, seconds: float, quick: bool) -> Any:
    """One estimator on one file: seconds, draws of the effect (draw, point) and more."""
    points, _ = world.sample(world.names, 500, np.random.default_rng(8))
    if what == MGCV:
        found = _mgcv(world, path, points)
        return found["seconds"], np.array(found["effect"])[None], {"times": "measured"}
    columns = (list(world.names), "outcome", REGIME)
    began = time.perf_counter()
    if what == WRITTEN_OUT:
        data = bi.RegimeData.from_frame(parquet.read_table(path), *columns)
        draws, took, more = _written_out(data, points, seconds)
        return took, draws, more
    stream = bi.StreamedData.from_parquet(path, *columns, progress=False)
    read = time.perf_counter() - began
    model = bi.models.additive(graph=world.graph if what == GRAPH else None)
    began = time.perf_counter()
    posterior = bi.fit(stream, model, progress=False, **(QUICK if quick else {}))
    took = time.perf_counter() - began
    effect = posterior.joint_effect(points)
    hyper = posterior.tree["posterior"].dataset
    ess = [az.ess(hyper, method=method) for method in ("bulk", "tail")]
    some = effect.isel(point=slice(None, None, 10))
    more = {
        "times": "measured",
        "ess effect": f"{min(float(az.ess(some, method=m).min()) for m in ('bulk', 'tail')):.0f}",
        "ess least": f"{min(float(v.min()) for each in ess for v in each.data_vars.values()):.0f}",
        "max R-hat": f"{max(float(v.max()) for v in az.rhat(hyper).data_vars.values()):.3f}",
        "divergences": f"{int(posterior.tree['sample_stats']['diverging'].sum())}",
        "seconds reading": f"{read:.1f}",
    }
    return took, effect.to_numpy().reshape(-1, len(points)), more


def _written_out(
    data: bi.RegimeData, points: np.ndarray, seconds: float
) -> tuple[np.ndarray, float, dict[str, str]]:
    """Draws of the joint effect by NUTS on rows, its time to enough of them, and what that is."""
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
        kernel = NUTS(model.written_out)
        state = kernel.init(jax.random.key(0), WARMUP, None, (terms, *rows), {})
        step = jax.jit(lambda state: kernel.sample(state, (terms, *rows), {}))
        step.lower(state).compile()
        sites = jax.jit(kernel.postprocess_fn((terms, *rows), {}))
        draws: list[np.ndarray] = []
        times = [time.perf_counter()]
        # An iteration at a time, so that it ends in time.
        while times[-1] - times[0] < seconds:
            state = step(state)
            draws.append(np.asarray(sites(state.z)["coefficients"]))
            times.append(time.perf_counter())
    effect = np.array(draws) @ at.T + terms.centre
    kept = effect[WARMUP:]
    if len(kept) < FEWEST_DRAWS:
        # As if every iteration were an independent draw, which none of them is.
        return effect, ENOUGH * (times[-1] - times[0]) / len(draws), {"times": "at best"}
    ess = min(float(az.ess(kept[None, :, i])) for i in range(0, len(points), 10))
    took = (times[-1] - times[WARMUP]) / ess * ENOUGH
    return kept, took, {"times": "extrapolated", "ess effect": f"{ess:.1f}"}


def _mgcv(world: Polynomial, path: Path, points: np.ndarray) -> dict[str, Any]:
    """Fit and prediction of mgcv, by the script beside this one."""
    folder = path.parent
    table = parquet.read_table(path).to_pandas()
    for name in world.names:
        table[f"free_{name}"] = (table[REGIME] != name).astype(float)
    table.drop(columns=REGIME).to_csv(folder / "rows.csv", index=False)
    np.savetxt(folder / "points.csv", points, delimiter=",", header=",".join(world.names))
    script = Path(__file__).with_name("benchmark_speed.R")
    subprocess.run(["Rscript", str(script), str(folder), *world.names], check=True)
    found: dict[str, Any] = json.loads((folder / "mgcv.json").read_text())
    return found


def one(job: dict[str, Any]) -> dict[str, Any]:
    """Run one job in this process."""
    warnings.simplefilter("ignore", bi.BayesIntgenWarning)
    world = Polynomial.random(job["actions"], job["seed"])
    path = Path(job["path"])
    took, draws, more = measured(world, path, job["what"], job["seconds"], job["quick"])
    points, _ = world.sample(world.names, 500, np.random.default_rng(8))
    error = rms(draws.mean(axis=0) - world.joint_effect(points))
    each = job["rows"] // (job["actions"] + 1)
    whose = resource.RUSAGE_CHILDREN if job["what"] == MGCV else resource.RUSAGE_SELF
    times = more.pop("times")
    return {
        "time": f"{took:.1f}",
        "times": times,
        # What has not left its warmup has no error to speak of.
        "error/limit": "" if times == "at best" else f"{error / limit(world, each):.2f}",
        "peak GB": f"{resource.getrusage(whose).ru_maxrss / 2**20:.2f}",
        **more,
    }


COLUMNS = (
    "what", "actions", "rows", "time", "times", "error/limit", "peak GB", "ess/s", "ess effect",
    "ess least", "max R-hat", "divergences", "seconds reading",
)  # fmt: skip


def per_second(row: dict[str, str]) -> str:
    """Effective draws of the joint effect in each second of the time."""
    if row["what"] == MGCV:
        return ""
    draws = ENOUGH if row["what"] == WRITTEN_OUT else float(row["ess effect"])
    return ("< " if row["times"] == "at best" else "") + f"{draws / float(row['time']):.3g}"


def in_own_process(job: dict[str, Any]) -> dict[str, str]:
    """The row of a job, run in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        write_rows(path, Polynomial.random(job["actions"], job["seed"]), job["rows"])
        request = json.dumps({**job, "path": str(path)})
        done = subprocess.run(
            [sys.executable, __file__, "--one", request], check=True, stdout=subprocess.PIPE
        )
    found = {**job, **json.loads(done.stdout.decode().splitlines()[-1])}
    row = {name: str(found.get(name, "")) for name in COLUMNS}
    return {**row, "ess/s": per_second(row)}


def jobs_for(rows: int, actions: int, seconds: float, quick: bool) -> list[dict[str, Any]]:
    """What to run: rows at five actions, then actions at 20,000 rows."""
    grid = [(ACTIONS_AT, r) for r in ROWS if r <= rows]
    grid += [(k, ROWS_AT) for k in ACTIONS if k <= actions]
    if quick:
        grid = [(2, rows)]
    has_mgcv = shutil.which("Rscript") is not None
    jobs = []
    for k, r in dict.fromkeys(grid):
        whats = [] if quick else [GRAPH]
        if k <= MOST_ACTIONS_UNKNOWN:
            whats.insert(0, LIBRARY)
            if r <= MOST_ROWS_WRITTEN_OUT:
                whats.append(WRITTEN_OUT)
            if has_mgcv and r <= 1_000_000:
                whats.append(MGCV)
        common = {"actions": k, "rows": r, "seed": 3, "seconds": seconds, "quick": quick}
        jobs += [{"what": what, **common} for what in whats]
    # What takes longest, and is least interesting, last.
    jobs.sort(key=lambda job: job["what"] == WRITTEN_OUT)
    if not has_mgcv:
        print("Rscript is not installed: no rows of mgcv", file=sys.stderr)
    return jobs


def draw_figure(rows: list[dict[str, str]], path: Path) -> None:
    """Seconds against rows, and against actions."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    several = {row["actions"] for row in rows}
    at = min(several, key=lambda k: abs(int(k) - ACTIONS_AT))
    kinds = (
        ("rows", lambda r: r["actions"] == at, f"rows in all ({at} actions)"),
        ("actions", lambda r: int(r["rows"]) == ROWS_AT, f"actions ({ROWS_AT:,} rows)"),
    )
    for ax, (name, chosen, label) in zip(axes, kinds, strict=True):
        for what, marker in ((LIBRARY, "o"), (GRAPH, "s"), (WRITTEN_OUT, "^"), (MGCV, "D")):
            own = sorted(
                (int(r[name]), float(r["time"])) for r in rows if r["what"] == what and chosen(r)
            )
            if own:
                note = {
                    WRITTEN_OUT: " on rows, extrapolated (arrow: at least)",
                    MGCV: ", a point fit",
                }.get(what, "")
                x, y = zip(*own, strict=True)
                dashed = "--" if what == WRITTEN_OUT else "-"
                (line,) = ax.plot(x, y, dashed, marker=marker, label=f"{what}{note}")
                bound = [
                    (int(r[name]), float(r["time"]))
                    for r in rows
                    if r["what"] == what and r["times"] == "at best" and chosen(r)
                ]
                if bound:
                    x, y = zip(*bound, strict=True)
                    up = 0.7 * np.array(y)
                    style = {"fmt": "none", "lolims": True, "color": line.get_color()}
                    ax.errorbar(x, y, yerr=up, **style)
        ax.set_yscale("log")
        if name == "rows":
            ax.set_xscale("log")
        ax.set_xlabel(label)
        ax.grid(alpha=0.25)
    axes[0].set_ylabel("seconds to the posterior")
    axes[0].legend(frameon=False, fontsize=8)
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_suffix(suffix), dpi=150)
    plt.close(figure)


def main() -> None:
    """Run from the command line."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(json.loads(sys.argv[2]))))
        return
    parser = arguments(__doc__, models=1, rows=ROWS[-1], actions=ACTIONS[-1], seconds=120.0)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rows, chosen.seconds = 300, 5.0
    command = (
        f"python analyses/benchmark_speed.py --rows {chosen.rows} --actions {chosen.actions} "
        f"--seconds {chosen.seconds:g}"
    )
    path = chosen.output / "benchmark_speed.csv"
    rows = read_table(path) if path.exists() else []
    known = {(row["what"], row["actions"], row["rows"]) for row in rows}
    for job in jobs_for(chosen.rows, chosen.actions, chosen.seconds, chosen.quick):
        if (job["what"], str(job["actions"]), str(job["rows"])) in known:
            continue
        rows.append(in_own_process(job))
        print_table(rows[-1:])
        write_table(path, rows, command)
    print()
    print_table(rows)
    draw_figure(rows, path)


if __name__ == "__main__":
    main()
