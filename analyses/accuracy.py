"""Errors and cover of the default fit over freshly drawn polynomial models.

    python analyses/accuracy.py [--models 40] [--actions 5] [--rows 2000] [--quick]

For each random model: the root mean square error of the joint effect against the truth,
divided by the limit

    limit^2 = [ sum_j s_j^2 (1 + d) + (K - 1)^2 s_0^2 ] / N,    d = 2,

which holds where all functional forms are known (s_r: residual standard deviation of the
outcome given the actions in regime r, here from a large sample); and the share of joint
test points that central bands cover. Models are worked off one by one, saved as they go, and
a run that was stopped goes on where it was.
"""

import argparse
import csv
import math
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import bayes_intgen as bi
from bayes_intgen.simulators import Polynomial

from _tables import print_table, write_table

HERE = Path(__file__).parent
LEVELS = (0.5, 0.8, 0.9, 0.95)


def residual_variance(model: Polynomial, regime: tuple[str, ...], seed: int) -> float:
    """Mean variance of the outcome given the actions, from a rich fit to a large sample."""
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


def limit(model: Polynomial, rows: int) -> float:
    """The least standard error of the joint effect, all functional forms known."""
    count = len(model.names)
    observed = residual_variance(model, (), seed=1)
    was_set = sum(residual_variance(model, (name,), seed=2) for name in model.names)
    return math.sqrt((was_set * 3 + (count - 1) ** 2 * observed) / rows)


def score(seed: int, count: int, rows: int, draws: int) -> dict[str, Any]:
    """Fit one random model and compare with its truth."""
    model = Polynomial.random(count, seed)
    data = model.dataset(rows, seed=seed + 10_000)
    began = time.perf_counter()
    posterior = bi.fit(data, seed=seed, draws=draws, progress=False)
    seconds = time.perf_counter() - began
    points, _ = model.sample(model.names, 1000, np.random.default_rng(seed + 20_000))
    truth = model.joint_effect(points)
    effect = posterior.joint_effect(points)
    error = math.sqrt(np.mean((effect.mean(("chain", "draw")).to_numpy() - truth) ** 2))
    row = {"seed": seed, "error": f"{error:.5f}"}
    row["error/limit"] = f"{error / limit(model, rows):.3f}"
    for level in LEVELS:
        tail = (1 - level) / 2
        low, high = effect.quantile([tail, 1 - tail], ("chain", "draw")).to_numpy()
        row[f"cover{level * 100:.0f}"] = f"{np.mean((low < truth) & (truth < high)):.3f}"
    divergences = int(posterior.tree["sample_stats"]["diverging"].sum())
    return {**row, "divergences": divergences, "seconds": f"{seconds:.0f}"}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--actions", type=int, default=5)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help="two small models, for a test")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.models, chosen.actions, chosen.rows = 2, 2, 100

    name = f"accuracy_K{chosen.actions}_N{chosen.rows}.csv"
    command = (
        f"python analyses/accuracy.py --models {chosen.models} --actions {chosen.actions} "
        f"--rows {chosen.rows}"
    )
    path, rows = chosen.output / name, []
    if path.exists():
        with path.open() as file:
            rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    warnings.simplefilter("ignore", bi.SupportWarning)
    warnings.simplefilter("ignore", bi.SamplingWarning)
    for seed in range(len(rows), chosen.models):
        rows.append(score(seed, chosen.actions, chosen.rows, 100 if chosen.quick else 500))
        write_table(path, rows, command)
        print_table(rows[-1:])
    print()
    ratios = np.array([float(row["error/limit"]) for row in rows])
    print(f"{len(rows)} models of {chosen.actions} actions, {chosen.rows} rows a regime")
    print(f"root mean square of error/limit: {math.sqrt(np.mean(ratios**2)):.3f}")
    for level in LEVELS:
        cover = np.array([float(row[f"cover{level * 100:.0f}"]) for row in rows])
        error = cover.std(ddof=1) / math.sqrt(len(cover))
        print(f"{level:.0%} bands cover {cover.mean():.3f} +- {error:.3f}")
    print(f"divergences: {sum(int(row['divergences']) for row in rows)}")


if __name__ == "__main__":
    main()
