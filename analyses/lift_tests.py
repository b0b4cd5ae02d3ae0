"""Coverage and width of intervals when lift tests replace the experiment on one action.

    python analyses/lift_tests.py [--models 40] [--actions 3] [--rows 1000] [--quick]

Random polynomial models, fitted to all regimes except the intervention on the first action. The
estimand is the change of the joint effect between that action's 10% and 90% quantiles. Three fits:
to the rows alone; to rows and a lift test of this contrast, whose estimate is normal about the true
effect with its standard error, a tenth of the outcome's standard deviation; and, as a control, to
the same test with a stated standard error of a quarter of the true one. No test addresses the
second contrast, between the quartiles, directly. Results are saved one by one; an interrupted run
resumes.
"""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import bayes_intgen as bi
from bayes_intgen.simulators import Polynomial

from _figures import column, legend, save_figure
from _scores import QUICK, STUDY, coverage, mean_and_error, rms
from _study import Row, arguments, command_of, options, publish_study

EVIDENCE = ("rows alone", "lift test", "lift test, se a quarter")
CONTRASTS = {"tested": (0.1, 0.9), "between": (0.25, 0.75)}
SE = 0.1


def score(seed: int, actions: int, rows: int, quick: bool) -> list[Row]:
    """Score all fits to one model."""
    world = Polynomial.random(actions, seed)
    first, *others = world.names
    data = world.dataset(rows, seed=seed + 10_000).only([], *([name] for name in others))
    unit = float(data.outcome.std())
    medians = np.median(data.actions, axis=0)
    points, truth = {}, {}
    for name, quantiles in CONTRASTS.items():
        ends = np.tile(medians, (2, 1))
        ends[:, 0] = np.quantile(data.actions[:, 0], quantiles)
        points[name] = ends
        truth[name] = float(np.diff(world.joint_effect(ends))[0])
    rng = np.random.default_rng(seed + 20_000)
    ends, se = points["tested"], SE * unit
    effect = truth["tested"] + se * rng.standard_normal()

    lines = []
    for evidence in EVIDENCE:
        rows_and_test = data
        if evidence != "rows alone":
            stated = se / 4 if "quarter" in evidence else se
            rows_and_test = data.add_lift_test(first, ends[0, 0], ends[1, 0], effect, stated)
        # Linear mechanisms compile fast, for tests.
        prior = "linear" if quick else "gp"
        settings = QUICK if quick else STUDY
        model = bi.models.additive(prior)
        posterior = bi.fit(rows_and_test, model, seed=seed, progress=False, **settings)
        for name, at in points.items():
            draws = np.diff(posterior.joint_effect(at).to_numpy())
            line: Row = {"seed": seed, "actions": actions, "rows": rows, "quick": quick}
            line |= {"evidence": evidence, "asked": name}
            line |= {"sd over se": f"{draws.std() / se:.4f}"}
            line |= {"error over se": f"{(draws.mean() - truth[name]) / se:.4f}"}
            for level in (50, 90):
                line[f"coverage{level}"] = int(coverage(draws, truth[name], level / 100))
            lines.append(line)
    return lines


def summary(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Means over models with standard errors, per contrast and evidence."""
    lines = []
    for contrast in CONTRASTS:
        for evidence in EVIDENCE:
            own = selected(rows, contrast, evidence)
            line: dict[str, Any] = {"asked": contrast, "evidence": evidence, "models": len(own)}
            for name in ("coverage50", "coverage90"):
                mean, error = mean_and_error([float(row[name]) for row in own])
                line[name] = f"{mean:.3f}"
                line[f"standard error of {name}"] = f"{error:.3f}"
            line["median sd over se"] = f"{np.median(column(own, 'sd over se')):.3f}"
            line["rms error over se"] = f"{rms(column(own, 'error over se')):.3f}"
            lines.append(line)
    return lines


def selected(rows: list[dict[str, str]], contrast: str, evidence: str) -> list[dict[str, str]]:
    """Rows of one contrast and one kind of evidence."""
    return [row for row in rows if row["asked"] == contrast and row["evidence"] == evidence]


def draw_figure(rows: list[dict[str, str]], path: Path) -> None:
    """Plot error against width for every model, one panel per contrast."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharex=True, sharey=True)
    titles = ("the change that was tested", "a change within it")
    for ax, contrast, title in zip(axes, CONTRASTS, titles, strict=True):
        for evidence, marker in zip(EVIDENCE, "osD", strict=True):
            own = selected(rows, contrast, evidence)
            sd, error = column(own, "sd over se"), np.abs(column(own, "error over se"))
            ax.plot(sd, error, marker, markersize=4, alpha=0.7, label=evidence)
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("posterior sd (standard errors of the test)")
        ax.grid(alpha=0.25)
    for ax in axes:
        ax.set_xscale("log")
        ax.set_yscale("log")
        ends = np.array([0.1, 100.0])
        ax.plot(ends, 1.645 * ends, "k--", linewidth=1, label="edge of the 90% interval")
    axes[0].set_ylim(1e-2, None)
    axes[0].set_ylabel("|posterior mean - truth| (standard errors)")
    legend(axes[0])
    figure.tight_layout()
    save_figure(figure, path)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=40, actions=3, rows=1000)
    args = parser.parse_args()
    if args.quick:
        args.models, args.actions, args.rows = 2, 2, 100
    command = command_of("lift_tests", args, "models", "actions", "rows")
    common = options(args, "actions", "rows", "quick")
    jobs = [{"seed": seed, **common} for seed in range(args.models)]
    rows, _ = publish_study("lift_tests", args, score, jobs, command, summary)
    draw_figure(rows, args.output / "lift_tests")
    print(f"\nTables and figure are in {args.output}")


if __name__ == "__main__":
    main()
