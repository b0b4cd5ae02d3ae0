"""Posteriors after an update with a tenth of new rows, beside fits of all rows.

    python analyses/updates.py [--models 4] [--actions 3] [--rows 1000] [--points 200]
        [--kinds polynomial binary ...] [--seed 80000]

Worlds of the kinds in ``calibration.py``, ``--models`` of each kind. A fit of ten elevenths of the
rows is updated with the others, and all rows are fitted three times. Distances are root mean
squares, over points where all actions are set, of differences between posterior means in posterior
standard deviations, from the first fit of all rows: of the update, of the fit of all rows with
another seed (the Monte Carlo error), of that in another order (functions are chosen on a sample of
more than 30,000 rows), and of the fit without the new rows (the negative control). Ratios of
standard deviations and of seconds are geometric means; seconds include compilation. The method was
chosen on seeds below 30,000. Results are saved one by one; an interrupted run resumes.
"""

import argparse
import time
import warnings
from collections.abc import Sequence

import numpy as np

import bayes_intgen as bi

from _figures import column
from _scores import QUICK, rms
from _study import Row, add_kinds, arguments, command_of, options, publish_study
from calibration import WORLDS

QUICK_KINDS = ("linear", "binary")
OTHER_FITS = ("update", "other", "order", "before")


def score(seed: int, kind: str, actions: int, rows: int, points: int, quick: bool) -> list[Row]:
    """Distances of an update and other fits from a fit of all rows."""
    job = {"seed": seed, "kind": kind, "actions": actions, "rows": rows, "points": points}
    world = WORLDS[kind](actions, seed)
    data = world.dataset(rows, seed)
    order = np.random.default_rng([9, seed]).permutation(len(data))
    is_new = order % 11 == 10
    at, _ = world.sample(world.names, points, np.random.default_rng([8, seed]))
    settings = {"progress": False, **(QUICK if quick else {})}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = bi.fit(data.take(~is_new), seed=1, **settings)
        fit = bi.fit(data, seed=1, **settings)
        began = time.perf_counter()
        other = bi.fit(data, seed=2, **settings)
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        update = before.update(data.take(is_new), progress=False)
        seconds_of_update = time.perf_counter() - began
        in_order = bi.fit(data.take(order), seed=1, **settings)
        draws = [
            each.joint_effect(at).to_numpy().reshape(-1, points)
            for each in (fit, update, other, in_order, before)
        ]
    mean, sd = draws[0].mean(axis=0), draws[0].std(axis=0)
    line: Row = {**job, "quick": quick}
    for name, own in zip(OTHER_FITS, draws[1:], strict=True):
        line[f"distance {name}"] = f"{rms((own.mean(axis=0) - mean) / sd):.4f}"
        line[f"sd {name}"] = f"{np.exp(np.mean(np.log(own.std(axis=0) / sd))):.4f}"
    # A new pilot fit has another variance function.
    line["pilot"] = (
        "same"
        if update.tree["fit"].attrs["spread"] == before.tree["fit"].attrs["spread"]
        else "new"
    )
    return [{**line, "seconds update": f"{seconds_of_update:.3f}", "seconds": f"{seconds:.3f}"}]


def summary(rows: list[dict[str, str]]) -> list[Row]:
    """Distances and ratios over all worlds, with the same and with a new pilot fit, by kind."""
    parts = [("all", rows)]
    parts += [(f"{p} pilot fit", [r for r in rows if r["pilot"] == p]) for p in ("same", "new")]
    kinds = dict.fromkeys(row["kind"] for row in rows)
    parts += [(kind, [row for row in rows if row["kind"] == kind]) for kind in kinds]
    return [_summarised(name, own) for name, own in parts if own]


def _summarised(name: str, rows: list[dict[str, str]]) -> Row:
    line: Row = {"worlds of": name, "worlds": len(rows)}
    line["same pilot fit"] = f"{np.mean([row['pilot'] == 'same' for row in rows]):.2f}"
    for of in OTHER_FITS:
        line[f"distance, {of}"] = f"{rms(column(rows, f'distance {of}')):.3f}"
    for of in OTHER_FITS:
        line[f"median distance, {of}"] = f"{np.median(column(rows, f'distance {of}')):.3f}"
    for of in OTHER_FITS:
        line[f"sd ratio, {of}"] = f"{np.exp(np.mean(np.log(column(rows, f'sd {of}')))):.3f}"
    ratio = column(rows, "seconds update") / column(rows, "seconds")
    line["time ratio"] = f"{np.exp(np.mean(np.log(ratio))):.2f}"
    line["median"] = f"{np.median(ratio):.2f}"
    return line


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; a quick run has few and small worlds."""
    parser = arguments(__doc__, models=4, actions=3, rows=1000, points=200)
    add_kinds(parser, WORLDS)
    parser.add_argument("--seed", type=int, default=80_000, help="of the first world of a kind")
    args = parser.parse_args(words)
    if args.quick:
        args.models, args.actions, args.rows, args.points = 1, 2, 60, 20
    return args


def jobs_of(args: argparse.Namespace) -> list[Row]:
    """All worlds, by seed, so that an interrupted run has some of every kind."""
    common = options(args, "actions", "rows", "points", "quick")
    kinds = args.kinds or (QUICK_KINDS if args.quick else list(WORLDS))
    return [
        {"seed": args.seed + i, "kind": kind, **common}
        for i in range(args.models)
        for kind in kinds
    ]


def main() -> None:
    """Run from the command line."""
    args = parse_arguments()
    command = command_of("updates", args, "models", "actions", "rows", "points", "seed")
    publish_study("updates", args, score, jobs_of(args), command, summary)


if __name__ == "__main__":
    main()
