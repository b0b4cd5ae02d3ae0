"""The main experiment of arXiv 2506.04945: all estimators on 100 random polynomial models.

    python analyses/published_main.py [--models 100] [--actions 5] [--rows 10000] [--bayesian 8]

As published: K actions, 80% of the rows of each regime to train, 20% of as many joint rows to
test, estimates scored by the root mean square distance from noisy joint outcomes. Beside it,
what the noise hides: the distance from the true effect. Three baselines are also fitted as
Bayesian models of this library, for the first models only (they take as long as everything
else). Saves as it goes, and a run that was stopped goes on where it was.
"""

import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

import bayes_intgen as bi
from bayes_intgen.simulators import Polynomial

import _ridge
from _scores import QUICK, STUDY, cover, mean_and_error, rms
from _study import Row, arguments, run_study
from _tables import print_table, write_table

# Means of the published code's own run, each about +- 0.01: arXiv 2506.04945.
PUBLISHED = {
    "published (ridge a regime)": 0.356,
    "topline (ridge on joint rows)": 0.300,
    "averaged (ridge, as published)": 0.371,
    "observational (ridge)": 0.399,
}
LABELS = (
    "this library",
    "topline (ridge on joint rows)",
    "published (ridge a regime)",
    "averaged (ridge, as published)",
    "pooled (ridge)",
    "observational (ridge)",
    "topline (Bayesian)",
    "a regression a regime (Bayesian)",
    "pooled (Bayesian)",
    "observational (Bayesian)",
)


def joint_rows(model: Polynomial, rows: int, rng: np.random.Generator) -> bi.RegimeData:
    """Rows in which every action was set."""
    actions, outcome = model.sample(model.names, rows, rng)
    everything = np.ones(actions.shape, dtype=bool)
    return bi.RegimeData.from_arrays(
        actions, outcome, everything, model.names, require_observational=False
    )


def score(seed: int, actions: int, rows: int, bayesian: bool, quick: bool) -> list[Row]:
    """Every estimator on one random model."""
    model = Polynomial.random(actions, seed)
    train = round(0.8 * rows)
    data = model.dataset(train, seed=seed + 10_000)
    rng = np.random.default_rng(seed + 20_000)
    joint = joint_rows(model, train, rng)
    points, noisy = model.sample(model.names, rows - train, rng)
    truth = model.joint_effect(points)
    job = {"seed": seed, "actions": actions, "rows": rows, "bayesian": bayesian, "quick": quick}
    found: list[Row] = []

    def note(label: str, began: float, estimate: np.ndarray, covered: float | None = None) -> None:
        row = {**job, "estimator": label}
        row["rmse against noisy outcomes"] = f"{rms(estimate - noisy):.5f}"
        row["error against the true effect"] = f"{rms(estimate - truth):.5f}"
        row["cover90"] = "" if covered is None else f"{covered:.4f}"
        row["seconds"] = f"{time.perf_counter() - began:.1f}"
        found.append(row)

    def bayes(label: str, data: bi.RegimeData, model: bi.models.Model) -> None:
        began = time.perf_counter()
        settings = QUICK if quick else STUDY
        posterior = bi.fit(data, model, seed=seed, progress=False, **settings)
        draws = posterior.joint_effect(points).to_numpy()
        note(label, began, draws.mean(axis=(0, 1)), cover(draws, truth, 0.9))

    bayes("this library", data, bi.models.additive())
    began = time.perf_counter()
    separate = _ridge.Separate(data)
    note("published (ridge a regime)", began, separate.published(points))
    began = time.perf_counter()
    note("averaged (ridge, as published)", began, separate.averaged(points))
    note("observational (ridge)", began, separate.observational(points))
    for label, chosen in (("topline (ridge on joint rows)", joint), ("pooled (ridge)", data)):
        began = time.perf_counter()
        note(label, began, _ridge.pooled(chosen)(points))
    if bayesian:
        bayes("topline (Bayesian)", joint, bi.models.pooled())
        bayes("a regression a regime (Bayesian)", data, bi.models.saturated("polynomial"))
        bayes("pooled (Bayesian)", data, bi.models.pooled())
        bayes("observational (Bayesian)", data.only([]), bi.models.pooled())
    return found


def summary(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """A row an estimator: means over models with their standard errors."""
    lines = []
    for label in LABELS:
        own = [row for row in rows if row["estimator"] == label]
        if len(own) < 2:
            continue
        line: dict[str, Any] = {"estimator": label, "models": len(own)}
        for name in ("rmse against noisy outcomes", "error against the true effect"):
            mean, error = mean_and_error([float(row[name]) for row in own])
            line[name] = f"{mean:.4f} +- {error:.4f}"
        line["published code"] = PUBLISHED.get(label, "")
        covers = [float(row["cover90"]) for row in own if row["cover90"]]
        line["cover90"] = "{:.3f} +- {:.3f}".format(*mean_and_error(covers)) if covers else ""
        line["seconds"] = f"{np.mean([float(row['seconds']) for row in own]):.1f}"
        lines.append(line)
    return lines


def draw_figure(rows: list[dict[str, str]], path: Path) -> None:
    """Both measures, a dot a model and a bar at the mean, an estimator a line."""
    labels = [label for label in LABELS if any(row["estimator"] == label for row in rows)]
    figure, axes = plt.subplots(1, 2, figsize=(11, 0.42 * len(labels) + 1.4), sharey=True)
    rng = np.random.default_rng(0)
    for ax, name in zip(
        axes, ("rmse against noisy outcomes", "error against the true effect"), strict=True
    ):
        for i, label in enumerate(labels):
            values = np.array([float(row[name]) for row in rows if row["estimator"] == label])
            colour = "C0" if label == "this library" else "0.45"
            at = i + rng.uniform(-0.22, 0.22, size=len(values))
            ax.scatter(values, at, s=9, alpha=0.35, color=colour, linewidths=0)
            ax.plot([values.mean()] * 2, [i - 0.36, i + 0.36], color=colour, linewidth=2.5)
            if name.startswith("rmse") and label in PUBLISHED:
                mark = "mean, published code" if label == "published (ridge a regime)" else None
                ax.plot(PUBLISHED[label], i, "D", color="C3", markersize=5, label=mark)
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel(f"{name} (units of the outcome)")
        ax.grid(axis="x", alpha=0.25)
    axes[0].set_yticks(range(len(labels)), labels)
    axes[0].invert_yaxis()
    axes[0].legend(frameon=False, fontsize=8)
    models = len({row["seed"] for row in rows})
    figure.suptitle(
        f"{models} random polynomial models, {rows[0]['actions']} actions, "
        f"{rows[0]['rows']} rows a regime: a dot a model, a bar the mean",
        fontsize=10,
    )
    figure.tight_layout()
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_suffix(suffix), dpi=150)
    plt.close(figure)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=100, actions=5, rows=10_000, bayesian=8)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.models, chosen.actions, chosen.rows, chosen.bayesian = 2, 2, 200, 1
    command = (
        f"python analyses/published_main.py --models {chosen.models} --actions {chosen.actions} "
        f"--rows {chosen.rows} --bayesian {chosen.bayesian}"
    )
    jobs = [
        {
            "seed": seed,
            "actions": chosen.actions,
            "rows": chosen.rows,
            "bayesian": seed < chosen.bayesian,
            "quick": chosen.quick,
        }
        for seed in range(chosen.models)
    ]
    path = chosen.output / "published_main_models.csv"
    rows = run_study(score, jobs, path, command, chosen.processes)
    lines = summary(rows)
    print_table(lines)
    write_table(chosen.output / "published_main.csv", lines, command)
    draw_figure(rows, chosen.output / "published_main")
    print(f"\nTables and figure are in {chosen.output}")


if __name__ == "__main__":
    main()
