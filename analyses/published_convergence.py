"""How errors fall with the number of rows.

    python analyses/published_convergence.py [--models 4] [--actions 5] [--largest 1000000]
        [--bases gp spline]

For each random polynomial model and total number of rows, from 1,000 up to the largest: the
root mean square distance of the joint effect from the truth at 1000 joint points, for this
library and the published estimator of arXiv 2506.04945, with the total split evenly over the
K + 1 regimes, and for a ridge regression on as many joint rows in all. Beside them the limit

    limit^2 = [ sum_j s_j^2 (1 + d) + (K - 1)^2 s_0^2 ] / N,    d = 2,

where all functional forms are known, N the rows of a regime, which falls as 1 / sqrt(N). It
is a standard error without shrinkage: an estimate with priors may be closer. It is no limit
for joint rows, which tell more. Saves as it goes, and a run that was stopped goes on where it
was.
"""

import time
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator

import bayes_intgen as bi
from bayes_intgen.simulators import Polynomial

import _ridge
from _scores import QUICK, STUDY, cover, mean_and_error, rms
from _study import Row, arguments, run_study
from _tables import print_table, write_table
from accuracy import limit
from published_main import joint_rows

TOTALS = (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
QUICK_TOTALS = (300, 600)
POINTS = 1000
OURS = {"gp": "this library", "spline": "this library, splines"}
LABELS = (*OURS.values(), "published (ridge a regime)", "topline (ridge on joint rows)")


@cache
def limit_of_one_row(actions: int, seed: int) -> float:
    """The limit at one row a regime; over the root of the rows, that of any number."""
    return limit(Polynomial.random(actions, seed), 1)


def score(total: int, seed: int, actions: int, basis: str, quick: bool) -> list[Row]:
    """Score the library with one basis and, beside the first, all other estimators."""
    world = Polynomial.random(actions, seed)
    rows = total // (actions + 1)
    points, _ = world.sample(world.names, POINTS, np.random.default_rng(seed + 20_000))
    truth = world.joint_effect(points)
    job = {"total": total, "seed": seed, "actions": actions, "basis": basis, "quick": quick}
    least = f"{limit_of_one_row(actions, seed) / np.sqrt(rows):.6f}"
    found: list[Row] = []

    def note(label: str, began: float, estimate: np.ndarray, covered: float | None = None) -> None:
        row = {**job, "rows": rows, "estimator": label, "error": f"{rms(estimate - truth):.6f}"}
        row["limit"] = least
        row["cover90"] = "" if covered is None else f"{covered:.4f}"
        row["seconds"] = f"{time.perf_counter() - began:.1f}"
        found.append(row)

    data = world.dataset(rows, seed=seed + 10_000)
    began = time.perf_counter()
    settings = QUICK if quick else STUDY
    model = bi.models.additive(basis)
    posterior = bi.fit(data, model, seed=seed, progress=False, **settings)
    draws = posterior.joint_effect(points).to_numpy()
    note(OURS[basis], began, draws.mean(axis=(0, 1)), cover(draws, truth, 0.9))
    if basis != "gp":
        return found
    began = time.perf_counter()
    note("published (ridge a regime)", began, _ridge.Separate(data).published(points))
    # A million rows of cubic terms take half a gigabyte in every copy that a ridge makes.
    del data, posterior, draws
    rng = np.random.default_rng(seed + 30_000)
    joint = joint_rows(world, (actions + 1) * rows, rng)
    began = time.perf_counter()
    note("topline (ridge on joint rows)", began, _ridge.pooled(joint)(points))
    return found


def summary(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """A row a total and estimator: means over models with their standard errors."""
    lines = []
    for total in sorted({int(row["total"]) for row in rows}):
        for label in LABELS:
            own = [r for r in rows if int(r["total"]) == total and r["estimator"] == label]
            if len(own) < 2:
                continue
            mean, error = mean_and_error([float(row["error"]) for row in own])
            least = np.mean([float(row["limit"]) for row in own])
            line = {"total": total, "estimator": label, "models": len(own), "mean": f"{mean:.5f}"}
            line |= {"standard error": f"{error:.5f}", "limit": f"{least:.5f}"}
            covers = [float(row["cover90"]) for row in own if row["cover90"]]
            line["cover90"] = "{:.3f} +- {:.3f}".format(*mean_and_error(covers)) if covers else ""
            line["seconds"] = f"{np.mean([float(row['seconds']) for row in own]):.1f}"
            lines.append(line)
    return lines


def draw_figure(rows: list[dict[str, str]], lines: list[dict[str, Any]], path: Path) -> None:
    """Errors and the limit against the number of rows."""
    figure, ax = plt.subplots(figsize=(7.5, 4.8))
    for label, colour, marker in zip(LABELS, ("C0", "C1", "0.45", "C2"), "o^sD", strict=True):
        own = [line for line in lines if line["estimator"] == label]
        if not own:
            continue
        mean, error = (
            np.array([float(line[name]) for line in own]) for name in ("mean", "standard error")
        )
        at = [line["total"] for line in own]
        ax.errorbar(at, mean, error, color=colour, marker=marker, capsize=3, label=label)
    own = [line for line in lines if line["estimator"] == LABELS[0]]
    ax.plot(
        [line["total"] for line in own], [float(line["limit"]) for line in own], "k--",
        linewidth=1.2, label="limit from single interventions (forms known, no shrinkage)",
    )  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    totals = [line["total"] for line in own]
    ax.set_xticks(totals, [f"{total:,}" for total in totals])
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    ax.set_xlabel("rows in all")
    ax.set_ylabel("error against the true effect (units of the outcome)")
    ax.grid(alpha=0.25)
    ax.legend(frameon=False, fontsize=8)
    models = len({row["seed"] for row in rows})
    ax.set_title(
        f"{models} random polynomial models, {rows[0]['actions']} actions: "
        "means and their standard errors",
        fontsize=9,
    )
    figure.tight_layout()
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_suffix(suffix), dpi=150)
    plt.close(figure)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=4, actions=5, largest=TOTALS[-1])
    parser.add_argument("--bases", nargs="+", choices=OURS, default=list(OURS))
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.models, chosen.actions, chosen.largest = 2, 2, QUICK_TOTALS[-1]
    command = (
        f"python analyses/published_convergence.py --models {chosen.models} "
        f"--actions {chosen.actions} --largest {chosen.largest} "
        f"--bases {' '.join(chosen.bases)}"
    )
    # Small ones first: a run that is stopped has most of the curve.
    jobs = [
        {
            "total": total,
            "seed": seed,
            "actions": chosen.actions,
            "basis": basis,
            "quick": chosen.quick,
        }
        for total in (QUICK_TOTALS if chosen.quick else TOTALS)
        for seed in range(chosen.models)
        for basis in chosen.bases
        if total <= chosen.largest
    ]
    path = chosen.output / "published_convergence_models.csv"
    rows = run_study(score, jobs, path, command, chosen.processes)
    lines = summary(rows)
    print_table(lines)
    write_table(chosen.output / "published_convergence.csv", lines, command)
    draw_figure(rows, lines, chosen.output / "published_convergence")
    print("\nFrom the smallest to the largest number of rows, errors fall as rows to the power of")
    for label in LABELS:
        own = [line for line in lines if line["estimator"] == label]
        if not own:
            continue
        fall = np.log(float(own[-1]["mean"]) / float(own[0]["mean"]))
        print(f"  {label}: {fall / np.log(own[-1]['total'] / own[0]['total']):.2f}")
    print(f"\nTables and figure are in {chosen.output}")


if __name__ == "__main__":
    main()
