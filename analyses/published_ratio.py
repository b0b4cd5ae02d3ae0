"""How a fixed number of rows is best split between watching and setting actions.

    python analyses/published_ratio.py [--models 6] [--actions 5] [--average 2000] [--quick]

As with arXiv 2506.04945: K + 1 regimes share (K + 1) times the average number of rows, and
the ratio r = n_do / n_obs goes from 0.05 to 10, n_do the rows of each single intervention.
For each random polynomial model and ratio: the root mean square distance of the joint effect
from the truth at 1000 joint points, for this library and for the published estimator. Beside
both the limit where all functional forms are known,

    limit^2 = sum_j s_j^2 (1 + d) / n_do + (K - 1)^2 s_0^2 / n_obs,    d = 2,

s_r the residual standard deviation in regime r. It is least at

    r = sqrt[ (1 + d) sum_j s_j^2 / K ] / [ (K - 1) s_0 ]

which for equal s_r is 1 / (K - 1) where only the level is to be estimated (d = 0), and
sqrt(3) as much for d = 2. It is a standard error without shrinkage: an estimate with priors
may be closer, above all where a regime has few rows. Errors and limits are divided by the
model's own limit at the equal split, so that models of different noise count alike. Saves as
it goes, and a run that was stopped goes on where it was.
"""

import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator

import bayes_intgen as bi
from bayes_intgen.simulators import Polynomial

import _ridge
from _scores import QUICK, STUDY, cover, mean_and_error, rms, timed
from _study import Row, arguments, run_study
from _tables import print_table, write_table
from accuracy import residual_variance

RATIOS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
QUICK_RATIOS = (0.5, 2.0)
POINTS = 1000
LABELS = ("this library", "published (ridge a regime)")


def split(ratio: float, actions: int, total: int) -> tuple[int, int]:
    """Rows of the observational regime and of each single intervention."""
    was_set = round(ratio * total / (actions * ratio + 1))
    return total - actions * was_set, was_set


def limit(
    ratio: np.ndarray, actions: int, total: int, observed: float, was_set: float, shape: int = 2
) -> np.ndarray:
    """The least standard error of the joint effect at each ratio, without shrinkage.

    Given the residual variance of the observational regime, the sum of those of the single
    interventions, and the degrees of freedom of a contribution beyond its level.
    """
    observational_rows = total / (actions * ratio + 1)
    level = (actions - 1) ** 2 * observed / observational_rows
    return np.sqrt(level + was_set * (1 + shape) / (ratio * observational_rows))


def score(seed: int, actions: int, average: int, quick: bool) -> list[Row]:
    """Both estimators on one random model, at every ratio."""
    model = Polynomial.random(actions, seed)
    observed = residual_variance(model, (), seed=1)
    was_set = sum(residual_variance(model, (name,), seed=2) for name in model.names)
    points, _ = model.sample(model.names, POINTS, np.random.default_rng(seed + 20_000))
    total = (actions + 1) * average
    job = {"seed": seed, "actions": actions, "average": average, "quick": quick}
    found: list[Row] = []
    for ratio in QUICK_RATIOS if quick else RATIOS:
        known = {
            "limit": f"{limit(ratio, actions, total, observed, was_set):.6f}",
            "limit at the equal split": f"{limit(1.0, actions, total, observed, was_set):.6f}",
            "variance observed": f"{observed:.7f}",
            "variances set": f"{was_set:.7f}",
        }
        watched, alone = split(ratio, actions, total)
        rows = {(): watched, **{(name,): alone for name in model.names}}
        data = model.dataset(rows, seed=seed + 10_000)
        found += [
            {**job, "ratio": ratio, **estimated, **known}
            for estimated in estimates(data, points, model.joint_effect(points), seed, quick)
        ]
    return found


def estimates(
    data: bi.RegimeData, points: np.ndarray, truth: np.ndarray, seed: int, quick: bool
) -> list[Row]:
    """Error, cover and time of each estimator on the same data."""
    settings = QUICK if quick else STUDY
    posterior, seconds = timed(lambda: bi.fit(data, seed=seed, progress=False, **settings))
    draws = posterior.joint_effect(points).to_numpy()
    ours = {
        "estimator": LABELS[0],
        "error": f"{rms(draws.mean(axis=(0, 1)) - truth):.5f}",
        "cover90": f"{cover(draws, truth, 0.9):.4f}",
        "seconds": f"{seconds:.1f}",
    }
    began = time.perf_counter()
    published = _ridge.Separate(data).published(points)
    theirs = {
        "estimator": LABELS[1],
        "error": f"{rms(published - truth):.5f}",
        "cover90": "",
        "seconds": f"{time.perf_counter() - began:.1f}",
    }
    return [ours, theirs]


def summary(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """A row a ratio and estimator: means over models, errors in limits at the equal split."""
    lines = []
    for ratio in sorted({float(row["ratio"]) for row in rows}):
        for label in LABELS:
            own = [r for r in rows if float(r["ratio"]) == ratio and r["estimator"] == label]
            if len(own) < 2:
                continue
            unit = np.array([float(row["limit at the equal split"]) for row in own])
            mean, error = mean_and_error(np.array([float(row["error"]) for row in own]) / unit)
            least = np.array([float(row["limit"]) for row in own]) / unit
            line = {"ratio": ratio, "estimator": label, "models": len(own), "mean": f"{mean:.3f}"}
            line |= {"standard error": f"{error:.3f}", "limit": f"{least.mean():.3f}"}
            covers = [float(row["cover90"]) for row in own if row["cover90"]]
            line["cover90"] = "{:.3f} +- {:.3f}".format(*mean_and_error(covers)) if covers else ""
            lines.append(line)
    return lines


def limit_curve(rows: list[dict[str, str]], ratios: np.ndarray) -> np.ndarray:
    """The limit over that at the equal split, averaged over models."""
    curves = []
    for row in {row["seed"]: row for row in rows}.values():
        # The number of rows cancels.
        known = int(row["actions"]), 1, float(row["variance observed"]), float(row["variances set"])
        curves.append(limit(ratios, *known) / limit(1.0, *known))
    return np.mean(curves, axis=0)


def draw_figure(rows: list[dict[str, str]], lines: list[dict[str, Any]], path: Path) -> None:
    """Errors and the limit against the ratio."""
    figure, ax = plt.subplots(figsize=(7.5, 5.4))
    for label, colour, marker in zip(LABELS, ("C0", "0.45"), "os", strict=True):
        own = [line for line in lines if line["estimator"] == label]
        mean, error = (
            np.array([float(line[name]) for line in own]) for name in ("mean", "standard error")
        )
        at = [line["ratio"] for line in own]
        ax.errorbar(at, mean, error, color=colour, marker=marker, capsize=3, label=label)
    given = [line["ratio"] for line in lines]
    ratios = np.geomspace(min(given), max(given), 400)
    curve = limit_curve(rows, ratios)
    ax.plot(ratios, curve, "k--", linewidth=1.2, label="limit (forms known, no shrinkage)")
    least = int(curve.argmin())
    ax.plot(
        ratios[least], curve[least], "kv", markersize=7,
        label=f"least limit, at {ratios[least]:.2f}",
    )  # fmt: skip
    actions, average = int(rows[0]["actions"]), int(rows[0]["average"])
    best = 1 / (actions - 1)
    ax.axvline(
        best, color="C3", linewidth=1, linestyle=":",
        label=f"best for the level at equal variances, 1/(K - 1) = {best:.2g}",
    )  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(sorted(set(given)), [f"{ratio:g}" for ratio in sorted(set(given))])
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    ax.set_xlabel("rows of each single intervention / observational rows")
    ax.set_ylabel("error / limit at the equal split")
    ax.grid(alpha=0.25)
    # Inside the axes it would lie on the vertical line.
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncol=2, frameon=False, fontsize=8)
    models = len({row["seed"] for row in rows})
    ax.set_title(
        f"{models} random polynomial models, {actions} actions, {(actions + 1) * average:,} rows "
        "in all: means and their standard errors",
        fontsize=9,
    )
    figure.tight_layout()
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_suffix(suffix), dpi=150)
    plt.close(figure)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=6, actions=5, average=2000)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.models, chosen.actions, chosen.average = 2, 2, 100
    command = (
        f"python analyses/published_ratio.py --models {chosen.models} --actions {chosen.actions} "
        f"--average {chosen.average}"
    )
    jobs = [
        {
            "seed": seed,
            "actions": chosen.actions,
            "average": chosen.average,
            "quick": chosen.quick,
        }
        for seed in range(chosen.models)
    ]
    path = chosen.output / "published_ratio_models.csv"
    rows = run_study(score, jobs, path, command, chosen.processes)
    lines = summary(rows)
    print_table(lines)
    write_table(chosen.output / "published_ratio.csv", lines, command)
    draw_figure(rows, lines, chosen.output / "published_ratio")
    for label in LABELS:
        own = [line for line in lines if line["estimator"] == label]
        best = min(own, key=lambda line: float(line["mean"]))
        print(f"{label}: least error at ratio {best['ratio']:g}, {best['mean']} limits")
    print(f"\nTables and figure are in {chosen.output}")


if __name__ == "__main__":
    main()
