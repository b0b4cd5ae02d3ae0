"""Errors and cover as assumptions are broken, one at a time, by a dial.

    python analyses/violations.py [--models 4] [--actions 3] [--rows 1000] [--quick]

Random polynomial, media mix and dose response models, each broken in three ways: two actions
interact in the outcome, the hidden causes of all actions have a part in common, or the
experiments were made in another range than the one that is asked about. The default fit is
scored at 1000 joint points in the range of the model before it was broken, the same points
at every dial: the root mean square distance from the true joint effect of the broken model,
divided by the standard deviation over the points of the joint effect before it was broken (an
error of 1 is that of a constant, and the unit does not turn with the dial), and the share of
points that 90% bands cover. Saves as it goes, and a run that was stopped goes on where it was.
"""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator

import bayes_intgen as bi
from bayes_intgen.simulators import (
    DoseResponse,
    Interacting,
    MediaMix,
    Polynomial,
    SharedConfounder,
    ShiftedSupport,
)

from _scores import QUICK, STUDY, cover, mean_and_error, rms
from _study import Row, arguments, run_study
from _tables import print_table, write_table

KINDS = {"polynomial": Polynomial, "media mix": MediaMix, "dose response": DoseResponse}
VIOLATIONS = {
    "interacting": Interacting,
    "shared confounder": SharedConfounder,
    "shifted support": ShiftedSupport,
}
DIALS = {
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
# At zero all violations are the same model, which is fitted once.
NONE = "none"
POINTS = 1000


def score(
    kind: str, violation: str, strength: float, seed: int, actions: int, rows: int, quick: bool
) -> list[Row]:
    """The default fit to one random model, broken so far."""
    base = KINDS[kind].random(actions, seed)
    model = base if violation == NONE else VIOLATIONS[violation](base, strength)
    # Points of the base: neither interactions nor shared causes change how actions are set,
    # and for shifted experiments these are what ShiftedSupport.unshifted_points gives.
    points, _ = base.sample(base.names, POINTS, np.random.default_rng(seed + 20_000))
    truth = model.joint_effect(points)
    settings = QUICK if quick else STUDY
    data = model.dataset(rows, seed=seed + 10_000)
    posterior = bi.fit(data, seed=seed, progress=False, **settings)
    draws = posterior.joint_effect(points).to_numpy()
    error = rms(draws.mean(axis=(0, 1)) - truth) / float(base.joint_effect(points).std())
    row = {"kind": kind, "violation": violation, "strength": strength, "seed": seed}
    row |= {"actions": actions, "rows": rows, "quick": quick}
    return [{**row, "error": f"{error:.5f}", "cover90": f"{cover(draws, truth, 0.9):.4f}"}]


def summary(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """A row a kind, violation and strength: means over models with their standard errors."""
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
                for name in ("error", "cover90"):
                    mean, error = mean_and_error([float(row[name]) for row in here])
                    line[name] = f"{mean:.4f}"
                    line[f"standard error of {name}"] = f"{error:.4f}"
                lines.append(line)
    return lines


def draw_figure(rows: list[dict[str, str]], lines: list[dict[str, Any]], path: Path) -> None:
    """Error above, cover below, a violation a column, a kind of model a line."""
    kinds = [kind for kind in KINDS if any(line["kind"] == kind for line in lines)]
    figure, axes = plt.subplots(2, 3, figsize=(11, 6.2), sharex="col", sharey="row")
    for column, violation in zip(axes.T, VIOLATIONS, strict=True):
        for ax, name in zip(column, ("error", "cover90"), strict=True):
            for kind, marker in zip(kinds, "osD", strict=False):
                own = [x for x in lines if x["kind"] == kind and x["violation"] == violation]
                mean, error = (
                    np.array([float(line[item]) for line in own])
                    for item in (name, f"standard error of {name}")
                )
                at = [line["strength"] for line in own]
                ax.errorbar(at, mean, error, marker=marker, markersize=5, capsize=3, label=kind)
            ax.grid(alpha=0.25)
        column[0].set_title(violation, fontsize=10)
        nominal = column[1].axhline(0.9, color="k", linestyle="--", linewidth=1)
        column[1].set_xlabel(AXES[violation])
    axes[0, 0].set_yscale("log")
    axes[0, 0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes[0, 0].yaxis.set_major_formatter("{x:g}")
    axes[0, 0].minorticks_off()
    axes[0, 0].set_ylabel("error (sd of the joint effect)")
    axes[1, 0].set_ylim(-0.02, 1.02)
    axes[1, 0].set_ylabel("cover of 90% bands")
    axes[0, 0].legend(frameon=False, fontsize=8)
    axes[1, 0].legend([nominal], ["nominal"], frameon=False, fontsize=8)
    models = len({row["seed"] for row in rows})
    figure.suptitle(
        f"{models} models of each kind, {rows[0]['actions']} actions, {rows[0]['rows']} rows a "
        "regime: means and their standard errors",
        fontsize=10,
    )
    figure.tight_layout()
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_suffix(suffix), dpi=150)
    plt.close(figure)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=4, actions=3, rows=1000)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.models, chosen.actions, chosen.rows = 2, 2, 100
    command = (
        f"python analyses/violations.py --models {chosen.models} --actions {chosen.actions} "
        f"--rows {chosen.rows}"
    )
    dials = [(NONE, 0.0)]
    for violation, strengths in DIALS.items():
        dials += [(violation, s) for s in (strengths[-1:] if chosen.quick else strengths)]
    jobs = [
        {
            "kind": kind,
            "violation": violation,
            "strength": strength,
            "seed": seed,
            "actions": chosen.actions,
            "rows": chosen.rows,
            "quick": chosen.quick,
        }
        for seed in range(chosen.models)
        for kind in (QUICK_KINDS if chosen.quick else KINDS)
        for violation, strength in dials
    ]
    path = chosen.output / "violations_models.csv"
    rows = run_study(score, jobs, path, command, chosen.processes)
    lines = summary(rows)
    print_table(lines)
    write_table(chosen.output / "violations.csv", lines, command)
    draw_figure(rows, lines, chosen.output / "violations")
    print("\nErrors in standard deviations of the joint effect before the model was broken.")
    print(f"Tables and figure are in {chosen.output}")


if __name__ == "__main__":
    main()
