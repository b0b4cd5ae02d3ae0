"""Optimal split of a fixed number of rows between observational and interventional regimes.

    python analyses/published_ratio.py [--models 6] [--actions 5] [--average 2000] [--quick]

As in arXiv 2506.04945: K + 1 regimes share (K + 1) times the average number of rows, and the ratio
r = n_do / n_obs ranges from 0.05 to 10, n_do the rows of each single intervention. For each random
polynomial model and ratio: the root mean square error of the joint effect at 1000 joint points, for
this library and the published estimator, beside the limit for known functional forms,

    limit^2 = sum_j s_j^2 (1 + d) / n_do + (K - 1)^2 s_0^2 / n_obs,    d = 2,

s_r the residual standard deviation in regime r. Its minimum is at

    r = sqrt[ (1 + d) sum_j s_j^2 / K ] / [ (K - 1) s_0 ]

which for equal s_r is 1 / (K - 1) for levels alone (d = 0), and sqrt(3) times that for d = 2. It is
a standard error without shrinkage: an estimate with priors may be closer, above all in regimes with
few rows. Errors and limits are divided by the model's limit at the equal split, so that models with
different noise have equal weight. Results are saved one by one; an interrupted run resumes.
"""

import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import bayes_intgen as bi
from bayes_intgen.simulators import Polynomial

import _ridge
from _figures import column, error_bars, legend, log_scale, save_figure
from _scores import QUICK, STUDY, coverage, mean_and_error, mean_coverage, rms, timed
from _study import Row, arguments, command_of, options, publish_study
from accuracy import residual_variances

RATIOS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
QUICK_RATIOS = (0.5, 2.0)
POINTS = 1000
LABELS = ("this library", "published (ridge per regime)")


def split(ratio: float, actions: int, total: int) -> tuple[int, int]:
    """Rows of the observational regime and of each single intervention."""
    interventional = round(ratio * total / (actions * ratio + 1))
    return total - actions * interventional, interventional


def limit(
    ratio: np.ndarray,
    actions: int,
    total: int,
    observational: float,
    interventional: float,
    shape: int = 2,
) -> np.ndarray:
    """Smallest standard error of the joint effect at each ratio, without shrinkage.

    ``observational`` is the residual variance of that regime, ``interventional`` the sum over
    single interventions, ``shape`` the degrees of freedom of a contribution beyond its level.
    """
    rows = total / (actions * ratio + 1)
    level = (actions - 1) ** 2 * observational / rows
    return np.sqrt(level + interventional * (1 + shape) / (ratio * rows))


def score(seed: int, actions: int, average: int, quick: bool) -> list[Row]:
    """Score both estimators on one random model at every ratio."""
    model = Polynomial.random(actions, seed)
    variances = residual_variances(model)
    points, _ = model.sample(model.names, POINTS, np.random.default_rng(seed + 20_000))
    total = (actions + 1) * average
    job = {"seed": seed, "actions": actions, "average": average, "quick": quick}
    lines: list[Row] = []
    for ratio in QUICK_RATIOS if quick else RATIOS:
        limits = {
            "limit": f"{limit(ratio, actions, total, *variances):.6f}",
            "limit at the equal split": f"{limit(1.0, actions, total, *variances):.6f}",
            "variance observed": f"{variances[0]:.7f}",
            "variances set": f"{variances[1]:.7f}",
        }
        observational, interventional = split(ratio, actions, total)
        rows = {(): observational, **{(name,): interventional for name in model.names}}
        data = model.dataset(rows, seed=seed + 10_000)
        lines += [
            {**job, "ratio": ratio, **estimate, **limits}
            for estimate in estimates(data, points, model.joint_effect(points), seed, quick)
        ]
    return lines


def estimates(
    data: bi.RegimeData, points: np.ndarray, truth: np.ndarray, seed: int, quick: bool
) -> list[Row]:
    """Error, coverage and time of each estimator on the same data."""
    settings = QUICK if quick else STUDY
    posterior, seconds = timed(lambda: bi.fit(data, seed=seed, progress=False, **settings))
    draws = posterior.joint_effect(points).to_numpy()
    ours = {
        "estimator": LABELS[0],
        "error": f"{rms(draws.mean(axis=(0, 1)) - truth):.5f}",
        "coverage90": f"{coverage(draws, truth, 0.9):.4f}",
        "seconds": f"{seconds:.1f}",
    }
    began = time.perf_counter()
    published = _ridge.Separate(data).published(points)
    theirs = {
        "estimator": LABELS[1],
        "error": f"{rms(published - truth):.5f}",
        "coverage90": "",
        "seconds": f"{time.perf_counter() - began:.1f}",
    }
    return [ours, theirs]


def summary(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Means over models per ratio and estimator; errors relative to the equal split's limit."""
    lines = []
    for ratio in sorted({float(row["ratio"]) for row in rows}):
        for label in LABELS:
            own = [r for r in rows if float(r["ratio"]) == ratio and r["estimator"] == label]
            if len(own) < 2:
                continue
            unit = column(own, "limit at the equal split")
            mean, error = mean_and_error(column(own, "error") / unit)
            least = column(own, "limit") / unit
            line = {"ratio": ratio, "estimator": label, "models": len(own), "mean": f"{mean:.3f}"}
            line |= {"standard error": f"{error:.3f}", "limit": f"{least.mean():.3f}"}
            line["coverage90"] = mean_coverage(own)
            lines.append(line)
    return lines


def limit_curve(rows: list[dict[str, str]], ratios: np.ndarray) -> np.ndarray:
    """Limit relative to that at the equal split, averaged over models."""
    curves = []
    for row in {row["seed"]: row for row in rows}.values():
        variances = float(row["variance observed"]), float(row["variances set"])
        # The number of rows cancels.
        design = int(row["actions"]), 1, *variances
        curves.append(limit(ratios, *design) / limit(1.0, *design))
    return np.mean(curves, axis=0)


def draw_limit(
    ax: Axes, rows: list[dict[str, str]], ratios: np.ndarray, best_for_level: float
) -> None:
    """Plot the limit, its minimum, and the best ratio for the level alone."""
    curve = limit_curve(rows, ratios)
    ax.plot(ratios, curve, "k--", linewidth=1.2, label="limit (known forms, no shrinkage)")
    best = int(curve.argmin())
    label = f"smallest limit, at {ratios[best]:.2f}"
    ax.plot(ratios[best], curve[best], "kv", markersize=7, label=label)
    label = f"best for the level at equal variances, 1/(K - 1) = {best_for_level:.2g}"
    ax.axvline(best_for_level, color="C3", linewidth=1, linestyle=":", label=label)


def draw_figure(rows: list[dict[str, str]], lines: list[dict[str, Any]], path: Path) -> None:
    """Plot errors and the limit against the ratio."""
    figure, ax = plt.subplots(figsize=(7.5, 5.4))
    for label, colour, marker in zip(LABELS, ("C0", "0.45"), "os", strict=True):
        own = [line for line in lines if line["estimator"] == label]
        error_bars(ax, own, "ratio", color=colour, marker=marker, label=label)
    ratios = sorted({line["ratio"] for line in lines})
    actions, average = int(rows[0]["actions"]), int(rows[0]["average"])
    draw_limit(ax, rows, np.geomspace(ratios[0], ratios[-1], 400), 1 / (actions - 1))
    log_scale(ax, "x", ratios)
    log_scale(ax, "y")
    ax.set_xlabel("rows of each single intervention / observational rows")
    ax.set_ylabel("error / limit at the equal split")
    ax.grid(alpha=0.25)
    # Inside the axes it would overlap the vertical line.
    legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncol=2)
    models = len({row["seed"] for row in rows})
    ax.set_title(
        f"{models} random polynomial models, {actions} actions, {(actions + 1) * average:,} rows "
        "in all: means and their standard errors",
        fontsize=9,
    )
    figure.tight_layout()
    save_figure(figure, path)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=6, actions=5, average=2000)
    args = parser.parse_args()
    if args.quick:
        args.models, args.actions, args.average = 2, 2, 100
    command = command_of("published_ratio", args, "models", "actions", "average")
    common = options(args, "actions", "average", "quick")
    jobs = [{"seed": seed, **common} for seed in range(args.models)]
    rows, lines = publish_study("published_ratio", args, score, jobs, command, summary)
    draw_figure(rows, lines, args.output / "published_ratio")
    for label in LABELS:
        own = [line for line in lines if line["estimator"] == label]
        best = min(own, key=lambda line: float(line["mean"]))
        print(f"{label}: smallest error at ratio {best['ratio']:g}, {best['mean']} limits")
    print(f"\nTables and figure are in {args.output}")


if __name__ == "__main__":
    main()
