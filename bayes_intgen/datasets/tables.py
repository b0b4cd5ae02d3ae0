"""Three real tables in which many things were set at random together."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from bayes_intgen._arguments import one_of
from bayes_intgen._random import Seed, takes_rng
from bayes_intgen.datasets.confounding import Dataset, confound
from bayes_intgen.errors import DataError

COLOURS = ("red", "green", "blue")
SENSORS = ("ir_1", "ir_2", "ir_3", "vis_1", "vis_2", "vis_3", "current")
# The levels of the passes in row i of the file are the binary digits of i, the first pass highest.
PASSES = (
    "ee_instrument", "simplifycfg", "ipsccp", "called_value_propagation", "basicaa", "instcombine",
    "inline", "mergereturn", "jump_threading", "pgo_memop_opt", "tailcallelim", "licm", "sink",
    "gvn", "sccp", "adce",
)  # fmt: skip


@takes_rng
def light_tunnel(
    hidden: str = "blue",
    outcome: str = "ir_1",
    *,
    strength: float = 0.8,
    rows: int | None = None,
    seed: Seed = 0,
) -> Dataset:
    """Readings of a sensor in a real light tunnel: two colours are actions, the third is hidden.

    Juan L. Gamella, Jonas Peters and Peter Bühlmann set the brightness of red, green and blue
    light, from 0 to 85, and the other actuators of the tunnel at random, independently of each
    other, and measured 10,000 times.

    Parameters
    ----------
    hidden : {"red", "green", "blue"}
        The colour whose two parts are the hidden causes. The others are the actions, in this order.
    outcome : {"ir_1", "ir_2", "ir_3", "vis_1", "vis_2", "vis_3", "current"}
        Infrared and visible light at three places of the tunnel, or the current that the light
        source draws, as the sensors report them.
    strength, rows, seed
        As in :func:`confound`.

    Returns
    -------
    Dataset
        Up to some 500 rows per regime.

    Raises
    ------
    DataError
        For unknown colours or sensors, and as :func:`confound`.

    Notes
    -----
    Of the rows, 74% have a hidden colour below 64. There its six binary digits are independent: the
    first, third and fifth are the cause of the first action, the others that of the second. The
    physics of the tunnel, not an assumption, decides whether these parts of the confounding add up.

    Gamella, Peters, Bühlmann: Causal chambers as a real-world physical testbed for AI methodology.
    Nature Machine Intelligence, 2025, doi 10.1038/s42256-024-00964-x. Experiment
    ``uniform_reference`` of their data set ``lt_interventions_standard_v1``, licence CC BY 4.0; of
    its columns, ten are kept.

    Examples
    --------
    >>> bi.datasets.light_tunnel(rows=300).data
    RegimeData: 900 rows, outcome 'ir_1', actions 'red', 'green'
      observational  300
      do(red)        300
      do(green)      300
    """
    one_of(hidden, "colour", COLOURS, DataError)
    one_of(outcome, "sensor", SENSORS, DataError)
    table = _read("light_tunnel")
    table = table[table[hidden] < 64]
    digit = (table[hidden].to_numpy()[:, None] >> np.arange(6)) & 1
    causes = {f"{hidden}_{k}": digit[:, 2 - k :: 2] @ [1, 2, 4] for k in (1, 2)}
    actions, table = [colour for colour in COLOURS if colour != hidden], table.assign(**causes)
    return confound(table, actions, list(causes), outcome, strength=strength, rows=rows, seed=seed)


@takes_rng
def compiler(
    actions: Sequence[str] = ("called_value_propagation", "pgo_memop_opt", "adce"),
    causes: Sequence[str] = ("ipsccp", "inline", "tailcallelim"),
    *,
    strength: float = 0.8,
    rows: int | None = None,
    seed: Seed = 0,
) -> Dataset:
    """Run times of a program compiled with every combination of 16 passes of the compiler LLVM.

    Parameters
    ----------
    actions, causes : sequence of str, length K
        Passes, each 0 or 1 (applied). By default the first, third and fifth in the order of their
        effects on the run time are actions, and the second, fourth and sixth their hidden causes.
        All are ``ee_instrument``, ``simplifycfg``, ``ipsccp``, ``called_value_propagation``,
        ``basicaa``, ``instcombine``, ``inline``, ``mergereturn``, ``jump_threading``,
        ``pgo_memop_opt``, ``tailcallelim``, ``licm``, ``sink``, ``gvn``, ``sccp`` and ``adce``.
    strength, rows, seed
        As in :func:`confound`.

    Returns
    -------
    Dataset
        Outcome ``run_time``, in the units of the source; by default some 4,200 rows per regime.

    Raises
    ------
    DataError
        As :func:`confound`.

    Notes
    -----
    A complete factorial of 65,536 rows. Passes interact, also with hidden ones. Where hidden causes
    of different actions interact, an assumption of the method does not hold.

    File ``optimize/config/SS-W.csv`` of the repository timm/moot (Menzies et al. 2025: MOOT, a
    repository of many multi-objective optimization tasks. arXiv 2511.16882), column
    ``Performance-``, licence MIT. The repository does not say who measured, which program was
    compiled, and in which unit.

    Examples
    --------
    >>> known = bi.datasets.compiler(["inline", "gvn"], ["licm", "sink"], rows=100)
    >>> known.joint.astype(int)
       inline  gvn  effect  standard_error
    0       0    0   74769              67
    1       0    1   75868              68
    2       1    0   80348              69
    3       1    1   81587              69
    """
    digits = (np.arange(2 ** len(PASSES))[:, None] >> np.arange(len(PASSES))[::-1]) & 1
    table = pd.DataFrame(digits, columns=list(PASSES)).join(_read("compiler"))
    return confound(table, actions, causes, "run_time", strength=strength, rows=rows, seed=seed)


@takes_rng
def tax_plans(
    actions: Sequence[str] = ("taxrate3", "taxrate6"),
    causes: Sequence[str] = ("taxrate1", "taxrate2"),
    *,
    strength: float = 0.8,
    rows: int | None = None,
    seed: Seed = 0,
) -> Dataset:
    """Judgements of tax plans in a survey experiment: whether a plan was chosen, 0 or 1.

    Cameron Ballard-Rosa, Lucy Martin and Kenneth Scheve showed pairs of plans with random tax rates
    to a representative sample of 2,000 American adults, who chose one plan of each of eight pairs.

    Parameters
    ----------
    actions, causes : sequence of str, length K
        Tax rates of six brackets of income in thousands of dollars: ``taxrate1`` (below 10),
        ``taxrate2`` (10 to 35), ``taxrate3`` (35 to 85), ``taxrate4`` (85 to 175), ``taxrate5``
        (175 to 375) and ``taxrate6`` (above 375), with four to six ordered levels.
    strength, rows, seed
        As in :func:`confound`.

    Returns
    -------
    Dataset
        Outcome ``chose_plan``; by default some 2,600 rows per regime.

    Raises
    ------
    DataError
        As :func:`confound`.

    Notes
    -----
    Rates are levels such as ``"5%"``. Who chose one plan of a pair rejected the other; standard
    errors take rows as independent nevertheless.

    Ballard-Rosa, Martin, Scheve: The structure of American income tax policy preferences. The
    Journal of Politics 79(1), 2017, doi 10.1086/687324. Data set ``taxes`` of the R package cregg
    by Thomas J. Leeper, licence MIT; of its columns, the six rates and the choice are kept.

    Examples
    --------
    >>> known = bi.datasets.tax_plans(rows=200)
    >>> known.data.categories[0].labels
    ('5%', '15%', '25%', '35%')
    """
    table = _read("tax_plans")
    for name in table.columns.drop("chose_plan"):
        rates = sorted(table[name].unique())
        levels = pd.CategoricalDtype([f"{rate}%" for rate in rates], ordered=True)
        table[name] = (table[name].astype(str) + "%").astype(levels)
    return confound(table, actions, causes, "chose_plan", strength=strength, rows=rows, seed=seed)


def _read(name: str) -> Any:
    """A table of the package."""
    with (files("bayes_intgen.datasets") / f"{name}.csv.gz").open("rb") as stream:
        return pd.read_csv(stream, compression="gzip")
