"""Outliers in the outcome: coverage of effects with Gaussian and Student-t noise, and reports.

    python analyses/outliers.py [--models 12] [--rows 1000] [--timed 2] [--tables 40] [--quick]

Random worlds of three actions, whose hidden causes and noise are normal; the causes have the same
effect everywhere in even worlds, and matter more at some values of their action in odd ones. A
share of the outcomes is displaced by 5 to 50 standard deviations of the outcome with all actions
set, up or down. "skewed" worlds have gamma causes and noise. Fits with Gaussian and Student-t noise
take turns. In the first ``--timed`` worlds of a cell both are fitted twice with default settings,
and the seconds are those of the second fits, after compilation: of the wall clock, and of the
processor. The second table counts, in ``--tables`` tables of each kind, how many pilot fits report
far outcomes: with 0, 0.2, 1 and 5% of outliers, and without in worlds with skewed or long-tailed
noise. Seeds are those of no choice of defaults. An interrupted run resumes.
"""

import time
from dataclasses import replace

import numpy as np
from _unlike import KINDS as UNLIKE
from _unlike import unlike

import bayes_intgen as bi
from bayes_intgen.inference.pilot.pilot import pilot_fit

from _figures import column
from _outcome_worlds import OutcomeWorld
from _scores import QUICK, STUDY, coverage, mean_and_error, rms
from _study import Row, add_kinds, arguments, command_of, publish_study

FIRST_SEED = 40_000
SHARES = (0.0, 0.01, 0.05)
KINDS = ("normal", "skewed")
NOISES = ("gaussian", "student_t")
DISTANCE = (5.0, 50.0)
POINTS = 500
# Kinds of tables without outliers in the second table, besides those of `_unlike`.
CLEAN = ("gaussian", "gamma", "heteroscedastic", "t3", "lognormal")


def world_of(kind: str, seed: int) -> OutcomeWorld:
    """A world, in odd ones of normal noise with causes of varying effect."""
    if kind == "skewed":
        return OutcomeWorld("gamma", seed)
    # Even seeds of heteroscedastic worlds have normal causes.
    return OutcomeWorld("heteroscedastic", 2 * seed) if seed % 2 else OutcomeWorld("gaussian", seed)


def with_outliers(data: bi.RegimeData, sd: float, share: float, seed: int) -> bi.RegimeData:
    """Displace a share of the outcomes."""
    rng = np.random.default_rng([seed, 21])
    which = rng.choice(len(data), round(share * len(data)), replace=False)
    outcome = data.outcome.copy()
    signs = rng.choice([-1.0, 1.0], len(which))
    outcome[which] += sd * rng.uniform(*DISTANCE, len(which)) * signs
    return replace(data, outcome=outcome)


def noise_sd(world: OutcomeWorld) -> float:
    """Standard deviation of the outcome with all actions set, where causes have their mean size."""
    return float(np.sqrt(world.noise**2 + np.sum(world.burden**2)))


def score(kind: str, share: float, seed: int, rows: int, timed: bool, quick: bool) -> list[Row]:
    """Score fits with both kinds of noise in one world."""
    world = world_of(kind, seed)
    data = with_outliers(world.data(rows, seed + 1), noise_sd(world), share, seed)
    points, _ = world.sample(world.names, POINTS, np.random.default_rng([seed, 22]))
    truth = world.joint_effect(points)
    settings, prior = (QUICK, "linear") if quick else (STUDY, "gp")
    lines: dict[str, Row] = {}
    for second in (False, True) if timed else (False,):
        for noise in NOISES:
            model = bi.models.additive(prior, noise=noise)
            wall, processor = time.perf_counter(), time.process_time()
            own = {} if timed and not quick else settings
            posterior = bi.fit(data, model, seed=seed, progress=False, **own)
            spent = time.perf_counter() - wall, time.process_time() - processor
            effect = posterior.joint_effect(points).to_numpy()
            line: Row = {"kind": kind, "share": share, "seed": seed, "rows": rows, "timed": timed}
            line |= {"quick": quick, "noise": noise}
            for percent in (50, 90):
                line[f"coverage{percent}"] = f"{coverage(effect, truth, percent / 100):.4f}"
            error = rms(effect.mean(axis=(0, 1)) - truth) / truth.std()
            reported = "far_rows" in posterior.tree["constant_data"]
            line |= {"error": f"{error:.4f}", "reported": int(reported)}
            texts = [f"{seconds:.2f}" if second else "" for seconds in spent]
            line |= dict(zip(("seconds", "processor seconds"), texts, strict=True))
            lines[noise] = line
    return list(lines.values())


def summary(rows: list[dict[str, str]]) -> list[Row]:
    """Mean coverage with standard errors over worlds, errors and times, per cell and noise."""
    lines = []
    for kind, share in dict.fromkeys((row["kind"], row["share"]) for row in rows):
        cell = [row for row in rows if (row["kind"], row["share"]) == (kind, share)]
        for noise in NOISES:
            own = [row for row in cell if row["noise"] == noise]
            line: Row = {"kind": kind, "share": share, "noise": noise, "worlds": len(own)}
            for name in ("coverage50", "coverage90"):
                mean, error = mean_and_error([float(row[name]) for row in own])
                line |= {name: f"{mean:.3f}", f"standard error of {name}": f"{error:.3f}"}
            line["error"] = f"{rms(column(own, 'error')):.3f}"
            line["reported"] = f"{column(own, 'reported').mean():.3f}"
            for name in ("seconds", "processor seconds"):
                line[f"ratio of {name}"] = _ratio(cell, noise, name)
            lines.append(line)
    return lines


def _ratio(cell: list[dict[str, str]], noise: str, name: str) -> str:
    """Median ratio of the times with this noise to those with Gaussian noise."""
    times = {row["seed"]: float(row[name]) for row in cell if row["noise"] == noise and row[name]}
    base = {r["seed"]: float(r[name]) for r in cell if r["noise"] == "gaussian" and r[name]}
    return f"{np.median([times[seed] / base[seed] for seed in times]):.2f}" if times else ""


def report(kind: str, share: float, seed: int, rows: int, quick: bool) -> list[Row]:
    """Whether a pilot fit with Gaussian noise reports far outcomes."""
    if kind in UNLIKE:
        data = unlike(kind, 3, rows, seed)
    else:
        world = OutcomeWorld(kind, seed)
        data = with_outliers(world.data(rows, seed + 1), noise_sd(world), share, seed)
    model = bi.models.additive("linear" if quick else "gp")
    pilot = pilot_fit(data, model, model.decompose(data), (), progress=False)
    far = pilot.far
    line: Row = {"kind": kind, "share": share, "seed": seed, "rows": rows, "quick": quick}
    count = 0 if far is None else far.above + far.below
    return [line | {"reported": int(far is not None), "far": count}]


def summary_of_reports(rows: list[dict[str, str]]) -> list[Row]:
    """Share of tables with a report, per kind, share of outliers and number of rows."""
    lines = []
    for cell in dict.fromkeys((row["kind"], row["share"], row["rows"]) for row in rows):
        own = [row for row in rows if (row["kind"], row["share"], row["rows"]) == cell]
        line: Row = dict(zip(("kind", "share", "rows"), cell, strict=True))
        mean = column(own, "reported").mean()
        lines.append(line | {"tables": len(own), "reported": f"{mean:.3f}"})
    return lines


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=12, rows=1000, timed=2, tables=40)
    add_kinds(parser, KINDS)
    args = parser.parse_args()
    if args.quick:
        args.models, args.rows, args.timed, args.tables = 2, 150, 1, 2
    kinds = args.kinds or (KINDS[:1] if args.quick else KINDS)
    few, names = args.quick, ("models", "rows", "timed", "tables")
    outliers = [("gaussian", share) for share in ((0.01,) if few else (0.002, 0.01, 0.05))] + (
        [] if few else [("gamma", 0.01)]
    )
    clean = [(kind, 0.0) for kind in (CLEAN[:1] if few else (*CLEAN, *UNLIKE))]
    tables = [
        {"kind": kind, "share": share, "seed": FIRST_SEED + seed, "rows": rows, "quick": few}
        for rows in ((args.rows,) if few else (args.rows, args.rows // 5))
        for kind, share in (*outliers, *clean)
        for seed in range(args.tables)
    ]
    command = command_of("outliers", args, *names)
    publish_study("outliers_reports", args, report, tables, command, summary_of_reports)
    jobs = [
        {"kind": kind, "share": share, "seed": FIRST_SEED + seed, "rows": args.rows,
         "timed": seed < args.timed and kind == KINDS[0], "quick": few}
        for seed in range(args.models)
        for kind in kinds
        for share in SHARES
    ]  # fmt: skip
    publish_study("outliers", args, score, jobs, command, summary)


if __name__ == "__main__":
    main()
