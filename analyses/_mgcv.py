"""R's mgcv beside this library, where it is installed: an R script on tables in a folder."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parent


def has_mgcv() -> bool:
    """Whether R and mgcv are installed."""
    if shutil.which("Rscript") is None:
        return False
    script = "quit(status = !requireNamespace('mgcv', quietly = TRUE))"
    return subprocess.run(["Rscript", "-e", script], check=False).returncode == 0


def answer_of(script: str, tables: Mapping[str, pd.DataFrame], *words: str) -> dict[str, Any]:
    """What a script of this folder writes about the tables, given its further arguments."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for table, frame in tables.items():
            frame.to_csv(folder / f"{table}.csv", index=False)
        subprocess.run(["Rscript", str(FOLDER / script), name, *words], check=True)
        answer: dict[str, Any] = json.loads((folder / "answer.json").read_text())
        return answer


def gaussian_draws(answer: Mapping[str, Any], draws: int = 4000) -> np.ndarray:
    """Draws (draw, point) from Gaussian intervals; a single one if there are none."""
    effect = np.array([answer["effect"]])
    if not answer["sd"]:
        return effect
    noise = np.random.default_rng(0).normal(size=(draws, effect.shape[1]))
    return np.asarray(effect + np.array(answer["sd"]) * noise)
