"""Main experiment of arXiv 2506.04945: all estimators on 100 random polynomial models.

    python analyses/published_main.py [--models 100] [--actions 5] [--rows 10000] [--bayesian 8]

As published: K actions, 80% of the rows of each regime for training, 20% of as many joint rows for
testing, estimates scored by their root mean square distance from noisy joint outcomes. The error
against the true effect, free of that noise, is reported beside it. Baselines are also fitted as
Bayesian models of this library, for the first models only (they take as long as everything else).
Results are saved one by one; an interrupted run resumes.
"""

import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import bayes_intgen as bi
from bayes_intgen.simulators import Polynomial

import _ridge
from _figures import column, legend, log_scale, save_figure
from _scores import QUICK, STUDY, coverage, mean_and_error, mean_coverage, rms
from _study import Row, arguments, command_of, options, publish_study

# Share of the rows that train, as published.
TRAIN_SHARE = 0.8
# Means of the published code's own run, each about +- 0.01: arXiv 2506.04945.
PUBLISHED = {
    "published (ridge per regime)": 0.356,
    "topline (ridge on joint rows)": 0.300,
    "averaged (ridge, as published)": 0.371,
    "observational (ridge)": 0.399,
}
LABELS = (
    "this library",
    "topline (ridge on joint rows)",
    "published (ridge per regime)",
    "averaged (ridge, as published)",
    "pooled (ridge)",
    "observational (ridge)",
    "topline (Bayesian)",
    "a regression per regime (Bayesian)",
    "pooled (Bayesian)",
    "observational (Bayesian)",
)


def joint_rows(model: Polynomial, rows: int, rng: np.random.Generator) -> bi.RegimeData:
    """Sample rows under joint interventions on all actions."""
    actions, outcome = model.sample(model.names, rows, rng)
    everything = np.ones(actions.shape, dtype=bool)
    return bi.RegimeData.from_arrays(
        actions, outcome, everything, model.names, require_observational=False
    )


def score(seed: int, actions: int, rows: int, bayesian: bool, quick: bool) -> list[Row]:
    """Score every estimator on one random model."""
    model = Polynomial.random(actions, seed)
    train = round(TRAIN_SHARE * rows)
    data = model.dataset(train, seed=seed + 10_000)
    rng = np.random.default_rng(seed + 20_000)
    joint = joint_rows(model, train, rng)
    points, noisy = model.sample(model.names, rows - train, rng)
    truth = model.joint_effect(points)
    job = {"seed": seed, "actions": actions, "rows": rows, "bayesian": bayesian, "quick": quick}
    lines: list[Row] = []

    def note(label: str, began: float, estimate: np.ndarray, covered: float | None = None) -> None:
        row = {**job, "estimator": label}
        row["rmse against noisy outcomes"] = f"{rms(estimate - noisy):.5f}"
        row["error against the true effect"] = f"{rms(estimate - truth):.5f}"
        row["coverage90"] = "" if covered is None else f"{covered:.4f}"
        row["seconds"] = f"{time.perf_counter() - began:.1f}"
        lines.append(row)

    def bayes(label: str, data: bi.RegimeData, model: bi.models.Model) -> None:
        began = time.perf_counter()
        settings = QUICK if quick else STUDY
        posterior = bi.fit(data, model, seed=seed, progress=False, **settings)
        draws = posterior.joint_effect(points).to_numpy()
        note(label, began, draws.mean(axis=(0, 1)), coverage(draws, truth, 0.9))

    bayes("this library", data, bi.models.additive())
    began = time.perf_counter()
    separate = _ridge.Separate(data)
    note("published (ridge per regime)", began, separate.published(points))
    began = time.perf_counter()
    note("averaged (ridge, as published)", began, separate.averaged(points))
    note("observational (ridge)", began, separate.observational(points))
    for label, source in (("topline (ridge on joint rows)", joint), ("pooled (ridge)", data)):
        began = time.perf_counter()
        note(label, began, _ridge.pooled(source)(points))
    if bayesian:
        bayes("topline (Bayesian)", joint, bi.models.pooled())
        bayes("a regression per regime (Bayesian)", data, bi.models.saturated("polynomial"))
        bayes("pooled (Bayesian)", data, bi.models.pooled())
        bayes("observational (Bayesian)", data.only([]), bi.models.pooled())
    return lines


def summary(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Means over models with standard errors, per estimator."""
    lines = []
    for label in LABELS:
        own = [row for row in rows if row["estimator"] == label]
        if len(own) < 2:
            continue
        line: dict[str, Any] = {"estimator": label, "models": len(own)}
        for name in ("rmse against noisy outcomes", "error against the true effect"):
            mean, error = mean_and_error(column(own, name))
            line[name] = f"{mean:.4f} +- {error:.4f}"
        line["published code"] = PUBLISHED.get(label, "")
        line["coverage90"] = mean_coverage(own)
        line["seconds"] = f"{column(own, 'seconds').mean():.1f}"
        lines.append(line)
    return lines


def draw_figure(rows: list[dict[str, str]], path: Path) -> None:
    """Plot both measures: one line per estimator, one dot per model, bars at the means."""
    labels = [label for label in LABELS if any(row["estimator"] == label for row in rows)]
    figure, axes = plt.subplots(1, 2, figsize=(11, 0.42 * len(labels) + 1.4), sharey=True)
    rng = np.random.default_rng(0)
    for ax, name in zip(
        axes, ("rmse against noisy outcomes", "error against the true effect"), strict=True
    ):
        for i, label in enumerate(labels):
            values = column([row for row in rows if row["estimator"] == label], name)
            colour = "C0" if label == "this library" else "0.45"
            at = i + rng.uniform(-0.22, 0.22, size=len(values))
            ax.scatter(values, at, s=9, alpha=0.35, color=colour, linewidths=0)
            ax.plot([values.mean()] * 2, [i - 0.36, i + 0.36], color=colour, linewidth=2.5)
            if name.startswith("rmse") and label in PUBLISHED:
                mark = "mean, published code" if label == "published (ridge per regime)" else None
                ax.plot(PUBLISHED[label], i, "D", color="C3", markersize=5, label=mark)
        log_scale(ax, "x")
        ax.set_xlabel(f"{name} (units of the outcome)")
        ax.grid(axis="x", alpha=0.25)
    axes[0].set_yticks(range(len(labels)), labels)
    axes[0].invert_yaxis()
    legend(axes[0])
    models = len({row["seed"] for row in rows})
    figure.suptitle(
        f"{models} random polynomial models, {rows[0]['actions']} actions, "
        f"{TRAIN_SHARE * float(rows[0]['rows']):,.0f} rows per regime: dots are models, bars means",
        fontsize=10,
    )
    figure.tight_layout()
    save_figure(figure, path)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=100, actions=5, rows=10_000, bayesian=8)
    args = parser.parse_args()
    if args.quick:
        args.models, args.actions, args.rows, args.bayesian = 2, 2, 200, 1
    command = command_of("published_main", args, "models", "actions", "rows", "bayesian")
    common = options(args, "actions", "rows", "quick")
    jobs = [
        {"seed": seed, "bayesian": seed < args.bayesian, **common} for seed in range(args.models)
    ]
    rows, _ = publish_study("published_main", args, score, jobs, command, summary)
    draw_figure(rows, args.output / "published_main")
    print(f"\nTables and figure are in {args.output}")


if __name__ == "__main__":
    main()
