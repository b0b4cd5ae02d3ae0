"""What priors do in small trials whose confounding offsets or amplifies the effects.

    python analyses/small_trials.py [--models 100] [--rows 60 200 800] [--kinds offset ...]

Three drugs, one trial of each with ``--rows`` rows (even numbers), and three times as many rows of
a registry, in which the more ill get more of every drug or, amplified, less. In most kinds drugs
are on or off. The effect of all drugs together is estimated by fits with default and with wide
priors of effects and biases, and by the differences of means within the trials, which are added up.
Per kind: the mean error over the standard deviation of its posterior, the root mean square error,
the width of 90% intervals, and their coverage. Results are saved one by one; an interrupted run
resumes.
"""

from typing import Any, NamedTuple

import numpy as np

import bayes_intgen as bi

from _scores import mean_and_error, rms
from _study import Row, add_kinds, arguments, command_of, options, publish_study

NAMES = ("a", "b", "c")
WIDE = bi.LogNormal(1.5, 0.5)
Z90 = 1.645


class Kind(NamedTuple):
    """Effects of the drugs, and of being more ill by a standard deviation, per drug's illness."""

    effects: tuple[float, ...] = (-4.0, -5.0, -3.0)
    causes: tuple[float, ...] = (3.0, 3.0, 2.0)
    numbers: bool = False
    visits: int = 1


KINDS = {
    "offset": Kind(),
    "offset, two visits": Kind(visits=2),
    "offset, numbers": Kind(numbers=True),
    "signs differ": Kind((4.0, -5.0, 3.0), (-3.0, 3.0, -2.0)),
    "one drug": Kind((-4.0, 0.0, 0.0), (3.0, 0.0, 0.0)),
    "amplified": Kind(causes=(-3.0, -3.0, -2.0)),
    "unconfounded": Kind(causes=(0.0, 0.0, 0.0)),
    "no effects": Kind((0.0, 0.0, 0.0)),
    "neither": Kind((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
}


def trials(kind: Kind, rows: int, rng: np.random.Generator) -> bi.RegimeData:
    """Sample a registry and a trial of each drug, whose patients keep what they are given."""
    masks = np.eye(4, 3, -1, dtype=bool).repeat([3 * rows, *[rows] * 3], axis=0)
    patient = np.arange(len(masks)) // kind.visits
    illness = rng.normal(size=masks.shape)
    usual = illness + 0.5 * rng.normal(size=masks.shape)
    drawn = rng.normal(size=masks.shape)[patient * kind.visits]
    actions = np.where(masks, drawn, usual)
    if not kind.numbers:
        actions = (actions > 0).astype(float)
    outcome = actions @ kind.effects / (1 + kind.numbers) + illness @ kind.causes
    outcome += 2 * rng.normal(size=len(masks))
    groups = {}
    if kind.visits > 1:
        outcome += 2 * rng.normal(size=len(masks))[patient]
        groups = {"groups": {"patient": patient.astype(str)}}
    return bi.RegimeData.from_arrays(actions, outcome, masks, NAMES, **groups)


def of_trials(data: bi.RegimeData, change: float, visits: int) -> tuple[float, float]:
    """Add up the slopes within each trial, times a change; returns the standard error, too."""
    total, variance = 0.0, 0.0
    for k, own in enumerate(np.asarray(data.intervened).T):
        x = np.column_stack([np.ones(own.sum()), data.actions[own, k]])
        inverse = np.linalg.inv(x.T @ x)
        slope = inverse @ x.T @ data.outcome[own]
        # Robust to variances that differ and to visits that resemble each other, by sums of the
        # scores of each patient (Liang and Zeger 1986).
        scores = np.zeros((len(own) // visits, 2))
        np.add.at(
            scores, np.flatnonzero(own) // visits, x * (data.outcome[own] - x @ slope)[:, None]
        )
        total += change * slope[1]
        variance += change**2 * (inverse @ scores.T @ scores @ inverse)[1, 1]
    return total, float(np.sqrt(variance))


def score(kind: str, seed: int, rows: int, quick: bool) -> list[Row]:
    """Score fits with both priors, and the trials alone."""
    own = KINDS[kind]
    data = trials(own, rows, np.random.default_rng([seed, rows]))
    low, high = (-1.0, 1.0) if own.numbers else (0.0, 1.0)
    truth = sum(own.effects)
    each = dict.fromkeys(NAMES, bi.GP(slope=WIDE) if own.numbers else bi.Levels(scale=WIDE))
    wide = bi.models.additive(unconfounded=each, bias=each)
    settings: dict[str, Any] = {"draws": 100} if quick else {}
    lines: list[Row] = []
    for prior, model in (("default", None), ("wide", wide), ("trials alone", None)):
        if prior == "trials alone":
            mean, sd = of_trials(data, high - low, own.visits)
            ends = mean - Z90 * sd, mean + Z90 * sd
        else:
            fit = bi.fit(data, model, method="laplace", seed=seed, progress=False, **settings)
            change = fit.contrast([[high] * 3], [[low] * 3]).to_numpy().ravel()
            mean, sd, ends = change.mean(), change.std(), np.quantile(change, [0.05, 0.95])
        line: Row = {"kind": kind, "seed": seed, "rows": rows, "quick": quick, "prior": prior}
        line |= {"off": f"{mean - truth:.4f}", "sd": f"{sd:.4f}"}
        line |= {"width": f"{ends[1] - ends[0]:.4f}", "inside": int(ends[0] < truth < ends[1])}
        lines.append(line)
    return lines


def summary(rows: list[dict[str, str]]) -> list[Row]:
    """Means over tables of each kind, with standard errors."""
    lines, keys = [], ("kind", "rows", "prior")
    for key in dict.fromkeys(tuple(row[name] for name in keys) for row in rows):
        own = [row for row in rows if tuple(row[name] for name in keys) == key]
        off, sd, width = (np.array([float(r[n]) for r in own]) for n in ("off", "sd", "width"))
        inside, se = mean_and_error([float(row["inside"]) for row in own])
        lines.append({
            **dict(zip(keys, key, strict=True)), "tables": len(own),
            "mean z": f"{(off / sd).mean():.2f}", "error": f"{rms(off):.3f}",
            "width": f"{width.mean():.2f}", "coverage90": f"{inside:.3f}",
            "standard error": f"{se:.3f}",
        })  # fmt: skip
    return lines


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=100)
    parser.add_argument("--rows", type=int, nargs="+", default=[60, 200])
    add_kinds(parser, KINDS)
    args = parser.parse_args()
    if args.quick:
        args.models, args.rows, args.kinds = 2, [60], ["offset", "offset, two visits"]
    command = command_of("small_trials", args, "models")
    command += f" --rows {' '.join(map(str, args.rows))}"
    jobs = [
        {"kind": kind, "seed": seed, "rows": rows, **options(args, "quick")}
        for kind in args.kinds or KINDS
        for rows in args.rows
        for seed in range(95_000, 95_000 + args.models)
    ]
    publish_study("small_trials", args, score, jobs, command, summary)
    print(f"\nTables are in {args.output}")


if __name__ == "__main__":
    main()
