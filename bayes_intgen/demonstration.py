"""A demonstration: simulated advertising, its fit, and the truth to compare with."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bayes_intgen.effects import effect_table
from bayes_intgen.inference import fit
from bayes_intgen.models import additive
from bayes_intgen.number_format import format_number, format_to_uncertainty
from bayes_intgen.regimes import OBSERVATIONAL, SEPARATOR, RegimeData
from bayes_intgen.simulators import MediaMix
from bayes_intgen.tables import align_columns

CHANNELS = 3
# Plans for spending, as multiples of the usual budgets.
PLANS = (0.8, 1.0, 1.5, 2.0)


def demonstrate(
    folder: Path, rows: int, seed: int, *, progress: bool, say: Callable[[str], None]
) -> str:
    """Write data, fit and report to a folder, and return a table of estimates and truth.

    Parameters
    ----------
    folder : path
        Made where it is missing.
    rows : int
        Of each regime.
    seed : int
    progress : bool
    say : callable
        Takes lines that say what is being done.
    """
    import pandas as pd

    from bayes_intgen.report import write_report

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
    say(
        f"{len(frame):,} rows of {', '.join(world.names)} and sales: {folder / 'data.csv'}\n"
        f"bayes-intgen fit {folder / 'data.csv'} --outcome sales --output {folder / 'fit.nc'}"
    )
    data = RegimeData.from_frame(frame, world.names, "sales", "regime")
    posterior = fit(data, additive(), seed=seed, progress=progress)
    posterior.save(folder / "fit.nc")
    say(f"bayes-intgen report {folder / 'fit.nc'} --output {folder / 'report.html'}")
    write_report(posterior, folder / "report.html")
    plans = np.array([[float(f"{share * b:.3g}") for b in world.budget] for share in PLANS])
    table = effect_table(posterior, plans)
    truth = world.joint_effect(plans)
    lines = [
        [
            *(format_number(value) for value in plan),
            format_to_uncertainty(table["mean"].to_numpy()[i].item(), 1),
            f"{format_to_uncertainty(table['low'].to_numpy()[i].item(), 1)} to "
            f"{format_to_uncertainty(table['high'].to_numpy()[i].item(), 1)}",
            format_to_uncertainty(float(truth[i]), 1),
        ]
        for i, plan in enumerate(plans)
    ]
    head = [*world.names, "mean sales", "90% band", "truth"]
    title = "Mean sales with all three set; the truth is that of the simulation."
    return f"{title}\n\n{align_columns(head, lines, left=0)}"
