"""Errors and coverage under violations of the assumptions, one at a time, of growing strength.

    python analyses/violations.py [--models 4] [--actions 3] [--rows 1000] [--quick]

Random polynomial, media mix and dose response models with one of three violations: two actions
interact in the outcome, the hidden causes of all actions share a component, or experiments lie
outside the range of the query points. The default fit is scored at 1000 joint points in the range
of the base model, the same at every strength: the root mean square error of the joint effect,
divided by the standard deviation over the points of the base model's joint effect (so that a
constant has an error of about 1 and the unit is independent of the strength), and the coverage of
90% intervals. Results are saved one by one; an interrupted run resumes.
"""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import bayes_intgen as bi
from bayes_intgen.simulators import (
    DoseResponse,
    Interacting,
    MediaMix,
    Polynomial,
    SharedConfounder,
    ShiftedSupport,
)

from _figures import error_bars, legend, log_scale, save_figure
from _scores import QUICK, STUDY, coverage, mean_and_error, rms
from _study import Row, arguments, command_of, options, publish_study

KINDS = {"polynomial": Polynomial, "media mix": MediaMix, "dose response": DoseResponse}
VIOLATIONS = {
    "interacting": Interacting,
    "shared confounder": SharedConfounder,
    "shifted support": ShiftedSupport,
}
STRENGTHS = {
    "interacting": (0.1, 0.2, 0.4, 0.8),
    "shared confounder": (0.1, 0.3, 0.6, 0.9),
    "shifted support": (0.5, 1.0, 2.0, 3.0),
}
AXES = {
    "interacting": "sd of the product of two actions\n(sd of the joint effect)",
    "shared confounder": "correlation of any two hidden causes",
    "shifted support": "shift of the experiments\n(sd of their settings)",
}
QUICK_KINDS = ("media mix",)
# At strength zero all violations are the same model, which is fitted once.
NONE = "none"
POINTS = 1000


def score(
    kind: str, violation: str, strength: float, seed: int, actions: int, rows: int, quick: bool
) -> list[Row]:
    """Score the fit without interactions on one random model under one violation."""
    base = KINDS[kind].random(actions, seed)
    model = base if violation == NONE else VIOLATIONS[violation](base, strength)
    # Points of the base: neither interactions nor shared causes change settings under do, and
    # shifted experiments lie elsewhere.
    points, _ = base.sample(base.names, POINTS, np.random.default_rng(seed + 20_000))
    truth = model.joint_effect(points)
    settings = QUICK if quick else STUDY
    data = model.dataset(rows, seed=seed + 10_000)
    # The default model would follow the interaction.
    additive = bi.models.additive(interactions=None)
    posterior = bi.fit(data, additive, seed=seed, progress=False, **settings)
    draws = posterior.joint_effect(points).to_numpy()
    error = rms(draws.mean(axis=(0, 1)) - truth) / float(base.joint_effect(points).std())
    row = {"kind": kind, "violation": violation, "strength": strength, "seed": seed}
    row |= {"actions": actions, "rows": rows, "quick": quick}
    return [{**row, "error": f"{error:.5f}", "coverage90": f"{coverage(draws, truth, 0.9):.4f}"}]


def summary(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Means over models with standard errors, per violation, kind and strength."""
    lines = []
    for violation in VIOLATIONS:
        for kind in KINDS:
            of_kind = [row for row in rows if row["kind"] == kind]
            own = [row for row in of_kind if row["violation"] in (NONE, violation)]
            for strength in sorted({float(row["strength"]) for row in own}):
                here = [row for row in own if float(row["strength"]) == strength]
                if len(here) < 2:
                    continue
                line = {"violation": violation, "strength": strength, "kind": kind}
                line["models"] = len(here)
                for name in ("error", "coverage90"):
                    mean, error = mean_and_error([float(row[name]) for row in here])
                    line[name] = f"{mean:.4f}"
                    line[f"standard error of {name}"] = f"{error:.4f}"
                lines.append(line)
    return lines


def draw_figure(rows: list[dict[str, str]], lines: list[dict[str, Any]], path: Path) -> None:
    """Plot errors (top) and coverage (bottom): one column per violation, one line per kind."""
    kinds = [kind for kind in KINDS if any(line["kind"] == kind for line in lines)]
    figure, axes = plt.subplots(2, 3, figsize=(11, 6.2), sharex="col", sharey="row")
    for column, violation in zip(axes.T, VIOLATIONS, strict=True):
        for ax, name in zip(column, ("error", "coverage90"), strict=True):
            for kind, marker in zip(kinds, "osD", strict=False):
                own = [x for x in lines if x["kind"] == kind and x["violation"] == violation]
                error_bars(
                    ax, own, "strength", name, f"standard error of {name}",
                    marker=marker, markersize=5, label=kind,
                )  # fmt: skip
            ax.grid(alpha=0.25)
        column[0].set_title(violation, fontsize=10)
        nominal = column[1].axhline(0.9, color="k", linestyle="--", linewidth=1)
        column[1].set_xlabel(AXES[violation])
    log_scale(axes[0, 0], "y")
    axes[0, 0].set_ylabel("error (sd of the joint effect)")
    axes[1, 0].set_ylim(-0.02, 1.02)
    axes[1, 0].set_ylabel("coverage of 90% intervals")
    legend(axes[0, 0])
    legend(axes[1, 0], [nominal], ["nominal"])
    models = len({row["seed"] for row in rows})
    figure.suptitle(
        f"{models} models of each kind, {rows[0]['actions']} actions, {rows[0]['rows']} rows "
        "per regime: means and their standard errors",
        fontsize=10,
    )
    figure.tight_layout()
    save_figure(figure, path)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=4, actions=3, rows=1000)
    args = parser.parse_args()
    if args.quick:
        args.models, args.actions, args.rows = 2, 2, 100
    command = command_of("violations", args, "models", "actions", "rows")
    violations = [(NONE, 0.0)]
    for violation, strengths in STRENGTHS.items():
        violations += [(violation, s) for s in (strengths[-1:] if args.quick else strengths)]
    common = options(args, "actions", "rows", "quick")
    jobs = [
        {"kind": kind, "violation": violation, "strength": strength, "seed": seed, **common}
        for seed in range(args.models)
        for kind in (QUICK_KINDS if args.quick else KINDS)
        for violation, strength in violations
    ]
    rows, lines = publish_study("violations", args, score, jobs, command, summary)
    draw_figure(rows, lines, args.output / "violations")
    print("\nErrors in standard deviations of the base model's joint effect.")
    print(f"Tables and figure are in {args.output}")


if __name__ == "__main__":
    main()
