"""Sentences of a check, from its labelled arrays."""

import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import xarray as xr

from bayes_intgen.text.messages import in_words

# Maximum number of untestable alternatives that the statement names.
MAX_NAMED = 3


def verdict(table: xr.Dataset, likeliest: str | None, p: float, level: float) -> str:
    """Whether a violation was detected, and where."""
    tests = table.sizes["test"]
    if likeliest is None:
        return f"Nothing could be tested: {obstacle(table)}."
    stated = f"{_p_text(p)} over {tests} {'tests' if tests > 1 else 'test'}"
    if p > level:
        return f"No sign of violation ({stated}; a violation has p below {level:g})."
    row = table.sel(test=likeliest)
    between = [str(n) for n in table["action"].to_numpy()[row["between"].to_numpy()]]
    where = " and ".join([", ".join(between[:-1]), between[-1]])
    weight = float(row["weight"])
    if not np.isnan(weight):
        stated += f"; probability {weight:.2f} if one of the tested interactions and biases exists"
    return (
        f"Violated, most likely between {where} ({stated}): "
        f"{_violation(row, likeliest, table.attrs['outcome_sd'])}."
    )


def _p_text(p: float) -> str:
    return f"p {'<' if p < 0.001 else '='} {max(p, 0.001):.3g}"


def _violation(row: xr.Dataset, label: str, unit: float) -> str:
    """Describe the alternative of one test."""
    size = float(row["size"])
    share = f"{size / unit:.0%}"
    interaction = (
        f"an interaction with a standard deviation of {size:.3g}, {share} of the outcome's"
    )
    return {
        "interaction": interaction,
        "confounded interaction": f"{interaction}, in which hidden causes take part",
        "graph": f"{label}, which the graph does not allow",
        "regime": f"{label}, by {size:.3g} or {share} of the outcome's standard deviation",
        "variance": f"{label}, by a standard deviation of {size:.3g} or {share} of the outcome's. "
        "An interaction in which hidden causes take part would explain it",
        "shared cause": "a hidden cause that they share, which correlates them by "
        f"{size:.2g} where neither is set",
        "shift": f"{label}: given what moves it, it correlates by {size:.2g} with whether the "
        "experiment runs",
    }[str(row["kind"].item())]


def reach(table: xr.Dataset) -> Iterator[str]:
    """Sizes of violations that would be detected."""
    kinds, detectable = (table[name].to_numpy() for name in ("kind", "detectable"))
    interactions = detectable[kinds == "interaction"]
    if interactions.size and np.isfinite(interactions).all():
        worst, unit = float(interactions.max()), table.attrs["outcome_sd"]
        which = "Any other" if (table["hidden_kind"].to_numpy() == "interaction").any() else "Any"
        yield (
            f"{which} smooth interaction of two actions with a standard deviation over "
            f"{worst:.3g}, {worst / unit:.0%} of the outcome's, would be detected with probability "
            "0.9, unless the biases offset it."
        )
    shared = detectable[kinds == "shared cause"]
    if shared.size and np.isfinite(shared).all():
        yield (
            "A hidden cause that two actions share would be detected with probability 0.9 if it "
            f"correlated them by {float(shared.max()):.2g} or more where neither is set."
        )


def hidden(table: xr.Dataset) -> Iterator[str]:
    """Violations that these regimes cannot reveal."""
    is_named = table["hidden_kind"].to_numpy() != "confounded interaction"
    labels = [str(label) for label in table["hidden"].to_numpy()[is_named]]
    listed = labels[:MAX_NAMED]
    if len(labels) > MAX_NAMED:
        listed.append(f"{len(labels) - MAX_NAMED} more")
    if labels:
        yield f"These rows cannot reveal: {'; '.join(listed)}."
    if table.sizes["test"] and _obstacles(table):
        yield f"Some pairs are not tested for a hidden cause: {'; '.join(_obstacles(table))}."
    several = int(table.attrs["rows_with_several_set"])
    if several:
        yield f"{several} rows have several actions set: the strongest possible test."
    else:
        yield (
            "No row has several actions set: only such rows could reveal an interaction in which "
            "hidden causes take part, because the biases may offset it in every regime."
        )


def moderation(table: xr.Dataset, moderators: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Covariates on which effects depend, and the model that lets them."""
    if moderators:
        p = float(table["moderator_p_familywise"].min())
        effects = "; ".join(f"that of {k} on {in_words(own)}" for k, own in moderators.items())
        yield (
            f"Effects depend on covariates: {effects} ({_p_text(p)}). "
            f"Fit models.additive(moderators={json.dumps(moderators)})."
        )


def obstacle(table: xr.Dataset) -> str:
    """Why nothing could be tested."""
    if table.sizes["action"] == 1:
        return "one action alone restricts nothing"
    return "; ".join(_obstacles(table)) or "these regimes do not restrict the model"


def _obstacles(table: xr.Dataset) -> list[str]:
    """Reasons why pairs are not tested for shared causes."""
    return [text for text in dict.fromkeys(table["hidden_obstacle"].to_numpy().tolist()) if text]


def comparison(held_out: xr.Dataset) -> str:
    """Predictions of held-out rows, compared with those of a regression per regime."""
    value, error, rows = (float(held_out[name]) for name in ("difference", "error", "rows"))
    how = "better than" if value > 0 else "worse than"
    if abs(value) < 2 * error:
        how = "about as well as"
    return (
        f"The additive model predicts {rows:.0f} held-out rows {how} a regression per regime: "
        f"difference in log density {value:+.1f}, standard error {error:.1f}."
    )
