"""What it would buy to hold the level of each bias with a control variable at zero.

    python analyses/level_of_bias.py [--models 20] [--rows 1000] [--kinds panel ...] [--quick]

Suppose that hidden causes move an action through one number, whose law does not depend on the
action's observed causes, and that every value of the action may go with every number. Then the bias
averages zero over this number at each value of the action: observed causes act like an experiment,
and the level of the bias, which a fit leaves free, is zero. The study conditions the draws of
default fits on this, by the linear regression of joint effects on levels (Bayes linear statistics;
Goldstein and Wooff 2007). Panels satisfy the assumption; in the other worlds with edges causes
multiply parents, or have several channels. Beside errors and coverage are the rms z of the mean
over points, and the share of tables in which a test rejects that the levels are zero. Results are
saved one by one; an interrupted run resumes.
"""

from typing import Any

import numpy as np
from ablations import PANELS, case_of
from scipy.special import chdtrc

import bayes_intgen as bi
from bayes_intgen.basis.control import ControlBasis

from _scores import coverage, mean_and_error, rms
from _study import Row, add_kinds, arguments, command_of, options, publish_study

KINDS = (*PANELS, "regions", "polynomial, five", "linear, five", "media mix, five")
LEVELS = ("free", "zero")
SIGNIFICANT = 0.05


def score(kind: str, seed: int, rows: int, quick: bool) -> list[Row]:
    """Score the default fit to one table, and the same fit with levels of zero."""
    case = case_of(kind, seed, rows)
    settings: dict[str, Any] = {"draws": 500} if quick else {}
    model = bi.models.additive(**case.options)
    fit = bi.fit(case.data, model, method="laplace", seed=seed, progress=False, **settings)
    draws = fit.joint_effect(case.points).to_numpy().reshape(-1, len(case.points))
    terms, coefficients = fit.terms, fit.tree["coefficients"]["coefficients"].to_numpy()
    own = (term for term in terms.terms if isinstance(term.component.basis, ControlBasis))
    controlled = sorted({term.action for term in own if term.action is not None})
    names = [f"delta({fit.actions[k]}) level" for k in controlled]
    levels = coefficients[..., [terms.columns[name].start for name in names]]
    levels = levels.reshape(len(draws), -1)
    p = 1.0
    held = draws
    if names:
        covariance = np.atleast_2d(np.cov(levels.T))
        mean = levels.mean(axis=0)
        p = float(chdtrc(len(names), mean @ np.linalg.solve(covariance, mean)))
        cross = (levels - mean).T @ (draws - draws.mean(axis=0)) / len(draws)
        held = draws - levels @ np.linalg.solve(covariance, cross)
    lines = []
    for level, own in zip(LEVELS, (draws, held), strict=True):
        error = own.mean(axis=0) - case.truth
        line: Row = {"kind": kind, "seed": seed, "rows": rows, "quick": quick, "level": level}
        line["error"] = f"{rms(error) / case.truth.std():.4f}"
        line["z"] = f"{error.mean() / own.mean(axis=1).std():.3f}"
        line["coverage90"] = f"{coverage(own[None], case.truth, 0.9):.4f}"
        line["actions"], line["p"] = len(names), f"{p:.4g}"
        lines.append(line)
    return lines


def summary(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Means over tables of each kind, with standard errors."""
    lines = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        for level in LEVELS:
            own = [row for row in rows if row["kind"] == kind and row["level"] == level]
            inside, se = mean_and_error([float(row["coverage90"]) for row in own])
            error, se_of_error = mean_and_error([float(row["error"]) for row in own])
            rejected = np.mean([float(row["p"]) < SIGNIFICANT for row in own])
            lines.append({
                "kind": kind, "level": level, "tables": len(own), "error": f"{error:.3f}",
                "its standard error": f"{se_of_error:.3f}", "coverage90": f"{inside:.3f}",
                "standard error": f"{se:.3f}",
                "rms z": f"{rms(np.array([float(row['z']) for row in own])):.2f}",
                "rejected": f"{rejected:.2f}",
            })  # fmt: skip
    return lines


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=20, rows=1000)
    add_kinds(parser, KINDS)
    args = parser.parse_args()
    if args.quick:
        args.models, args.rows, args.kinds = 2, 300, ["panel"]
    command = command_of("level_of_bias", args, "models", "rows")
    common = options(args, "rows", "quick")
    jobs = [
        {"kind": kind, "seed": seed, **common}
        for kind in args.kinds or KINDS
        for seed in range(90_000, 90_000 + args.models)
    ]
    publish_study("level_of_bias", args, score, jobs, command, summary)
    print(f"\nTables are in {args.output}")


if __name__ == "__main__":
    main()
