"""Convergence of errors with the number of rows.

    python analyses/published_convergence.py [--models 20] [--actions 5] [--largest 1000000]
        [--bases gp spline]

For each random polynomial model and total number of rows, from 1,000 to the largest: the root mean
square error of the joint effect at 1000 joint points, for this library and the published estimator
of arXiv 2506.04945, with the total split evenly over the K + 1 regimes, and for a ridge regression
on as many joint rows. The other estimators run on the first four models. For this library also the
error at those points that it calls supported. Beside them the limit

    limit^2 = [ sum_j s_j^2 (1 + d) + (K - 1)^2 s_0^2 ] / N,    d = 2,

for known functional forms, N the rows per regime. It is a standard error without shrinkage: an
estimate with priors may be closer. It does not apply to joint rows, which are more informative.
Results are saved one by one; an interrupted run resumes.
"""

import time
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import bayes_intgen as bi
from bayes_intgen.simulators import Polynomial

import _ridge
from _figures import column, error_bars, legend, log_scale, save_figure
from _scores import QUICK, STUDY, coverage, mean_and_error, mean_coverage, rms
from _study import Row, arguments, command_of, options, publish_study
from accuracy import limit
from published_main import joint_rows

TOTALS = (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
QUICK_TOTALS = (300, 600)
POINTS = 1000
# Models on which the ridges run too: of a million rows each takes half a minute.
COMPARED_MODELS = 4
OURS = {"gp": "this library", "spline": "this library, splines"}
LABELS = (*OURS.values(), "published (ridge per regime)", "topline (ridge on joint rows)")


@cache
def limit_of_one_row(actions: int, seed: int) -> float:
    """Limit at one row per regime; it scales with 1 / sqrt(rows)."""
    return limit(Polynomial.random(actions, seed), 1)


def score(total: int, seed: int, actions: int, basis: str, quick: bool) -> list[Row]:
    """Score the library with one basis and, with the first basis, all other estimators."""
    world = Polynomial.random(actions, seed)
    rows = total // (actions + 1)
    points, _ = world.sample(world.names, POINTS, np.random.default_rng(seed + 20_000))
    truth = world.joint_effect(points)
    job = {"total": total, "seed": seed, "actions": actions, "basis": basis, "quick": quick}
    least = f"{limit_of_one_row(actions, seed) / np.sqrt(rows):.6f}"
    lines: list[Row] = []

    def note(label: str, began: float, estimate: np.ndarray, **ours: str) -> None:
        row = {**job, "rows": rows, "estimator": label, "error": f"{rms(estimate - truth):.6f}"}
        row |= {"limit": least, "points supported": "", "error supported": "", "coverage90": ""}
        row["seconds"] = f"{time.perf_counter() - began:.1f}"
        lines.append(row | ours)

    data = world.dataset(rows, seed=seed + 10_000)
    began = time.perf_counter()
    settings = QUICK if quick else STUDY
    model = bi.models.additive(basis)
    posterior = bi.fit(data, model, seed=seed, progress=False, **settings)
    draws = posterior.joint_effect(points).to_numpy()
    estimate = draws.mean(axis=(0, 1))
    note(OURS[basis], began, estimate, coverage90=f"{coverage(draws, truth, 0.9):.4f}")
    inside = posterior.support(points)["supported"].to_numpy()
    lines[-1]["points supported"] = str(inside.sum())
    if inside.any():
        lines[-1]["error supported"] = f"{rms(estimate[inside] - truth[inside]):.6f}"
    if basis != "gp" or seed >= COMPARED_MODELS:
        return lines
    began = time.perf_counter()
    note("published (ridge per regime)", began, _ridge.Separate(data).published(points))
    # A million rows of cubic terms take half a gigabyte in every copy that a ridge makes.
    del data, posterior, draws
    rng = np.random.default_rng(seed + 30_000)
    joint = joint_rows(world, (actions + 1) * rows, rng)
    began = time.perf_counter()
    note("topline (ridge on joint rows)", began, _ridge.pooled(joint)(points))
    return lines


def summary(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Means over models with standard errors, per total and estimator."""
    lines = []
    for total in sorted({int(row["total"]) for row in rows}):
        for label in LABELS:
            own = [r for r in rows if int(r["total"]) == total and r["estimator"] == label]
            if len(own) < 2:
                continue
            mean, error = mean_and_error(column(own, "error"))
            least = column(own, "limit").mean()
            line = {"total": total, "estimator": label, "models": len(own), "mean": f"{mean:.5f}"}
            line |= {"standard error": f"{error:.5f}", "limit": f"{least:.5f}"}
            errors = [row["error supported"] for row in own]
            # At a thousand rows there are models without a supported point.
            line["supported"] = f"{np.mean(np.asarray(errors, float)):.5f}" if all(errors) else ""
            line["coverage90"] = mean_coverage(own)
            line["seconds"] = f"{column(own, 'seconds').mean():.1f}"
            lines.append(line)
    return lines


def draw_figure(rows: list[dict[str, str]], lines: list[dict[str, Any]], path: Path) -> None:
    """Plot errors and the limit against the number of rows."""
    figure, ax = plt.subplots(figsize=(7.5, 4.8))
    for label, colour, marker in zip(LABELS, ("C0", "C1", "0.45", "C2"), "o^sD", strict=True):
        own = [line for line in lines if line["estimator"] == label]
        if not own:
            continue
        error_bars(ax, own, "total", color=colour, marker=marker, label=label)
    own = [line for line in lines if line["estimator"] == LABELS[0]]
    totals = [line["total"] for line in own]
    label = "limit from single interventions (known forms, no shrinkage)"
    ax.plot(totals, column(own, "limit"), "k--", linewidth=1.2, label=label)
    log_scale(ax, "x", totals)
    log_scale(ax, "y")
    ax.set_xlabel("rows in all")
    ax.set_ylabel("error against the true effect (units of the outcome)")
    ax.grid(alpha=0.25)
    legend(ax)
    models = len({row["seed"] for row in rows})
    ax.set_title(
        f"{models} random polynomial models, {rows[0]['actions']} actions: "
        "means and their standard errors",
        fontsize=9,
    )
    figure.tight_layout()
    save_figure(figure, path)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=20, actions=5, largest=TOTALS[-1])
    parser.add_argument("--bases", nargs="+", choices=OURS, default=list(OURS))
    args = parser.parse_args()
    if args.quick:
        args.models, args.actions, args.largest = 2, 2, QUICK_TOTALS[-1]
    command = command_of("published_convergence", args, "models", "actions", "largest")
    command += f" --bases {' '.join(args.bases)}"
    common = options(args, "actions", "quick")
    # Small ones first: an interrupted run has most of the curve.
    jobs = [
        {"total": total, "seed": seed, "basis": basis, **common}
        for total in (QUICK_TOTALS if args.quick else TOTALS)
        for seed in range(args.models)
        for basis in args.bases
        if total <= args.largest
    ]
    rows, lines = publish_study("published_convergence", args, score, jobs, command, summary)
    draw_figure(rows, lines, args.output / "published_convergence")
    print("\nFrom the smallest to the largest number of rows, errors fall as rows to the power of")
    for label in LABELS:
        own = [line for line in lines if line["estimator"] == label]
        if not own:
            continue
        fall = np.log(float(own[-1]["mean"]) / float(own[0]["mean"]))
        print(f"  {label}: {fall / np.log(own[-1]['total'] / own[0]['total']):.2f}")
    print(f"\nTables and figure are in {args.output}")


if __name__ == "__main__":
    main()
