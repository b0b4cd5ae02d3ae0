"""How often `bi.check` raises a false alarm, and which violations it finds.

    python analyses/checks.py [--models 50] [--actions 3] [--rows 1000] [--quick]

Random models of all four simulators, a regime for each action and the observational one, with
or without further rows in which two or all actions are set. Models that satisfy the
assumptions give the rate of false alarms. The others break one assumption: two actions interact
in the outcome (as much as 5% of its variance where they are set together), the hidden causes of
all actions are correlated, or the experiments were made in another range (which breaks no
restriction, and should pass). Those are half as many models. The graph is unknown unless the
table says that it is given. Intervals of rates are 95% (Wilson). Saves as it goes, and a run
that was stopped goes on where it was.
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

from _study import Row, arguments, run_study
from _tables import print_table, write_table

KINDS = {
    "polynomial": Polynomial,
    "linear": Linear,
    "media mix": MediaMix,
    "dose response": DoseResponse,
}
NONE = "none"
# Share of the variance of outcomes, where both actions are set, that an interaction explains.
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
    """The model, broken; an interaction by the share of variance it explains in the regime."""
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
    """The check of one random model, broken so far."""
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
    found = bi.check(data, model, held_out=0, seed=seed, progress=False)
    likeliest = found.table.sel(test=found.likeliest)
    pair = set(likeliest["action"].to_numpy()[likeliest["between"].to_numpy()])
    return [
        {
            **job,
            "p": f"{found.p:.4f}",
            "found": int(found.violated),
            "test": str(likeliest["kind"].item()),
            "right pair": int(pair == set(base.names[:2])) if violation == "interacting" else "",
        }
    ]


def summary(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """A row a case, for all kinds together and each alone: the rate of violations found."""
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
    """Models, share of them in which a violation was found, its interval, right pairs."""
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
    """A case in words."""
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
    """A line a case: rates of each kind of model, and of all with their interval."""
    cases = [line for line in lines if line["kind"] == "all"]
    figure, ax = plt.subplots(figsize=(8.2, 1.6 + 0.46 * len(cases)))
    for height, case in enumerate(reversed(cases)):
        low, rate_, high = (float(case[name]) for name in ("low", "found", "high"))
        ax.plot([low, high], [height] * 2, color="k", linewidth=1.5)
        ax.plot(rate_, height, "ko", markersize=6, label="all, 95% interval" if not height else "_")
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
    ax.legend(frameon=False, fontsize=8, loc="lower right")
    figure.tight_layout()
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_suffix(suffix), dpi=150)
    plt.close(figure)


def main() -> None:
    """Run from the command line."""
    chosen = arguments(__doc__, models=50, actions=3, rows=1000).parse_args()
    if chosen.quick:
        chosen.models, chosen.actions, chosen.rows = 2, 2, 150
    command = (
        f"python analyses/checks.py --models {chosen.models} --actions {chosen.actions} "
        f"--rows {chosen.rows}"
    )
    jobs = [
        {
            "kind": kind, "seed": seed, "violation": violation, "strength": strength,
            "together": together, "several": several, "graph": graph,
            "actions": chosen.actions, "rows": chosen.rows,
        }
        for violation, strength, together, several, graph in (QUICK if chosen.quick else CASES)
        for seed in range(chosen.models)
        for kind in (QUICK_KINDS if chosen.quick else KINDS)
        if (violation, several, graph) == (NONE, 0, False) or seed < max(chosen.models // 2, 1)
    ]  # fmt: skip
    path = chosen.output / "checks_models.csv"
    rows = run_study(score, jobs, path, command, chosen.processes)
    lines = summary(rows)
    print_table(lines)
    write_table(chosen.output / "checks.csv", lines, command)
    head = (
        f"{chosen.models} models of each kind, half as many where something is added; "
        f"{chosen.actions} actions, {chosen.rows} rows a regime"
    )
    draw_figure(lines, head, chosen.output / "checks")
    print(f"\nTables and figure are in {chosen.output}")


if __name__ == "__main__":
    main()
