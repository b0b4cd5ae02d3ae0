"""Errors and coverage of the default fit over random polynomial models.

    python analyses/accuracy.py [--models 40] [--actions 5] [--rows 2000] [--graph] [--quick]

For each model: the root mean square error of the joint effect, divided by the limit

    limit^2 = [ sum_j s_j^2 (1 + d) + (K - 1)^2 s_0^2 ] / N,    d = 2,

for known functional forms (s_r: residual standard deviation of the outcome given the actions in
regime r, here from a large sample), and the coverage of central credible intervals at joint test
points. Without --graph, edges with a probability above one half are counted, true and absent ones;
with it the fit uses the true graph. Results are saved one by one; an interrupted run resumes.
"""

import math

import numpy as np
from numpy.typing import NDArray

import bayes_intgen as bi
from bayes_intgen.simulators import Polynomial

from _scores import LEVELS, QUICK, coverage, mean_and_error, rms, timed
from _study import Row, arguments, command_of, options, run_study


def residual_variance(model: Polynomial, regime: tuple[str, ...], seed: int) -> float:
    """Mean variance of the outcome given the actions, from a rich regression on a large sample."""
    actions, outcome = model.sample(regime, 50_000, np.random.default_rng(seed))
    z = np.arcsinh((actions - np.median(actions, axis=0)) / actions.std(axis=0))
    z = z / z.std(axis=0)
    count = z.shape[1]
    columns = [np.ones(len(z))]
    columns += [z[:, k] ** p for k in range(count) for p in range(1, 8)]
    columns += [
        z[:, j] ** p * z[:, k] ** q
        for j in range(count)
        for k in range(j)
        for p in (1, 2, 3)
        for q in (1, 2, 3)
    ]
    design = np.stack(columns, axis=1)
    residual = outcome - design @ np.linalg.lstsq(design, outcome)[0]
    return float(residual @ residual / (len(outcome) - design.shape[1]))


def residual_variances(model: Polynomial) -> tuple[float, float]:
    """Residual variance of the observational regime, and the sum over single interventions."""
    interventional = sum(residual_variance(model, (name,), seed=2) for name in model.names)
    return residual_variance(model, (), seed=1), interventional


def limit(model: Polynomial, rows: int) -> float:
    """Smallest standard error of the joint effect for known functional forms."""
    count = len(model.names)
    observational, interventional = residual_variances(model)
    return math.sqrt((interventional * 3 + (count - 1) ** 2 * observational) / rows)


def edge_counts(likely: NDArray[np.bool_], model: Polynomial) -> Row:
    """Numbers of true and absent edges, and of likely ones among them."""
    true = np.array([[j in model.graph[k] for j in model.names] for k in model.names])
    absent = ~true & ~np.eye(len(true), dtype=bool)
    return {
        "edges": int(true.sum()),
        "edges likely": int((true & likely).sum()),
        "absent": int(absent.sum()),
        "absent likely": int((absent & likely).sum()),
    }


def score(seed: int, actions: int, rows: int, graph: bool, quick: bool) -> list[Row]:
    """Fit one random model and compare with the true effect."""
    model = Polynomial.random(actions, seed)
    data = model.dataset(rows, seed=seed + 10_000)
    posterior, seconds = timed(
        lambda: bi.fit(
            data,
            bi.models.additive(graph=model.graph if graph else None),
            seed=seed,
            progress=False,
            **(QUICK if quick else {}),
        )
    )
    points, _ = model.sample(model.names, 1000, np.random.default_rng(seed + 20_000))
    truth = model.joint_effect(points)
    draws = posterior.joint_effect(points).to_numpy()
    error = rms(draws.mean(axis=(0, 1)) - truth)
    row: Row = {"seed": seed, "actions": actions, "rows": rows, "graph": graph, "quick": quick}
    row["error"] = f"{error:.5f}"
    row["error/limit"] = f"{error / limit(model, rows):.3f}"
    for level in LEVELS:
        row[f"coverage{level * 100:.0f}"] = f"{coverage(draws, truth, level):.3f}"
    if not graph:
        row |= edge_counts(posterior.graph.to_numpy() > 0.5, model)
    row["divergences"] = int(posterior.tree["sample_stats"]["diverging"].sum())
    row["seconds"] = f"{seconds:.1f}"
    return [row]


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=40, actions=5, rows=2000)
    parser.add_argument("--graph", action="store_true", help="use the true graph in the fit")
    args = parser.parse_args()
    if args.quick:
        args.models, args.actions, args.rows = 2, 2, 100
    command = command_of("accuracy", args, "models", "actions", "rows")
    command += " --graph" if args.graph else ""
    common = options(args, "actions", "rows", "graph", "quick")
    jobs = [{"seed": seed, **common} for seed in range(args.models)]
    graph = "_graph" if args.graph else ""
    path = args.output / f"accuracy_K{args.actions}_N{args.rows}{graph}.csv"
    rows = run_study(score, jobs, path, command, args.processes)
    print()
    ratios = np.array([float(row["error/limit"]) for row in rows])
    print(f"{len(rows)} models of {args.actions} actions, {args.rows} rows per regime")
    print(f"root mean square of error/limit: {math.sqrt(np.mean(ratios**2)):.3f}")
    for level in LEVELS:
        mean, error = mean_and_error([float(row[f"coverage{level * 100:.0f}"]) for row in rows])
        print(f"coverage of {level:.0%} intervals: {mean:.3f} +- {error:.3f}")
    for kind in ("edges", "absent") if not args.graph else ():
        likely, count = (sum(int(row[key]) for row in rows) for key in (f"{kind} likely", kind))
        print(f"{kind}: {likely} of {count} with a probability above one half")
    print(f"median seconds per fit: {np.median([float(row['seconds']) for row in rows]):.1f}")
    print(f"divergences: {sum(int(row['divergences']) for row in rows)}")


if __name__ == "__main__":
    main()
