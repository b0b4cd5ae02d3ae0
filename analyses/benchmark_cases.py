"""Scores of the default fit on benchmark cases with known true effects.

    python analyses/benchmark_cases.py CASES [--only PATTERN] [--quick]

CASES is a folder of .npz files (actions, outcome, regime, points, effect) and a scores.json
with the limit of each case and the errors of other estimators. mgcv fits the same decomposition
(``additive.R``), whose causes it finds by F tests in the experiments; without R and mgcv its
cells are empty. The table is printed and written to results/benchmark_cases.csv, case by case.
"""

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pandas as pd

import bayes_intgen as bi

from _mgcv import answer_of, gaussian_draws, has_mgcv
from _scores import coverage, rms, timed
from _study import RESULTS
from _tables import print_table, write_table


def score(path: Path, reference_scores: dict[str, Any], quick: bool) -> dict[str, Any]:
    """Fit one case with default settings and compare with the true effect."""
    case = np.load(path)
    regime, count = case["regime"], case["actions"].shape[1]
    intervened = regime[:, None] == np.arange(count)
    data = bi.RegimeData.from_arrays(case["actions"], case["outcome"], intervened)
    settings = {"draws": 100, "warmup": 100} if quick else {}
    posterior, seconds = timed(lambda: bi.fit(data, **settings))
    effect = posterior.joint_effect(case["points"])
    draws = effect.to_numpy()
    truth, limit = case["effect"], reference_scores["limit"]
    error = rms(draws.mean(axis=(0, 1)) - truth)
    statistics = posterior.tree["sample_stats"]
    return {
        "case": path.stem,
        "error": f"{error:.4f}",
        "error/limit": f"{error / limit:.2f}",
        "error/topline": f"{error / reference_scores['joint_topline']:.2f}",
        **by_mgcv(data, case["points"], truth, limit),
        "published/limit": f"{reference_scores['published'] / limit:.1f}",
        "coverage90": f"{coverage(draws, truth, 0.9):.2f}",
        "seconds": f"{seconds:.0f}",
        "min ESS effect": f"{float(az.ess(effect.isel(point=slice(None, None, 40))).min()):.0f}",
        "max R-hat": f"{_largest(az.rhat(posterior.tree['posterior'].dataset)):.3f}",
        "divergences": int(statistics["diverging"].sum()),
    }


def by_mgcv(
    data: bi.RegimeData, points: np.ndarray, truth: np.ndarray, limit: float
) -> dict[str, str]:
    """Error and coverage of mgcv, if it is installed."""
    error = covered = ""
    if has_mgcv():
        names = list(data.names)
        rows = pd.DataFrame(data.actions, columns=names)
        rows["regime"] = np.array(["", *names])[data.intervened @ np.arange(1, len(names) + 1)]
        tables = {"rows": rows.assign(outcome=data.outcome)}
        tables["points"] = pd.DataFrame(points, columns=names)
        draws = gaussian_draws(answer_of("additive.R", tables, *names))
        error = f"{rms(draws.mean(axis=0) - truth) / limit:.2f}"
        covered = f"{coverage(draws[None], truth, 0.9):.2f}"
    return {"mgcv/limit": error, "mgcv coverage90": covered}


def _largest(values: Any) -> float:
    return max(float(v.max()) for v in values.data_vars.values())


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", type=Path)
    parser.add_argument("--only", default="*", help="pattern of case names")
    parser.add_argument("--quick", action="store_true", help="few draws, for a test")
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_args()

    scores = json.loads((args.cases / "scores.json").read_text())
    command = f"python analyses/benchmark_cases.py CASES --only '{args.only}'"
    rows: list[dict[str, Any]] = []
    warnings.simplefilter("always", bi.SamplingWarning)
    warnings.simplefilter("ignore", bi.SupportWarning)
    for path in sorted(args.cases.glob(f"{args.only}.npz")):
        rows.append(score(path, scores[path.stem], args.quick))
        print_table(rows[-1:])
        if not args.quick:
            write_table(args.output / "benchmark_cases.csv", rows, command)
    print()
    print_table(rows)
    groups: dict[str, list[float]] = {}
    for row in rows:
        groups.setdefault(row["case"].rsplit("_", 1)[0], []).append(float(row["error/limit"]))
    for name, ratios in groups.items():
        print(f"{name}: root mean square of error/limit {rms(ratios):.2f} over {len(ratios)} cases")


if __name__ == "__main__":
    main()
