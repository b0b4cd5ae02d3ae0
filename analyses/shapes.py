"""What the shape of effects buys where it is right, and whether `check` finds it where it is wrong.

    python analyses/shapes.py [--models 30] [--actions 3] [--rows 300] [--kinds hill log] [--quick]

Effects are fitted without a shape and with one that they have, in worlds of three saturating curves
(increasing, or increasing and concave), of media with S-shaped curves (increasing) and of sigmoid
doses (decreasing). The estimand is the change of the joint effect from a baseline, the medians of
all actions: of one action at a time, to ten of its quantiles between 5% and 95%, and of all
actions together, to values of rows. A shape is wrong where the first effect is a U, of either
sign, and is given as increasing; `check` then gets 1,000 rows per regime, and must name it. Fits
are Laplace approximations. Results are saved one by one; an interrupted run resumes.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from _study_worlds import CURVES, Saturating, Stepped

import bayes_intgen as bi
from bayes_intgen.simulators import DoseResponse, MediaMix
from bayes_intgen.simulators.base import StructuralCausalModel

from _scores import coverage, mean_and_error, rms
from _study import Row, add_kinds, arguments, command_of, options, publish_study

WRONG = "u given as increasing"
WORLDS: dict[str, tuple[Callable[[int, int], StructuralCausalModel], tuple[str, ...]]] = {
    **{
        curve: (
            lambda count, seed, curve=curve: Saturating.random(count, seed, curve=curve),
            ("increasing", "increasing concave"),
        )
        for curve in CURVES
    },
    "media mix": (MediaMix.random, ("increasing",)),
    "dose response": (DoseResponse.random, ("decreasing",)),
    WRONG: (lambda count, seed: Stepped.random(count, seed, shape="u"), ("increasing",)),
}
FREE = "free"
# Quantiles of an action to which it moves, number of rows to whose values all move, and rows per
# regime where a shape is wrong.
QUANTILES, PLANS, ROWS_OF_CHECK = np.linspace(0.05, 0.95, 10), 10, 1000


def points_of(actions: np.ndarray, seed: int) -> np.ndarray:
    """The baseline, changes of one action at a time, and rows, shape (M, K)."""
    baseline = np.median(actions, axis=0)
    single = [np.tile(baseline, (len(QUANTILES), 1)) for _ in baseline]
    for k, points in enumerate(single):
        points[:, k] = np.quantile(actions[:, k], QUANTILES)
    rows = np.random.default_rng(seed).choice(actions, PLANS, replace=False)
    return np.concatenate([baseline[None], *single, rows])


def score(kind: str, seed: int, actions: int, rows: int, quick: bool) -> list[Row]:
    """Score the fits to one model, or the check of a wrong shape."""
    random, shapes = WORLDS[kind]
    world = random(actions, seed)
    wrong = kind == WRONG
    data = world.dataset(ROWS_OF_CHECK if wrong and not quick else rows, seed=seed + 10_000)
    points = points_of(data.actions, seed + 20_000)
    truth = world.joint_effect(points)[1:] - world.joint_effect(points)[0]
    lines = []
    for shape in shapes if wrong else (FREE, *shapes):
        line: Row = {"kind": kind, "seed": seed, "actions": actions, "rows": rows, "quick": quick}
        priors = {world.names[0]: bi.GP(shape=shape)} if wrong else {}
        model = bi.models.additive(bi.GP(shape=FREE if wrong else shape), unconfounded=priors)
        line |= {"shape": shape, "error": "", "coverage90": "", "contradicted": ""}
        if not wrong:
            posterior = bi.fit(data, model, method="laplace", seed=seed, progress=False)
            effect = posterior.joint_effect(points).transpose("chain", "draw", ...).to_numpy()
            change = effect[..., 1:] - effect[..., :1]
            line["error"] = f"{rms(change.mean((0, 1)) - truth) / rms(truth):.5f}"
            line["coverage90"] = f"{coverage(change, truth, 0.9):.4f}"
        if shape != FREE:
            check = bi.check(data, model, held_out=0, seed=seed, progress=False)
            of_shape = check.table["kind"] == "shape"
            smallest = check.table["p_familywise"].where(of_shape).min()
            line["contradicted"] = int(smallest <= check.level)
        lines.append(line)
    return lines


def summary(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Means over models, per kind and shape; errors relative to those without a shape."""
    return list(_summary(rows))


def _summary(rows: list[dict[str, str]]) -> Iterator[Row]:
    for kind in dict.fromkeys(row["kind"] for row in rows):
        own = [row for row in rows if row["kind"] == kind]
        for shape in dict.fromkeys(row["shape"] for row in own):
            some = [row for row in own if row["shape"] == shape]
            line: Row = {"kind": kind, "shape": shape, "models": len(some)}
            free = [float(row["error"]) for row in own if row["shape"] == FREE]
            errors = [float(row["error"]) for row in some if row["error"]]
            line["error over free"] = ""
            if free:
                line["error over free"] = f"{rms(np.array(errors)) / rms(np.array(free)):.3f}"
            covered = [float(row["coverage90"]) for row in some if row["coverage90"]]
            line["coverage90"] = ""
            if covered:
                line["coverage90"] = "{:.3f} +- {:.3f}".format(*mean_and_error(covered))
            found = [int(row["contradicted"]) for row in some if row["contradicted"]]
            line["contradicted"] = f"{np.mean(found):.3f}" if found else ""
            yield line


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=30, actions=3, rows=300)
    add_kinds(parser, WORLDS)
    args = parser.parse_args()
    if args.quick:
        args.models, args.actions, args.rows = 2, 2, 100
    command = command_of("shapes", args, "models", "actions", "rows")
    common = options(args, "actions", "rows", "quick")
    kinds = args.kinds or list(WORLDS)
    jobs = [{"kind": k, "seed": seed, **common} for k in kinds for seed in range(args.models)]
    publish_study("shapes", args, score, jobs, command, summary)
    print(f"\nThe table is in {args.output}")


if __name__ == "__main__":
    main()
