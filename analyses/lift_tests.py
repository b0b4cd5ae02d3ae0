"""Cover and width of bands where one action was never set, and lift tests stand in for it.

    python analyses/lift_tests.py [--models 40] [--actions 3] [--rows 1000] [--quick]

Random polynomial models, fitted to rows of every regime but those in which the first action was
set. What is asked is by how much the joint effect changes as that action goes from its 10% to its
90% quantile. Three fits: to the rows alone; to them and a lift test of just that change, its
effect drawn about the truth with its standard error; and, as a control, to the same test with its
standard error given as a quarter of what it is. The standard error is a tenth of the outcome's
standard deviation. A second question, from the lower to the upper quartile, no test answers
directly. Saves as it goes, and a run that was stopped goes on where it was.
"""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import bayes_intgen as bi
from bayes_intgen.simulators import Polynomial

from _scores import QUICK, STUDY, mean_and_error
from _study import Row, arguments, run_study
from _tables import print_table, write_table

EVIDENCE = ("rows alone", "lift test", "lift test, se a quarter")
ASKED = {"tested": (0.1, 0.9), "between": (0.25, 0.75)}
SE = 0.1


def score(seed: int, actions: int, rows: int, quick: bool) -> list[Row]:
    """All fits to one model."""
    model = Polynomial.random(actions, seed)
    every = model.dataset(rows, seed=seed + 10_000)
    first, *others = model.names
    data = every.only([], *([name] for name in others))
    unit = float(data.outcome.std())
    medians = np.median(data.actions, axis=0)
    points, truth = {}, {}
    for name, quantiles in ASKED.items():
        ends = np.tile(medians, (2, 1))
        ends[:, 0] = np.quantile(data.actions[:, 0], quantiles)
        points[name] = ends
        truth[name] = float(np.diff(model.joint_effect(ends))[0])
    rng = np.random.default_rng(seed + 20_000)
    ends, se = points["tested"], SE * unit
    effect = truth["tested"] + se * rng.standard_normal()

    lines = []
    for evidence in EVIDENCE:
        told = data
        if evidence != "rows alone":
            given = se / 4 if "quarter" in evidence else se
            told = data.add_lift_test(first, ends[0, 0], ends[1, 0], effect, given)
        # Straight lines compile fast; the default model is what the study is of.
        prior = "linear" if quick else "gp"
        settings = QUICK if quick else STUDY
        posterior = bi.fit(told, bi.models.additive(prior), seed=seed, progress=False, **settings)
        for name, at in points.items():
            draws = np.diff(posterior.joint_effect(at).to_numpy())[..., 0]
            line: Row = {"seed": seed, "actions": actions, "rows": rows, "quick": quick}
            line |= {"evidence": evidence, "asked": name}
            line |= {"sd over se": f"{draws.std() / se:.4f}"}
            line |= {"error over se": f"{(draws.mean() - truth[name]) / se:.4f}"}
            for level in (50, 90):
                low, high = np.percentile(draws, [50 - level / 2, 50 + level / 2])
                line[f"cover{level}"] = int(low < truth[name] < high)
            lines.append(line)
    return lines


def summary(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """A row a question and evidence: means over models with their standard errors."""
    lines = []
    for asked in ASKED:
        for evidence in EVIDENCE:
            own = [r for r in rows if r["asked"] == asked and r["evidence"] == evidence]
            line: dict[str, Any] = {"asked": asked, "evidence": evidence, "models": len(own)}
            for name in ("cover50", "cover90"):
                mean, error = mean_and_error([float(row[name]) for row in own])
                line[name] = f"{mean:.3f}"
                line[f"standard error of {name}"] = f"{error:.3f}"
            line["median sd over se"] = f"{np.median([float(r['sd over se']) for r in own]):.3f}"
            errors = np.array([float(row["error over se"]) for row in own])
            line["rms error over se"] = f"{np.sqrt(np.mean(errors**2)):.3f}"
            lines.append(line)
    return lines


def draw_figure(rows: list[dict[str, str]], path: Path) -> None:
    """Width against error of every model, a question a panel."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharex=True, sharey=True)
    titles = ("the change that was tested", "a change within it")
    for ax, asked, title in zip(axes, ASKED, titles, strict=True):
        for evidence, marker in zip(EVIDENCE, "osD", strict=True):
            own = [r for r in rows if r["asked"] == asked and r["evidence"] == evidence]
            sd, error = (
                np.array([float(r[name]) for r in own]) for name in ("sd over se", "error over se")
            )
            ax.plot(sd, np.abs(error), marker, markersize=4, alpha=0.7, label=evidence)
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("posterior sd (standard errors of the test)")
        ax.grid(alpha=0.25)
    for ax in axes:
        ax.set_xscale("log")
        ax.set_yscale("log")
        ends = np.array([0.1, 100.0])
        ax.plot(ends, 1.645 * ends, "k--", linewidth=1, label="edge of the 90% band")
    axes[0].set_ylim(1e-2, None)
    axes[0].set_ylabel("|posterior mean - truth| (standard errors)")
    axes[0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_suffix(suffix), dpi=150)
    plt.close(figure)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=40, actions=3, rows=1000)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.models, chosen.actions, chosen.rows = 2, 2, 100
    command = (
        f"python analyses/lift_tests.py --models {chosen.models} --actions {chosen.actions} "
        f"--rows {chosen.rows}"
    )
    jobs = [
        {"seed": seed, "actions": chosen.actions, "rows": chosen.rows, "quick": chosen.quick}
        for seed in range(chosen.models)
    ]
    rows = run_study(
        score, jobs, chosen.output / "lift_tests_models.csv", command, chosen.processes
    )
    lines = summary(rows)
    print_table(lines)
    write_table(chosen.output / "lift_tests.csv", lines, command)
    draw_figure(rows, chosen.output / "lift_tests")
    print(f"\nTables and figure are in {chosen.output}")


if __name__ == "__main__":
    main()
