"""Channels that share a curve, partially pooled, beside curves of their own: errors and coverage.

    python analyses/alike.py [--models 30] [--kinds KIND ...] [--quick]

Random worlds of 4 to 6 channels with concave returns w_k log(1 + a) and hidden causes: 800 rows of
history, and 100 to 300 rows per experiment. The w_k are equal, uniform on 0.3 to 1.7, or 0.4 and
1.6 for half of the channels each; in a fourth kind channels have curves of three different shapes.
In every second world channels are off in a fifth of the weeks of the history. Two Laplace fits to
the same rows with the graph given: with curves of their own, and with ``alike`` naming all
channels. Asked are changes of one channel from today's plan, and reallocations of spend from one to
another at equal cost: root mean square errors and coverage of 90% intervals, and per kind the
geometric mean of the ratio of errors. An interrupted run resumes.
"""

from typing import Any

import numpy as np

import bayes_intgen as bi

from _scores import coverage, mean_and_error, rms
from _study import Row, add_kinds, arguments, command_of, options, publish_study

KINDS = ("equal", "uniform", "two groups", "shapes")
ASKED = ("one channel", "reallocation")
FITS = ("own curves", "alike")
HISTORY, PAUSED, NOISE, TODAY, MOST = 800, 0.2, 0.7, 1.5, 4.0
VALUES, MOVED = (0.25, 0.75, 2.5, 3.5), (0.6, 1.2)


class World:
    """Channels with concave returns, rows of history and experiments, and the true changes."""

    def __init__(self, kind: str, seed: int) -> None:
        rng = np.random.default_rng([seed, KINDS.index(kind)])
        self.count, self.seed = int(rng.integers(4, 7)), seed
        self.names = ("tv", "radio", "search", "social", "print", "video")[: self.count]
        self.rows = int(rng.integers(100, 301))
        index = np.arange(self.count)
        self.weights = {
            "equal": np.ones(self.count),
            "uniform": rng.uniform(0.3, 1.7, self.count),
            "two groups": np.where(index < self.count // 2, 0.4, 1.6),
            "shapes": np.ones(self.count),
        }[kind]
        self.shapes = index % 3 if kind == "shapes" else 0 * index
        self.pull = rng.uniform(0.3, 0.6, self.count)
        self.demand = rng.uniform(0.3, 0.8, self.count) * rng.choice([-1, 1], self.count)

    def effect(self, actions: np.ndarray) -> np.ndarray:
        """Joint effect up to a constant, shape (n,)."""
        curves = np.stack([np.log1p(actions), 1.6 * -np.expm1(-actions), 0.4 * actions])
        own = np.take_along_axis(curves, np.broadcast_to(self.shapes, (1, *actions.shape)), axis=0)
        return np.asarray(own[0] @ self.weights)

    def data(self) -> bi.RegimeData:
        """Rows of the history and of an experiment on each channel."""
        rng = np.random.default_rng([self.seed, self.count])
        alone = np.eye(self.count).repeat(self.rows, axis=0)
        masks = np.vstack([np.zeros((HISTORY, self.count)), alone]) > 0
        causes, chance = rng.normal(size=(2, *masks.shape))
        usual = np.exp(self.pull * causes + 0.4 * chance)
        if self.seed % 2:
            usual[rng.random(usual.shape) < PAUSED] = 0.0
        actions = np.where(masks, rng.uniform(0, MOST, masks.shape), usual)
        noise = NOISE * rng.normal(size=len(masks))
        outcome = self.effect(actions) + causes @ self.demand + noise
        return bi.RegimeData.from_arrays(actions, outcome, masks, self.names)

    def plans(self) -> dict[str, np.ndarray]:
        """Plans beside today's, shape (n, K), by what is asked."""
        one = np.eye(self.count)
        alone = [TODAY + (value - TODAY) * own for own in one for value in VALUES]
        pairs = [a - b for i, a in enumerate(one) for j, b in enumerate(one) if i != j]
        moved = [TODAY + size * step for step in pairs for size in MOVED]
        return dict(zip(ASKED, map(np.array, (alone, moved)), strict=True))


def score(kind: str, seed: int, quick: bool) -> list[Row]:
    """Score both fits to one world."""
    world, lines = World(kind, seed), list[Row]()
    data, today = world.data(), np.full((1, world.count), TODAY)
    for fit in FITS:
        alike = [world.names] if fit == "alike" else []
        model = bi.models.additive(graph={}, alike=alike)
        posterior = bi.fit(data, model, method="laplace", seed=seed, progress=False)
        for asked, plans in world.plans().items():
            change = posterior.contrast(plans, np.repeat(today, len(plans), axis=0))
            draws = change.transpose("chain", "draw", ...).to_numpy()
            truth = world.effect(plans) - world.effect(today)
            line: Row = {"kind": kind, "seed": seed, "quick": quick, "fit": fit, "asked": asked}
            line |= {"channels": world.count, "rows": world.rows}
            line["error"] = f"{rms(draws.mean(axis=(0, 1)) - truth):.5f}"
            line["sd"] = f"{rms(draws.std(axis=(0, 1))):.5f}"
            line["coverage90"] = f"{coverage(draws, truth, 0.9):.4f}"
            lines.append(line)
    return lines


def summary(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Errors and coverage of each kind, with standard errors over worlds."""
    lines = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        for asked in ASKED:
            own, alike = (
                [r for r in rows if (r["kind"], r["asked"], r["fit"]) == (kind, asked, fit)]
                for fit in FITS
            )
            pairs = zip(own, alike, strict=True)
            logs = [np.log(float(a["error"]) / float(o["error"])) for o, a in pairs]
            mean, se = mean_and_error(logs)
            line: dict[str, Any] = {"kind": kind, "asked": asked, "worlds": len(own)}
            line |= {"error ratio": f"{np.exp(mean):.3f}"}
            line |= {"its standard error": f"{np.exp(mean) * se:.3f}"}
            for fit, scored in zip(FITS, (own, alike), strict=True):
                line[f"error, {fit}"] = f"{rms(np.array([float(r['error']) for r in scored])):.3f}"
                inside, se = mean_and_error([float(r["coverage90"]) for r in scored])
                line[f"coverage90, {fit}"] = f"{inside:.3f}"
                line[f"se of coverage90, {fit}"] = f"{se:.3f}"
            lines.append(line)
    return lines


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=30)
    add_kinds(parser, KINDS)
    args = parser.parse_args()
    if args.quick:
        args.models, args.kinds = 2, ["equal", "two groups"]
    common = options(args, "quick")
    jobs = [
        {"kind": kind, "seed": seed, **common}
        for kind in args.kinds or KINDS
        for seed in range(100, 100 + args.models)
    ]
    publish_study("alike", args, score, jobs, command_of("alike", args, "models"), summary)
    print(f"\nTables are in {args.output}")


if __name__ == "__main__":
    main()
