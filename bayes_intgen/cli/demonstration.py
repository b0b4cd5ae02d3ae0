"""A demonstration: simulated advertising, its fit, and the truth to compare with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bayes_intgen.api.fitting import fit
from bayes_intgen.api.posterior import Posterior
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.data.regime_labels import OBSERVATIONAL, SEPARATOR
from bayes_intgen.decide.decision import Decision
from bayes_intgen.models import Model
from bayes_intgen.posterior.effects import effect_table
from bayes_intgen.simulators import MediaMix
from bayes_intgen.text.formats import (
    align_columns,
    format_interval,
    format_number,
    format_to_uncertainty,
)

CHANNELS = 3
# Plans for spending, as multiples of the usual budgets.
PLANS = (0.8, 1.0, 1.5, 2.0)


def demonstrate(
    folder: Path, rows: int, log: Callable[[str], None], *, seed: int, model: Model, **settings: Any
) -> str:
    """Write data, fit and report to a folder, and tabulate estimates beside the truth.

    Parameters
    ----------
    folder : path
        Created if missing.
    rows : int
        Rows per regime.
    log : callable
        Receives messages on progress.
    seed : int
        Seed of the simulation and of the fit.
    model : Model
    **settings
        Passed to :func:`bayes_intgen.fit`.
    """
    import pandas as pd

    world = MediaMix.random(CHANNELS, seed)
    simulated = world.dataset(rows, seed)
    labels = [
        SEPARATOR.join(np.array(world.names)[mask]) or OBSERVATIONAL
        for mask in simulated.intervened
    ]
    frame = pd.DataFrame(simulated.actions, columns=list(world.names))
    frame = frame.assign(sales=simulated.outcome, regime=labels)
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / "data.csv", index=False)
    log(
        f"{len(frame):,} rows of {', '.join(world.names)} and sales: {folder / 'data.csv'}\n"
        f"bayes-intgen fit {folder / 'data.csv'} --outcome sales "
        f"--actions {','.join(world.names)} --output {folder / 'fit.nc'}"
    )
    data = RegimeData.from_frame(frame, world.names, "sales", "regime")
    posterior = fit(data, model, seed=seed, **settings)
    posterior.save(folder / "fit.nc")
    budget = float(f"{world.budget.sum():.3g}")
    log(
        f"bayes-intgen report {folder / 'fit.nc'} "
        f"--cost {','.join(f'{name}=1' for name in world.names)} --budget {budget:g} "
        f"--output {folder / 'report.html'}"
    )
    decision = Decision(dict.fromkeys(world.names, 1.0), budget)
    posterior.report(folder / "report.html", decision=decision)
    return _estimates_beside_truth(posterior, world)


def _estimates_beside_truth(posterior: Posterior, world: MediaMix) -> str:
    """Table of estimated and true effects of the plans."""
    plans = np.array([[float(f"{share * b:.3g}") for b in world.budget] for share in PLANS])
    table = effect_table(posterior, plans)
    truth = world.joint_effect(plans)
    mean, low, high = (table[name].to_numpy() for name in ("mean", "low", "high"))
    rows = [
        [
            *map(format_number, plan),
            format_to_uncertainty(mean[i].item(), 1),
            format_interval(low[i], high[i], 1),
            format_to_uncertainty(float(truth[i]), 1),
        ]
        for i, plan in enumerate(plans.tolist())
    ]
    head = [*world.names, "mean sales", "90% band", "truth"]
    title = "Mean sales with all three set; the truth is that of the simulation."
    return f"{title}\n\n{align_columns(head, rows, left=0)}"
