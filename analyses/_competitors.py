"""Linear regressions on polynomials with masks, in a process that imports nothing else.

    python analyses/_competitors.py NAME FOLDER ACTION...

NAME is the package: sklearn or pyfixest. Fits FOLDER/rows.parquet, then other.parquet if there is
one, by the design of :func:`masked_cubics`; writes answer.json as ``additive.R`` does.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pyarrow import parquet

OUTCOME, REGIME = "outcome", "regime"
Predict = Callable[[np.ndarray], np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], Predict]


def masked_cubics(actions: np.ndarray, not_set: np.ndarray) -> np.ndarray:
    """Cubics of each action, and again where it was not set: their bias."""
    powers = np.hstack([actions, actions**2, actions**3])
    return np.hstack([powers, powers * np.tile(not_set, 3)])


def sklearn_fit() -> Fit:
    """Ridge regression with a level of each bias."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def design(actions: np.ndarray, not_set: np.ndarray) -> np.ndarray:
        return np.hstack([masked_cubics(actions, not_set), not_set])

    def fit(actions: np.ndarray, outcome: np.ndarray, regime: np.ndarray) -> Predict:
        model = make_pipeline(StandardScaler(copy=False), Ridge(copy_X=False))
        model.fit(design(actions, gates(regime, actions.shape[1])), outcome)
        return lambda points: model.predict(design(points, np.zeros(points.shape)))

    return fit


def pyfixest_fit() -> Fit:
    """Least squares with fixed effects of the regimes in place of levels."""
    import pandas as pd
    import pyfixest

    def fit(actions: np.ndarray, outcome: np.ndarray, regime: np.ndarray) -> Predict:
        count = actions.shape[1]
        columns = masked_cubics(actions, gates(regime, count))
        names = [f"x{i}" for i in range(columns.shape[1])]
        frame = pd.DataFrame(columns, columns=names, copy=False)
        frame[OUTCOME], frame[REGIME] = outcome, regime
        formula = f"{OUTCOME} ~ {' + '.join(names)} | {REGIME}"
        slopes = pyfixest.feols(formula, frame, copy_data=False, lean=True).coef()
        slopes = slopes.reindex(names).fillna(0.0).to_numpy()
        means = frame.groupby(REGIME)[[OUTCOME, *names]].mean().to_numpy()
        levels = means[:, 0] - means[:, 1:] @ slopes
        # Levels of the experiments, less the history's where it counts too often.
        level = levels[1:].sum() - (count - 1) * levels[0]
        return lambda points: level + masked_cubics(points, np.zeros(points.shape)) @ slopes

    return fit


def gates(regime: np.ndarray, count: int) -> np.ndarray:
    """Where each action was not set; regimes are numbers, the history is zero."""
    return (regime[:, None] != np.arange(1, count + 1)).astype(float)


def main(name: str, folder: Path, *actions: str) -> None:
    """Fit, predict and write."""
    fit = {"sklearn": sklearn_fit, "pyfixest": pyfixest_fit}[name]()
    points = np.loadtxt(folder / "points.csv", delimiter=",", skiprows=1, ndmin=2)
    seconds, effects = [], []
    for file in ("rows.parquet", "other.parquet"):
        if not (folder / file).exists():
            continue
        table = parquet.read_table(folder / file)
        values = np.column_stack([table[name].to_numpy() for name in actions])
        label = table[REGIME].to_numpy()
        regime = sum((i + 1) * (label == name) for i, name in enumerate(actions))
        began = time.perf_counter(), time.process_time()
        predict = fit(values, table[OUTCOME].to_numpy(), regime)
        seconds += [time.perf_counter() - began[0], time.process_time() - began[1]]
        effects.append(predict(points).tolist())
    answer = {"seconds": seconds, "effect": effects[0], "sd": []}
    (folder / "answer.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
