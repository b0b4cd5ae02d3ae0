"""Fits with method="laplace" beside NUTS: errors, coverage and Pareto k in the same worlds.

    python analyses/laplace.py [--models 9] [--actions 3] [--rows 1000] [--points 1000]
        [--kinds polynomial binary ...] [--seed 70000]

Worlds of the kinds in ``calibration.py``, ``--models`` of each kind, each fitted twice with default
settings to the same rows. Per kind and over all: the ratio of the errors of the joint effect
(geometric mean over worlds), the coverage of 90% intervals of effect, change and outcome and the
difference between both fits, each with the standard error over worlds, and the share of fits with
Pareto k above 0.7. The method was chosen on seeds below 30,000. Results are saved one by one; an
interrupted run resumes.
"""

import argparse
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

import bayes_intgen as bi

from _figures import column
from _scores import QUICK, mean_and_error
from _study import Row, add_kinds, arguments, command_of, options, publish_study
from calibration import OF, WORLDS

METHODS = ("nuts", "laplace")
LEVEL, PARETO_K_LIMIT = 0.9, 0.7
QUICK_KINDS = ("linear", "binary")


def score(
    seed: int, kind: str, actions: int, rows: int, points: int, method: str, quick: bool
) -> list[Row]:
    """Errors and coverage of one fit in one world."""
    job = {"seed": seed, "kind": kind, "actions": actions, "rows": rows, "points": points}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = bi.calibration.coverage(
            WORLDS[kind](actions, seed),
            rows=rows,
            points=points,
            seed=seed + 10_000,
            method=method,
            **(QUICK if quick else {}),
        )
    own = table.sel(level=LEVEL)
    return [
        {
            **job,
            "method": method,
            "quick": quick,
            "error": f"{float(table['error']):.6g}",
            **{of: f"{float(own['coverage'].sel(of=of)):.4f}" for of in OF},
            **{f"width {of}": f"{float(own['width'].sel(of=of)):.5f}" for of in OF},
            "pareto k": f"{float(table['pareto_k']):.3f}" if "pareto_k" in table else "",
            "warnings": " ".join(sorted(warning.category.__name__ for warning in caught)),
        }
    ]


def summary(rows: list[dict[str, str]]) -> list[Row]:
    """Both methods compared, over all worlds and per kind."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    return [
        compared("all", rows, kinds),
        *(compared(kind, rows, [kind]) for kind in kinds),
    ]


def compared(name: str, rows: list[dict[str, str]], kinds: Sequence[str]) -> Row:
    """Ratio of errors, coverage of both methods and their difference, and Pareto k."""
    by_method = {
        method: {
            (row["kind"], row["seed"]): row
            for row in rows
            if row["method"] == method and row["kind"] in kinds
        }
        for method in METHODS
    }
    # An interrupted run may have fitted a world with one method only.
    worlds = [world for world in by_method["nuts"] if world in by_method["laplace"]]
    nuts, laplace = ([by_method[method][world] for world in worlds] for method in METHODS)
    line: dict[str, Any] = {"kind": name, "worlds": len(worlds)}
    log_ratio = np.log(column(laplace, "error") / column(nuts, "error"))
    line["error ratio"], line["its standard error"] = _formatted(log_ratio, True)
    for of in OF:
        line[f"{of}, NUTS"] = f"{column(nuts, of).mean():.4f}"
        line[f"{of}, Laplace"] = f"{column(laplace, of).mean():.4f}"
        difference = column(laplace, of) - column(nuts, of)
        line[f"{of}, difference"], line[f"{of}, standard error"] = _formatted(difference, False)
    pareto_k = column(laplace, "pareto k")
    line["Pareto k above 0.7"] = f"{np.mean(~(pareto_k <= PARETO_K_LIMIT)):.4f}"
    return line


def _formatted(values: np.ndarray, is_log: bool) -> tuple[str, str]:
    """Mean and its standard error, or those of the ratio from its logarithm."""
    if len(values) < 2:
        mean, error = float(values.mean()), np.nan
    else:
        mean, error = mean_and_error(values.tolist())
    return f"{np.exp(mean) if is_log else mean:.4f}", f"{error:.4f}"


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; a quick run has few and small worlds."""
    parser = arguments(__doc__, models=9, actions=3, rows=1000, points=1000)
    add_kinds(parser, WORLDS)
    parser.add_argument("--seed", type=int, default=70_000, help="of the first world of a kind")
    args = parser.parse_args(words)
    if args.quick:
        args.models, args.actions, args.rows, args.points = 1, 2, 60, 100
    return args


def jobs_of(args: argparse.Namespace) -> list[Row]:
    """Both fits of every world, by seed, so that an interrupted run has some of every kind."""
    common = options(args, "actions", "rows", "points", "quick")
    kinds = args.kinds or (QUICK_KINDS if args.quick else list(WORLDS))
    return [
        {"seed": args.seed + i, "kind": kind, "method": method, **common}
        for i in range(args.models)
        for kind in kinds
        for method in METHODS
    ]


def main() -> None:
    """Run from the command line."""
    args = parse_arguments()
    command = command_of("laplace", args, "models", "actions", "rows", "points", "seed")
    publish_study("laplace", args, score, jobs_of(args), command, summary)


if __name__ == "__main__":
    main()
