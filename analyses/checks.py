"""False alarms and power of `bi.check`.

    python analyses/checks.py [--models 50] [--actions 3] [--rows 1000] [--quick]

Random models of four simulators with observational rows and single interventions, with or without
rows under joint interventions on two or all actions. Models that satisfy the assumptions measure
false alarms. Half as many models violate one assumption: two actions interact in the outcome
(explaining 5% of its variance under their joint intervention), the hidden causes of all actions
are correlated, or experiments lie in another range (which violates no testable restriction and
should pass). The graph is unknown unless noted. Intervals of rates are 95% (Wilson). Results are
saved one by one; an interrupted run resumes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import binomtest

import bayes_intgen as bi
from bayes_intgen.simulators import (
    DoseResponse,
    Interacting,
    Linear,
    MediaMix,
    Polynomial,
    SharedConfounder,
    ShiftedSupport,
)

from _figures import legend, save_figure
from _study import Row, arguments, command_of, options, publish_study

KINDS = {
    "polynomial": Polynomial,
    "linear": Linear,
    "media mix": MediaMix,
    "dose response": DoseResponse,
}
NONE = "none"
# Share of the outcome's variance under the joint intervention that an interaction explains.
EXPLAINED = 0.05
SCALE_ROWS = 50_000
# Violation, its strength, rows with several actions set ("all" or "two", and how many), graph.
CASES = (
    (NONE, 0.0, "", 0, False),
    (NONE, 0.0, "all", 500, False),
    (NONE, 0.0, "", 0, True),
    ("interacting", EXPLAINED, "", 0, False),
    ("interacting", EXPLAINED, "all", 200, False),
    ("interacting", EXPLAINED, "all", 500, False),
    ("interacting", EXPLAINED, "all", 1000, False),
    ("interacting", EXPLAINED, "two", 500, False),
    ("interacting", EXPLAINED, "two", 1000, False),
    ("shared confounder", 0.3, "", 0, False),
    ("shared confounder", 0.3, "", 0, True),
    ("shared confounder", 0.3, "all", 500, False),
    ("shared confounder", 0.6, "", 0, False),
    ("shared confounder", 0.6, "", 0, True),
    ("shared confounder", 0.6, "all", 500, False),
    ("shifted support", 2.0, "", 0, False),
    ("shifted support", 2.0, "all", 500, False),
)
QUICK = (CASES[0], CASES[5], CASES[13])
QUICK_KINDS = ("media mix", "dose response")


def broken(base: Any, violation: str, strength: float, regime: tuple[str, ...]) -> Any:
    """Violate an assumption; interactions by the share of variance explained in the regime."""
    if violation == NONE:
        return base
    if violation == "interacting":
        _, outcome = base.sample(regime, SCALE_ROWS, np.random.default_rng(1))
        joint, _ = base.sample(base.names, SCALE_ROWS, np.random.default_rng(2))
        added = np.sqrt(strength / (1 - strength)) * outcome.std()
        return Interacting(base, float(added / base.joint_effect(joint).std()))
    return {"shared confounder": SharedConfounder, "shifted support": ShiftedSupport}[violation](
        base, strength
    )


def score(
    kind: str, seed: int, violation: str, strength: float, together: str, several: int,
    graph: bool, actions: int, rows: int,
) -> list[Row]:  # fmt: skip
    """Check one random model under one violation."""
    job = {
        "kind": kind, "seed": seed, "violation": violation, "strength": strength,
        "together": together, "several": several, "graph": graph, "actions": actions,
        "rows": rows,
    }  # fmt: skip
    base = KINDS[kind].random(actions, seed)
    regime = base.names[:2] if together == "two" else base.names
    world = broken(base, violation, strength, regime)
    counts: dict[tuple[str, ...], int] = {(): rows, **{(name,): rows for name in base.names}}
    if several:
        counts[tuple(regime)] = several
    data = world.dataset(counts, seed=seed + 10_000)
    model = bi.models.additive(graph=world.graph if graph else None)
    check = bi.check(data, model, held_out=0, seed=seed, progress=False)
    likeliest = check.table.sel(test=check.likeliest)
    pair = set(likeliest["action"].to_numpy()[likeliest["between"].to_numpy()])
    return [
        {
            **job,
            "p": f"{check.p:.4f}",
            "found": int(check.violated),
            "test": str(likeliest["kind"].item()),
            "right pair": int(pair == set(base.names[:2])) if violation == "interacting" else "",
        }
    ]


def summary(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Detection rates per case, over all kinds and for each kind."""
    lines = []
    for violation, strength, together, several, graph in CASES:
        case = {
            "violation": violation, "strength": strength, "together": together,
            "several": several, "graph": graph,
        }  # fmt: skip
        own = [row for row in rows if all(row[name] == str(v) for name, v in case.items())]
        for kind in ("all", *KINDS):
            here = [row for row in own if kind in ("all", row["kind"])]
            if here:
                lines.append({**case, "kind": kind, **rate(here)})
    return lines


def rate(rows: list[dict[str, str]]) -> dict[str, Any]:
    """Number of models, share with a detected violation and its interval, correct pairs."""
    hits = [row for row in rows if row["found"] == "1"]
    interval = binomtest(len(hits), len(rows)).proportion_ci(method="wilson")
    named = [row["right pair"] for row in hits if row["right pair"]]
    return {
        "models": len(rows),
        "found": f"{len(hits) / len(rows):.3f}",
        "low": f"{interval.low:.3f}",
        "high": f"{interval.high:.3f}",
        "right pair": f"{np.mean([float(x) for x in named]):.3f}" if named else "",
    }


def title(line: Mapping[str, Any]) -> str:
    """Description of a case for the figure."""
    names = {
        NONE: "assumptions hold",
        "interacting": "interaction, 5% of variance",
        "shared confounder": f"shared cause, correlation {line['strength']:g}",
        "shifted support": "experiments elsewhere",
    }
    several = f"{line['several']} rows with {line['together']} set" if line["several"] else ""
    more = [text for text in (several, "graph given" if line["graph"] else "") if text]
    return "\n".join([names[line["violation"]], ", ".join(more) or "one action set at a time"])


def draw_figure(lines: list[dict[str, Any]], head: str, path: Path) -> None:
    """Plot one line per case: rates per kind of model, and over all kinds with intervals."""
    cases = [line for line in lines if line["kind"] == "all"]
    figure, ax = plt.subplots(figsize=(8.2, 1.6 + 0.46 * len(cases)))
    for height, case in enumerate(reversed(cases)):
        low, share, high = (float(case[name]) for name in ("low", "found", "high"))
        ax.plot([low, high], [height] * 2, color="k", linewidth=1.5)
        ax.plot(share, height, "ko", markersize=6, label="all, 95% interval" if not height else "_")
        same = [x for x in lines if x["kind"] != "all" and title(x) == title(case)]
        for i, kind in enumerate(KINDS):
            for line in same:
                if line["kind"] == kind:
                    ax.plot(
                        float(line["found"]), height - 0.28, marker="osD^"[i], color=f"C{i}",
                        markersize=4.5, linestyle="", alpha=0.8, label=kind if not height else "_",
                    )  # fmt: skip
    ax.axvline(0.05, color="0.6", linestyle="--", linewidth=1)
    ax.axvline(0.9, color="0.6", linestyle="--", linewidth=1)
    ax.set_yticks(range(len(cases)), [title(case) for case in reversed(cases)], fontsize=8)
    ax.set_xlim(-0.02, 1.02)
    ax.set_xlabel("share of models in which a violation is declared (dashed: 5% and 90%)")
    figure.suptitle(head, fontsize=9)
    legend(ax, loc="lower right")
    figure.tight_layout()
    save_figure(figure, path)


def main() -> None:
    """Run from the command line."""
    args = arguments(__doc__, models=50, actions=3, rows=1000).parse_args()
    if args.quick:
        args.models, args.actions, args.rows = 2, 2, 150
    command = command_of("checks", args, "models", "actions", "rows")
    common = options(args, "actions", "rows")
    jobs = [
        {
            "kind": kind, "seed": seed, "violation": violation, "strength": strength,
            "together": together, "several": several, "graph": graph, **common,
        }
        for violation, strength, together, several, graph in (QUICK if args.quick else CASES)
        for seed in range(args.models)
        for kind in (QUICK_KINDS if args.quick else KINDS)
        if (violation, several, graph) == (NONE, 0, False) or seed < max(args.models // 2, 1)
    ]  # fmt: skip
    _, lines = publish_study("checks", args, score, jobs, command, summary)
    head = (
        f"{args.models} models of each kind in the first case, half as many in the others; "
        f"{args.actions} actions, {args.rows} rows per regime"
    )
    draw_figure(lines, head, args.output / "checks")
    print(f"\nTables and figure are in {args.output}")


if __name__ == "__main__":
    main()
