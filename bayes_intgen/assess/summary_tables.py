"""Labelled tables of a summary: regimes, and questions with their certificates."""

from collections.abc import Callable, Mapping, Sequence
from itertools import compress

import numpy as np
import xarray as xr

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Label
from bayes_intgen.identification.certificates import certificates
from bayes_intgen.identification.labels import mask_label
from bayes_intgen.identification.masks import Mask
from bayes_intgen.identification.overlap import ReferenceRows
from bayes_intgen.identification.verdict import Verdict

# Probabilities at the ends of an action's range in a regime: 98% of its rows.
RANGE_TAILS = (0.01, 0.99)


def regime_table(
    names: Sequence[str],
    regimes: Mapping[Mask, int],
    reference: ReferenceRows,
    outcome: str,
) -> xr.Dataset:
    """Rows of each regime, and range and levels of each action there."""
    shape = (len(regimes), len(names))
    low, high = np.full((2, *shape), np.nan)
    levels = np.full(shape, "", dtype=object)
    for i, mask in enumerate(regimes):
        rows = reference.rows[reference.masks.index(mask)]
        low[i], high[i] = np.quantile(rows, RANGE_TAILS, axis=0)
        for k, categories in enumerate(reference.categories):
            if categories is not None:
                levels[i, k] = categories.subset(rows[:, k]).spelled()
    dims = ("regime", "action")
    return xr.Dataset(
        {
            "rows": ("regime", list(regimes.values())),
            "was_set": (dims, np.array(list(regimes), dtype=bool)),
            "low": (dims, low),
            "high": (dims, high),
            "levels": (dims, levels.astype(str)),
        },
        coords={"regime": [mask_label(names, mask) for mask in regimes], "action": list(names)},
        attrs={"outcome": outcome},
    )


def question_table(
    names: Sequence[str],
    regimes: Mapping[Mask, int],
    settings: Mapping[str, tuple[Label, ...]],
    under_one_mask: Mapping[str, tuple[int, int]],
    reference: ReferenceRows | None,
    verdict_at: Callable[[Array, Mask], Verdict],
) -> xr.Dataset:
    """Certificates and supported shares of the joint effect and of single interventions."""
    count = len(names)
    single = [tuple(j == k for j in range(count)) for k in range(count)]
    masks = list(dict.fromkeys([(True,) * count, *single]))
    targets = [list(compress(names, mask)) for mask in masks]
    # One certificate, the first, counts the groups under one mask.
    answers = certificates(names, regimes, targets, settings, under_one_mask)
    supported = np.full(len(masks), np.nan)
    if reference is not None:
        points = np.concatenate(reference.rows)
        supported = np.array([verdict_at(points, mask).supported.mean() for mask in masks])
    labels = [mask_label(names, mask) for mask in regimes]
    return xr.Dataset(
        {
            "identified": ("question", [c.identified for c in answers]),
            "weights": (
                ("question", "regime"),
                [
                    [float(c.weights.get(label, 0)) if c.identified else np.nan for label in labels]
                    for c in answers
                ],
            ),
            "in_data": ("question", [mask in regimes for mask in masks]),
            "certificate": ("question", [str(c) for c in answers]),
            "supported": ("question", supported),
        },
        coords={"question": [mask_label(names, mask) for mask in masks], "regime": labels},
    )
