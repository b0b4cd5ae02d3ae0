r"""Strata: whether rows at the same values of a covariate determine the level of an effect.

Given a covariate x that adds up, the mean outcome in regime R at fixed actions is, for some
function gamma,

    m(R, x) = gamma(x) + sum_k (1 - R_k) delta_k.

Let the values of x fall into *strata*. The mean under a target mask, averaged over a population, is
determined if it is a linear combination of the cells (regime, stratum) that have rows: the rank
test of :mod:`bayes_intgen.identification.regimes`, conditional on x. If history was one year and
experiments the next, no stratum has both, and only the prior of gamma tells a trend from a bias.
Changes between plans contain neither. Groups are strata whose levels are exchangeable.

Least squares eliminates gamma. The share of the information about the biases that is then left also
tells an overlap of history and experiments from a few dates with typing errors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.identification.distance import stretches
from bayes_intgen.identification.regimes import Mask, combined_regimes, mask_label
from bayes_intgen.text.messages import first_few

Kind = Literal["date", "value", "group"]

# Number of quantile bins, and largest number of distinct values that are a stratum each.
BINS = 12
# Distance, in the coordinate of the covariate, across which rows of a regime are not near each
# other: half a standard deviation, two months of a year. A gap cuts strata.
GAP = 0.5
# Minimum share of the information about a level that the strata leave. One wrong date in each
# experiment of 100 to 1,000 rows leaves 0.02 or less in 95 of 100 tables. Where history runs beside
# experiments of two weeks, or in one row of ten, it is 0.03 or more in 99, and beside longer ones
# 0.08 or more.
MIN_INFORMATION = 0.02
# Maximum share of a population in strata in which the level is not determined.
MAX_OUTSIDE = 0.1
# Threshold of eigenvalues and coordinates that are zero up to rounding.
TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Strata:
    """Rows of each regime in classes of a covariate's values, or in groups.

    Attributes
    ----------
    name : str
    kind : {"date", "value", "group"}
    ends : ndarray, shape (S,)
        Largest value of each stratum; zero for groups.
    masks : tuple of masks
    rows : ndarray of int, shape (S, regimes)
    """

    name: str
    kind: Kind
    ends: Array
    masks: tuple[Mask, ...]
    rows: NDArray[np.int_]

    @classmethod
    def of(
        cls,
        name: str,
        kind: Kind,
        values: Array,
        has_levels: bool,
        masks: Sequence[Mask],
        which: NDArray[np.intp],
    ) -> Self:
        """Count rows by stratum and regime.

        Parameters
        ----------
        name : str
        kind : {"date", "value", "group"}
        values : ndarray, shape (n,)
            Numbers, or codes of levels or groups.
        has_levels : bool
            Whether they are codes.
        masks : sequence of masks
        which : ndarray of int, shape (n,)
            Position of the mask of each row.

        Examples
        --------
        >>> weeks, masks = np.array([1.0, 2.0, 2.0]), [(False,), (True,)]
        >>> Strata.of("week", "date", weeks, False, masks, np.array([0, 0, 1])).rows
        array([[1, 0],
               [1, 1]])
        """
        ends = _ends(values, has_levels, [values[which == i] for i in range(len(masks))])
        cells = np.searchsorted(ends[:-1], values) * len(masks) + which
        rows = np.bincount(cells, minlength=len(ends) * len(masks)).reshape(-1, len(masks))
        if kind == "group":
            # Groups with the same numbers of rows have the same part in the test.
            patterns, counts = np.unique(rows, axis=0, return_counts=True)
            rows, ends = patterns * counts[:, None], np.zeros(len(patterns))
        return cls(name, kind, ends, tuple(masks), rows)

    @property
    def population(self) -> Array:
        """Share of each stratum in the observational rows, or in all rows without them, (S,)."""
        observed = [not any(mask) for mask in self.masks]
        rows = self.rows[:, observed if any(observed) else slice(None)].sum(axis=1)
        return np.asarray(rows / rows.sum())

    def shares(self, values: Array, weights: Array) -> Array:
        """Share of each stratum in units with these values and weights, shape (S,)."""
        rows = np.bincount(np.searchsorted(self.ends[:-1], values), weights, len(self.ends))
        return np.asarray(rows / weights.sum())

    def information(self, target: Mask, shares: Array) -> float:
        """Share of the information about a level that the strata leave; 0 if it is undetermined.

        Parameters
        ----------
        target : mask
            A target that the regimes identify.
        shares : ndarray, shape (S,)
            Those of a population.

        Examples
        --------
        >>> masks, which = [(False,), (True,)], np.array([0, 0, 1])
        >>> for dates in ([1.0, 2.0, 2.0], [1.0, 2.0, 3.0]):
        ...     week = Strata.of("week", "date", np.array(dates), False, masks, which)
        ...     print(round(week.information((True,), week.population), 2))
        0.47
        0.0
        """
        needed, null = self._needed(self.rows, target), self._within[1]
        outside = np.abs(needed @ null).max(axis=1, initial=0.0) > TOLERANCE
        outside |= ~self.rows.any(axis=1)
        if shares[outside].sum() > MAX_OUTSIDE:
            return 0.0
        inside = np.where(outside, 0.0, shares)
        coefficients = inside @ needed / inside.sum()
        added = coefficients @ self._within[0] @ coefficients
        return float(self._variance(target) / (self._variance(target) + added))

    def _needed(self, rows: NDArray[np.int_], target: Mask) -> Array:
        """Coefficients of the biases in the level at each stratum, beyond the mean of its rows."""
        means = rows @ self._biased / np.maximum(rows.sum(axis=1), 1)[:, None]
        return np.asarray(1.0 - np.array(target, dtype=float) - means)

    def _variance(self, target: Mask) -> float:
        """Variance of the level without strata, per variance of a row."""
        every = self.rows.sum(axis=0, keepdims=True)
        needed = self._needed(every, target)[0]
        return float(1 / every.sum() + needed @ self._pooled[0] @ needed)

    @property
    def _biased(self) -> Array:
        """Coefficients of the biases in the mean of each regime, shape (regimes, K)."""
        return 1.0 - np.array(self.masks, dtype=float)

    @cached_property
    def _within(self) -> tuple[Array, Array]:
        """Covariance of the biases given the strata, and a basis of what is left open, (K, d)."""
        return _covariance(self.rows, self._biased)

    @cached_property
    def _pooled(self) -> tuple[Array, Array]:
        """The same without strata."""
        return _covariance(self.rows.sum(axis=0, keepdims=True), self._biased)

    def beyond(self, regimes: Sequence[Mask], shares: Array) -> list[Mask]:
        """Regimes whose rows all lie before, or all after, much of a population."""
        reached = [np.flatnonzero(self.rows[:, self.masks.index(mask)]) for mask in regimes]
        inside = [shares[strata[0] : strata[-1] + 1].sum() for strata in reached]
        return [m for m, own in zip(regimes, inside, strict=True) if 1 - own > MAX_OUTSIDE]

    def reason(self, names: Sequence[str], target: Mask, shares: Array) -> str:
        """Why the level of a target rests on more than regimes; empty if it does not.

        Empty, too, if the regimes do not identify the target.

        Parameters
        ----------
        names : sequence of str, length K
            The actions.
        target : mask
        shares : ndarray, shape (S,)
            Those of the population.
        """
        left = self.information(target, shares)
        regimes = combined_regimes(self.masks, target) if left < MIN_INFORMATION else {}
        if not regimes:
            return ""
        history = (False,) * len(names)
        near: list[str] = []
        apart: list[str] = []
        for mask in dict.fromkeys([*(history,) * (history in self.masks), *regimes]):
            linked = self.information(mask, shares) >= MIN_INFORMATION
            (near if linked else apart).append(mask_label(names, mask) if any(mask) else "history")
        parts = sorted([near, apart], key=lambda labels: "history" not in labels)
        if parts[0] == ["history"] and len(parts[1]) > 1:
            parts[1] = ["any experiment"]
        elif "history" in near:
            parts[0] = ["history"]
        words = " and ".join(_any_of(labels) for labels in parts if labels)
        changes = "but changes between plans do not"
        what, basis = {
            "date": (f"date in {self.name!r}", f"the trend, {changes}"),
            "value": (f"value of {self.name!r}", f"its function, {changes}"),
            "group": (f"group of {self.name!r}", "groups being exchangeable"),
        }[self.kind]
        some = "hardly any" if left else "no"
        has = f"has both {words}" if near and apart else f"asked about has rows of {words}"
        return f"{some} {what} {has}: the level of the effect rests on {basis}"


def _any_of(labels: Sequence[str]) -> str:
    return labels[0] if len(labels) == 1 else f"any of {first_few(labels)}"


def in_one_sentence(found: Mapping[str, str]) -> str:
    """The reason of the first of several columns on which a level rests, and the others."""
    first, *others = found
    also = f" (the same for {first_few([repr(name) for name in others])})" if others else ""
    return f"{found[first]}{also}"


def rests_on(
    names: Sequence[str],
    strata: Sequence[Strata],
    target: Mask,
    shares: Mapping[str, Array] | None = None,
) -> dict[str, str]:
    """Covariates and groupings on which the level of a target rests, with :meth:`Strata.reason`.

    ``shares`` are those of a population that is not the default one, by covariate.
    """
    populations = {own.name: own.population for own in strata} | dict(shares or {})
    reasons = {own.name: own.reason(names, target, populations[own.name]) for own in strata}
    return {name: reason for name, reason in reasons.items() if reason}


def strata_dataset(
    strata: Sequence[Strata],
) -> dict[str, tuple[tuple[str, ...], NDArray[np.generic]]]:
    """Convert strata of several covariates to arrays along one dimension."""
    counts = [len(own.rows) for own in strata]
    return {
        "stratum_of": (("stratum",), np.repeat([own.name for own in strata], counts)),
        "stratum_end": (("stratum",), np.concatenate([own.ends for own in strata])),
        "stratum_rows": (("stratum", "regime"), np.concatenate([own.rows for own in strata])),
    }


def strata_of(
    stored: xr.Dataset, kinds: Mapping[str, Kind], masks: Sequence[Mask]
) -> tuple[Strata, ...]:
    """Restore from :func:`strata_dataset`, with the kind of each covariate or grouping."""
    every, ends, rows = (stored[f"stratum_{name}"].values for name in ("of", "end", "rows"))
    return tuple(
        Strata(name, kind, ends[every == name], tuple(masks), rows[every == name])
        for name, kind in kinds.items()
    )


def _covariance(rows: NDArray[np.int_], biased: Array) -> tuple[Array, Array]:
    """Pseudoinverse of the masks' scatter within strata, and a basis of its null space."""
    sums = rows @ biased
    totals = np.maximum(rows.sum(axis=1), 1)
    scatter = (biased.T * rows.sum(axis=0)) @ biased - (sums.T / totals) @ sums
    values, vectors = np.linalg.eigh(scatter)
    zero = values <= TOLERANCE * max(values[-1], 1.0)
    own = vectors[:, ~zero]
    return (own / values[~zero]) @ own.T, vectors[:, zero]


def _ends(values: Array, has_levels: bool, regimes: Sequence[Array]) -> Array:
    """Largest value of each stratum: bins that are cut where the values of a regime end."""
    distinct = np.unique(values)
    if has_levels or len(distinct) <= BINS:
        return distinct
    coordinate = replace(Coordinate.of(values), edge=0.0)
    edges = [np.quantile(values, np.arange(1, BINS) / BINS)]
    for own in map(np.unique, regimes):
        first, last = stretches(own, coordinate.transform(own), GAP)
        edges += [np.nextafter(first, -np.inf), last]
    every = np.unique(np.concatenate(edges))
    return np.asarray(every[every >= distinct[0]])
