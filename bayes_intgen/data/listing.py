"""Rows in words: counts per regime, covariates and groups, and rows that were left out."""

from collections.abc import Iterable, Mapping, Sequence

from bayes_intgen.data.covariates import CovariateColumns
from bayes_intgen.identification.labels import mask_label
from bayes_intgen.identification.masks import Mask


def listing(
    head: str,
    names: Sequence[str],
    regimes: Mapping[Mask, int],
    columns: CovariateColumns,
    more: Iterable[str],
) -> str:
    """List regimes, covariates, groups and further lines under a first line.

    Examples
    --------
    >>> print(listing("Rows", ["red"], {(False,): 2, (True,): 3}, CovariateColumns(), []))
    Rows
      observational  2
      do(red)        3
    """
    labels = {mask_label(names, mask): count for mask, count in regimes.items()}
    width = max(map(len, labels))
    counts = [f"{label:<{width}}  {count}" for label, count in labels.items()]
    kinds = (("covariates", columns.names), ("groups", columns.groups))
    others = [f"{kind}: {', '.join(map(repr, own))}" for kind, own in kinds if own]
    return "\n  ".join([head, *counts, *others, *more])
