"""False alarms and power of `bi.check`.

    python analyses/checks.py [--models 25] [--rows 1000] [--quick]

Random worlds with observational rows and single interventions, with or without rows under joint
interventions on two or all actions. Worlds of all simulators of the library, and of ten kinds
unlike them (`_unlike`), satisfy the assumptions and measure false alarms: their p values should be
uniform (Kolmogorov-Smirnov test). They have two or three actions and 300 rows per regime. Others
violate one assumption:

- interacting: two actions interact in the outcome (5% of its variance under their joint
  intervention);
- smallest detectable interaction: of the size that the check of the same rows calls detectable;
- shared confounder: the hidden causes of all actions are correlated, of three actions or of two;
- confounded interaction: the world of `non_identifiable` whose hidden causes take part in an
  interaction, which single interventions cannot show;
- shifted support: experiments in another range, which violates no testable restriction and should
  pass.

The graph is unknown unless noted. Intervals of rates are 95% (Wilson). Results are saved one by
one; an interrupted run resumes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import _unlike
import matplotlib.pyplot as plt
import numpy as np
from _study_worlds import FewDoses, Steep, Stepped, UniformDesign
from scipy.stats import binomtest, kstest

import bayes_intgen as bi
from bayes_intgen import simulators
from bayes_intgen.assess.checks import FAMILYWISE_LEVEL as LEVEL
from bayes_intgen.assess.hypotheses import alternatives
from bayes_intgen.simulators import (
    DoseResponse,
    Interacting,
    Linear,
    MediaMix,
    Polynomial,
    SharedConfounder,
    ShiftedSupport,
)

import non_identifiable
from _figures import legend, save_figure
from _study import Row, arguments, command_of, publish_study

SMOOTH = {
    "polynomial": Polynomial,
    "linear": Linear,
    "media mix": MediaMix,
    "dose response": DoseResponse,
}
KINDS = SMOOTH | {
    "binary": simulators.Binary,
    "ordered": simulators.Ordered,
    "few doses": FewDoses,
    "zero-inflated": simulators.ZeroInflated,
    "counts": simulators.Counts,
    "steep": Steep,
    "stepped": Stepped,
    "uniform design": UniformDesign,
}
EVERY = (*KINDS, *_unlike.KINDS)
NONE, DETECTABLE, CONFOUNDED = "none", "smallest detectable interaction", "confounded interaction"
# Share of the outcome's variance under the joint intervention that an interaction explains.
EXPLAINED = 0.05
SCALE_ROWS = 50_000
SOUND_ROWS = 300


class Case(NamedTuple):
    """Worlds with one violation.

    ``together`` and ``several`` are the actions that some rows set together ("all" or "two"), and
    the number of these rows; ``share`` is the number of worlds of each kind, relative to
    ``--models``. Actions are two or three in turn if ``actions`` is 0.
    """

    violation: str
    strength: float
    together: str
    several: int
    graph: bool
    actions: int
    kinds: tuple[str, ...]
    share: float

    @property
    def key(self) -> dict[str, Any]:
        """Columns of a table that identify the case."""
        names = ("violation", "strength", "together", "several", "graph", "actions")
        return {name: getattr(self, name) for name in names}


CASES = (
    Case(NONE, 0.0, "", 0, False, 0, EVERY, 0.76),
    Case(NONE, 0.0, "all", 100, False, 0, tuple(KINDS), 0.12),
    Case(NONE, 0.0, "", 0, True, 0, tuple(KINDS), 0.12),
    Case("shared confounder", 0.6, "", 0, False, 3, tuple(SMOOTH), 1.0),
    Case("shared confounder", 0.6, "", 0, False, 2, EVERY, 0.12),
    Case("shared confounder", 0.3, "", 0, False, 3, tuple(SMOOTH), 0.24),
    Case(CONFOUNDED, 1.0, "", 0, False, 2, ("non-identifiable",), 1.6),
    Case(CONFOUNDED, 1.0, "all", 20, False, 2, ("non-identifiable",), 1.6),
    Case(DETECTABLE, 0.0, "", 0, False, 2, tuple(KINDS), 0.2),
    Case("interacting", EXPLAINED, "", 0, False, 3, tuple(SMOOTH), 0.24),
    Case("interacting", EXPLAINED, "all", 200, False, 3, tuple(SMOOTH), 0.24),
    Case("interacting", EXPLAINED, "two", 500, False, 3, tuple(SMOOTH), 0.24),
    Case("shifted support", 2.0, "", 0, False, 3, tuple(SMOOTH), 0.2),
)
QUICK_KINDS = ("media mix", "dose response")
QUICK = (*(CASES[i]._replace(kinds=QUICK_KINDS, share=1.0) for i in (0, 3, 11)), CASES[7])


def broken(base: Any, violation: str, strength: float, regime: tuple[str, ...]) -> Any:
    """Violate an assumption; interactions by the share of variance explained in the regime."""
    if violation in (NONE, DETECTABLE):
        return base
    if violation == "interacting":
        _, outcome = base.sample(regime, SCALE_ROWS, np.random.default_rng(1))
        joint, _ = base.sample(base.names, SCALE_ROWS, np.random.default_rng(2))
        added = np.sqrt(strength / (1 - strength)) * outcome.std()
        return Interacting(base, float(added / base.joint_effect(joint).std()))
    return {"shared confounder": SharedConfounder, "shifted support": ShiftedSupport}[violation](
        base, strength
    )


def rows_of(
    kind: str, seed: int, violation: str, strength: float, together: str, several: int,
    actions: int, rows: int,
) -> tuple[bi.RegimeData, Any]:  # fmt: skip
    """Sample the rows of one job; and the graph, if the world has one."""
    if kind == "non-identifiable":
        data = non_identifiable.training_rows(strength, rows / 1000, seed)
        if several:
            rng = np.random.default_rng(seed + 1000)
            joint, outcome = non_identifiable.sample(strength, (True, True), several, rng)
            data = bi.RegimeData.from_arrays(
                np.concatenate([data.actions, joint]),
                np.concatenate([data.outcome, outcome]),
                np.concatenate([data.intervened, np.ones((several, 2), dtype=bool)]),
                data.names,
            )
        return data, None
    if kind in _unlike.KINDS:
        return _unlike.unlike(kind, actions, rows, seed, strength), None
    base = KINDS[kind].random(actions, seed)
    regime = base.names[:2] if together == "two" else base.names
    world = broken(base, violation, strength, regime)
    counts: dict[tuple[str, ...], int] = {(): rows, **{(name,): rows for name in base.names}}
    if several:
        counts[tuple(regime)] = several
    return world.dataset(counts, seed=seed + 10_000), world.graph


def with_detectable(data: bi.RegimeData, seed: int) -> bi.RegimeData:
    """Add the smoothest interaction of the first two actions, of the detectable size."""
    model = bi.models.additive(interactions=None)
    check = bi.check(data, model, held_out=0, seed=seed, progress=False)
    size = float(check.table["detectable"][0])
    smoothest = next(alternatives(data, model)).design(data)
    added = size * smoothest[:, 0] / smoothest[:, 0].std()
    return bi.RegimeData.from_arrays(
        data.actions, data.outcome + added, data.intervened, data.names
    )


def score(
    kind: str, seed: int, violation: str, strength: float, together: str, several: int,
    graph: bool, actions: int, rows: int,
) -> list[Row]:  # fmt: skip
    """Check one random world."""
    job = {
        "kind": kind, "seed": seed, "violation": violation, "strength": strength,
        "together": together, "several": several, "graph": graph, "actions": actions,
        "rows": rows,
    }  # fmt: skip
    count = actions or 2 + seed % 2
    data, edges = rows_of(kind, seed, violation, strength, together, several, count, rows)
    if violation == DETECTABLE:
        data = with_detectable(data, seed)
    # By default actions may interact, and an interaction violates nothing.
    interactions = None if violation in ("interacting", DETECTABLE) else "auto"
    model = bi.models.additive(graph=edges if graph else None, interactions=interactions)
    check = bi.check(data, model, held_out=0, seed=seed, progress=False)
    likeliest = check.table.sel(test=check.likeliest)
    pair = set(likeliest["action"].to_numpy()[likeliest["between"].to_numpy()])
    return [
        {
            **job,
            "p": f"{check.p:.4f}",
            "found": int(check.state == "violated"),
            "test": str(likeliest["kind"].item()),
            "right pair": int(pair == set(data.names[:2])) if violation == "interacting" else "",
        }
    ]


def summary(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Detection rates per case, over all kinds and for each kind."""
    lines = []
    for case in CASES:
        key = {name: str(value) for name, value in case.key.items()}
        own = [row for row in rows if key.items() <= row.items()]
        for kind in ("all", *case.kinds):
            here = [row for row in own if kind in ("all", row["kind"])]
            if here:
                lines.append({**case.key, "kind": kind, **rate(here)})
    return lines


def rate(rows: list[dict[str, str]]) -> dict[str, Any]:
    """Share of worlds with a detected violation and its interval, correct pairs, uniformity."""
    hits = [row for row in rows if row["found"] == "1"]
    interval = binomtest(len(hits), len(rows)).proportion_ci(method="wilson")
    named = [row["right pair"] for row in hits if row["right pair"]]
    p = [float(row["p"]) for row in rows]
    is_sound = rows[0]["violation"] == NONE
    return {
        "models": len(rows),
        "found": f"{len(hits) / len(rows):.3f}",
        "low": f"{interval.low:.3f}",
        "high": f"{interval.high:.3f}",
        "right pair": f"{np.mean([float(x) for x in named]):.3f}" if named else "",
        "median p": f"{np.median(p):.3f}",
        "p of uniformity": f"{kstest(p, 'uniform').pvalue:.4f}" if is_sound else "",
    }


def title(line: Mapping[str, Any]) -> str:
    """Description of a case for the figure."""
    names = {
        NONE: "assumptions hold",
        DETECTABLE: "interaction of detectable size",
        CONFOUNDED: "interaction with hidden causes",
        "interacting": "interaction, 5% of variance",
        "shared confounder": f"shared cause, correlation {line['strength']:g}, "
        f"{line['actions']} actions",
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
        for i, kind in enumerate(SMOOTH):
            for line in same:
                if line["kind"] == kind:
                    ax.plot(
                        float(line["found"]), height - 0.2 - 0.11 * i, "osD^"[i], color=f"C{i}",
                        markersize=4.5, alpha=0.8, label=kind if not height else "_",
                    )  # fmt: skip
    ax.axvline(LEVEL, color="0.6", linestyle="--", linewidth=1)
    ax.axvline(0.9, color="0.6", linestyle="--", linewidth=1)
    ax.set_yticks(range(len(cases)), [title(case) for case in reversed(cases)], fontsize=8)
    ax.set_xlim(-0.02, 1.02)
    ax.set_xlabel(f"share of models in which a violation is declared (dashed: {LEVEL:.1%} and 90%)")
    figure.suptitle(head, fontsize=9)
    legend(ax, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=5)
    figure.tight_layout()
    save_figure(figure, path)


def main() -> None:
    """Run from the command line."""
    args = arguments(__doc__, models=25, rows=1000).parse_args()
    if args.quick:
        args.models, args.rows = 2, 150
    command = command_of("checks", args, "models", "rows")
    ordered = []
    for case in QUICK if args.quick else CASES:
        count = max(round(case.share * args.models), 1)
        rows = min(SOUND_ROWS, args.rows) if case.violation == NONE else args.rows
        for seed in range(count):
            job = {"seed": seed, **case.key, "rows": rows}
            ordered += [(seed / count, {"kind": kind, **job}) for kind in case.kinds]
    # All cases advance together, so that an interrupted run has results of each.
    jobs = [job for _, job in sorted(ordered, key=lambda pair: pair[0])]
    _, lines = publish_study("checks", args, score, jobs, command, summary)
    head = f"{args.rows:,} rows per regime, {SOUND_ROWS} where the assumptions hold"
    head += "\nblack: all kinds of worlds; colours: four of them"
    draw_figure(lines, head, args.output / "checks")
    print(f"\nTables and figure are in {args.output}")


if __name__ == "__main__":
    main()
