"""Labelled tables of a summary, of regimes and questions, and the sentences made from them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress

import numpy as np
import xarray as xr

from bayes_intgen._typing import Array
from bayes_intgen.assess.action_summary import shorter_number
from bayes_intgen.basis.categories import Label
from bayes_intgen.data.column_notes import ColumnNote
from bayes_intgen.identification.certificates import certificates
from bayes_intgen.identification.labels import mask_label
from bayes_intgen.identification.masks import Mask
from bayes_intgen.identification.overlap import ReferenceRows
from bayes_intgen.identification.verdict import Verdict
from bayes_intgen.inference.sampled_model import PARETO_K_LIMIT, ImportanceDiagnostics

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


def rows_of_regimes(regimes: xr.Dataset) -> Iterator[tuple[str, int, list[bool], list[str]]]:
    """Iterate over regimes: label, rows, which actions were set, and their levels or ranges."""
    for i, label in enumerate(regimes["regime"].to_numpy()):
        own = regimes.isel(regime=i)
        yield str(label), int(own["rows"]), own["was_set"].to_numpy().tolist(), _ranges_of(own)


def _ranges_of(regime: xr.Dataset) -> list[str]:
    """Levels or range of each action in a regime; empty if unknown."""
    columns = (regime[name].to_numpy().tolist() for name in ("low", "high", "levels"))
    return [
        levels
        or ("" if np.isnan(low) else f"{shorter_number(low, 3)} to {shorter_number(high, 3)}")
        for low, high, levels in zip(*columns, strict=True)
    ]


def note_lines(notes: Sequence[ColumnNote]) -> tuple[str, ...]:
    """Role of each column of a table, with the reason."""
    names, roles = (max((len(note[i]) for note in notes), default=0) for i in (0, 1))
    return tuple(f"{note.name:<{names}}  {note.role:<{roles}}  {note.reason}" for note in notes)


def regime_lines(regimes: xr.Dataset) -> tuple[str, ...]:
    """Rows of each regime, with the values of its set actions."""
    names = regimes["action"].to_numpy()
    width = max(len(str(label)) for label in regimes["regime"].to_numpy())
    digits = len(f"{int(regimes['rows'].max()):,}")
    lines = []
    for i, label in enumerate(regimes["regime"].to_numpy()):
        own = regimes.isel(regime=i)
        columns = zip(names, own["was_set"].to_numpy(), _ranges_of(own), strict=True)
        set_to = "".join(f", {name} at {text}" for name, is_set, text in columns if is_set and text)
        rows = int(own["rows"])
        lines.append(f"{label:<{width}}  {rows:>{digits},} rows{set_to}")
    return tuple(lines)


def certificate_lines(questions: xr.Dataset) -> tuple[str, ...]:
    """Certificates of the joint effect and of single actions; those in the data share a line."""
    lines = [str(questions["certificate"][0].item())]
    rest = questions.isel(question=slice(1, None))
    simple = rest["in_data"].to_numpy()
    labels = rest["question"].to_numpy()[simple]
    if len(labels):
        verb = "is" if len(labels) == 1 else "are"
        lines.append(f"{', '.join(labels)} {verb} identified: in the data.")
    lines += [str(text) for text in rest["certificate"].to_numpy()[~simple]]
    return tuple(lines)


def support_lines(questions: xr.Dataset) -> tuple[str, ...]:
    """Supported shares of the joint effect and of each action alone; empty if not computed."""
    if questions["supported"].isnull().any():
        return ()
    labels, shares = (questions[name].to_numpy() for name in ("question", "supported"))
    text = ", ".join(f"{label} {share:.0%}" for label, share in zip(labels, shares, strict=True))
    return (f"Share of rows at whose values the effect is supported: {text}.",)


def sampling_line(sampling: xr.Dataset) -> str:
    """Convergence of the draws of a fit without problems."""
    importance = ImportanceDiagnostics.of(sampling.attrs)
    if importance is not None:
        return (
            f"Importance weights: Pareto k {importance.pareto_k:.2f} (at most "
            f"{PARETO_K_LIMIT}), {importance.importance_ess:.0f} effective draws of the "
            "hyperparameters: fit for use."
        )
    worst = float(sampling["rhat"].max())
    agree = f"R-hat at most {worst:.3f}, " if np.isfinite(worst) else ""
    return (
        f"No divergences, {agree}at least {float(sampling['ess'].min()):.0f} effective draws: "
        "fit for use."
    )
