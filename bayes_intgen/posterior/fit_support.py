"""Validation of queries to a fit, and their support under its regimes and reference rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from typing import Any, NamedTuple, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.data.queries import (
    checked_actions,
    checked_mask,
    checked_points,
    point_labels,
)
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.data.validation import checked_data
from bayes_intgen.errors import DataError, SupportWarning, warn
from bayes_intgen.identification.certificates import certify
from bayes_intgen.identification.graph import parents_of
from bayes_intgen.identification.overlap import ReferenceRows
from bayes_intgen.identification.regimes import (
    Mask,
    combined_regimes,
    mask_label,
)
from bayes_intgen.identification.strata import Strata, in_one_sentence, rests_on, strata_of
from bayes_intgen.identification.verdict import Verdict, words_of_verdict
from bayes_intgen.models import AdditiveModel, Model
from bayes_intgen.models.carryover import carried_over
from bayes_intgen.models.terms import Decomposition, InRegime
from bayes_intgen.posterior.carryover import after_periods
from bayes_intgen.posterior.population import Standardisation, words_of_value
from bayes_intgen.posterior.schema import digest_of_covariates
from bayes_intgen.text.messages import option, quoted


class Query(NamedTuple):
    """Points and masks as arrays, shape (M, K), names of the actions set, and support.

    ``labels`` of the points, shape (M,), are the index of a data frame.
    """

    values: Array
    mask: NDArray[np.bool_]
    intervened: tuple[str, ...]
    verdict: Verdict
    labels: NDArray[Any]


@dataclass(frozen=True, eq=False)
class FitSupport:
    """Conditions under which a fit identifies effects at points.

    Attributes
    ----------
    model : Model
    terms : Decomposition
    regimes : mapping from mask to int
        Rows of each regime in the data.
    reference : ReferenceRows
        Reference rows of each regime.
    has_lift_tests : bool
    covariates_digest : str
    strata : tuple of Strata
        Rows of each regime by values of each covariate, and by groups.
    """

    model: Model
    terms: Decomposition
    regimes: Mapping[Mask, int]
    reference: ReferenceRows
    has_lift_tests: bool
    covariates_digest: str
    strata: tuple[Strata, ...]

    @classmethod
    def of(cls, tree: xr.DataTree, model: Model, terms: Decomposition) -> Self:
        """Read the regimes and the reference rows from the tree of a fit."""
        constant = tree["constant_data"].dataset
        reference = ReferenceRows.of_dataset(
            tree["support"].to_dataset(), terms.coordinates, terms.categories
        )
        masks = map(tuple, (constant["intervened"].values > 0).tolist())
        regimes = dict(zip(masks, constant["rows"].values.tolist(), strict=True))
        digest, has_tests = tree["fit"].attrs["covariates_digest"], "lift_of" in constant
        strata: tuple[Strata, ...] = ()
        if len(terms.covariates):
            strata = strata_of(tree["population"].dataset, terms.covariates.kinds, [*regimes])
        return cls(model, terms, regimes, reference, has_tests, digest, strata)

    def rows_of_fit(self, data: Rows) -> Rows:
        """Rows as the fit used them; raises DataError on others, as far as it stores them."""
        checked_data(data)
        remedy = "give the data that were fitted"
        for what, own, fitted in (
            ("actions", data.names, self.terms.names),
            ("covariates and groups", data.columns.every, self.terms.covariates.every),
        ):
            if own != fitted:
                raise DataError(
                    f"the data have {what} {quoted(own) or 'none'}, the fit had "
                    f"{quoted(fitted) or 'none'}; {remedy}"
                )
        columns = data.columns, self.terms.covariates
        given, known = ([*map(set, own.labels_of.values())] for own in columns)
        if isinstance(data, Observations) and given == known:
            # An update puts new groups last, where reading sorts all of them.
            data = data.coded_by(self.terms.covariates)
        data = carried_over(data, self.terms.carryover)
        for mask in dict.fromkeys([*self.regimes, *data.regimes]):
            n_rows, n_fitted = (regimes.get(mask, 0) for regimes in (data.regimes, self.regimes))
            if n_rows != n_fitted:
                raise DataError(
                    f"the data have {n_rows} rows of regime {data.label(mask)}, the fit had "
                    f"{n_fitted}; {remedy}"
                )
        rows = data.in_memory.reference_rows(self.terms.coordinates).rows
        if not all(map(np.array_equal, rows, self.reference.rows)):
            raise DataError(f"the rows of the data have other values of the actions; {remedy}")
        if digest_of_covariates(data.in_memory) != self.covariates_digest:
            raise DataError(
                "the rows of the data have other covariates, groups, weights or times; " + remedy
            )
        return data

    def query(self, points: Any, intervened: Iterable[str] | None = None) -> Query:
        """Validate points and the actions that are set, and warn where support is missing.

        All actions are set by default.

        Raises
        ------
        PointsError
            As :meth:`bayes_intgen.Posterior.effect`.
        """
        values = checked_points(points, self.terms.names, self.terms.categories)
        return self.query_at(values, intervened)._replace(labels=point_labels(points, len(values)))

    def query_at(
        self,
        values: Array,
        intervened: Iterable[str] | None = None,
        subject: str = "",
        periods: int | None = None,
    ) -> Query:
        """As :meth:`query`, at values that are valid, shape (M, K), levels by their codes.

        ``subject`` names the points in the warning, such as ``"the baseline"``. With ``periods``
        the values of the query are those after as many of them; see :func:`after_periods`.
        """
        names = self.terms.names
        actions = names if intervened is None else checked_actions(intervened, names)
        mask = checked_mask(actions, names)
        if periods is not None:
            values = after_periods(self.terms, values, periods, actions)
        verdict = self.verdict(values, mask)
        self._warn(values, mask, verdict, subject)
        masks, labels = np.broadcast_to(mask, values.shape), np.arange(len(values))
        return Query(values, masks, actions, verdict, labels)

    def verdict(self, values: Array, mask: NDArray[np.bool_], nearby: bool = True) -> Verdict:
        """Conditions of support at points, shape (M, K)."""
        target, parents = tuple(mask.tolist()), self._parents
        if parents is None:
            sets = _regimes_of_regression(self.terms, self.reference.masks, target)
            return self.reference.verdict_of_regression(values, target, sets)
        pairs, pairs_set = [*self.terms.interactions], self.terms.pairs_set
        return self.reference.verdict(values, target, parents, pairs, pairs_set, nearby)

    def supported(self, values: Array, nearby: bool = True) -> NDArray[np.bool_]:
        """Whether the joint effect is supported at points, shape (M,).

        Without ``nearby``, whether rows elsewhere suffice: points that are changes of different
        actions from one such point are then supported together, unless these actions interact.
        """
        verdict = self.verdict(values, np.ones(values.shape[1], dtype=bool), nearby)
        # A regression needs rows near the point itself.
        return verdict.supported & (nearby or self._parents is not None)

    def linked(
        self, values: Array, mask: NDArray[np.bool_], nearby: bool = True
    ) -> NDArray[np.bool_]:
        """Whether the regimes reach the values of all actions together, shape (M,).

        Without ``nearby``, whether they link each value by rows elsewhere, interactions aside; see
        :meth:`bayes_intgen.identification.overlap.ReferenceRows.linked`.
        """
        assert self._parents is not None  # because only additive models have a report
        target, pairs = tuple(mask.tolist()), [*self.terms.interactions] if nearby else []
        return self.reference.linked(values, target, self._parents, pairs, nearby)

    def dataset(self, points: Any, intervened: Iterable[str] | None) -> xr.Dataset:
        """Labelled distances of points from the rows of each regime, and their support.

        Raises
        ------
        PointsError
            As :meth:`query`.
        """
        names = self.terms.names
        values = checked_points(points, names, self.terms.categories)
        mask = checked_mask(names if intervened is None else intervened, names)
        verdict, target = self.verdict(values, mask), tuple(mask.tolist())
        parents = self._parents or parents_of(names, None)
        described = self.reference.described(values, target, parents, verdict)
        reasons = rests_on(names, self.strata, target)
        return described.assign_attrs(level_rests_on=", ".join(reasons))

    def _warn(self, values: Array, mask: NDArray[np.bool_], verdict: Verdict, subject: str) -> None:
        """Warn once of an effect that is not identified, everywhere or at some of the points."""
        names, target = self.terms.names, tuple(mask.tolist())
        if not self.model.identifies(list(self.regimes), target):
            certificate = certify(names, self.regimes, [*compress(names, target)])
            tests = "; lift tests tell how it changes, not its level" * self.has_lift_tests
            _say([f"{certificate} The answer rests on the prior{tests}."])
            return
        columns = self.terms.coordinates, self.terms.categories
        if reasons := words_of_verdict(names, *columns, values, target, verdict, subject):
            _say([reasons + option("; see posterior.support(points)", command="")])

    def warn_of_level(self, intervened: Sequence[str], averages: Standardisation) -> None:
        """Warn once where the level of an effect rests on more than regimes, or extrapolates.

        Changes between plans do not have this warning, nor answers that only need these.
        """
        regimes = self._combined(intervened)
        if self._parents is None or not regimes:
            return
        if reason := self.basis_of_level(intervened, averages):
            # Under a log link a difference needs the level, too.
            method = "ratio" if self.model.link == "log" else "contrast"
            changes = option(f"ask for posterior.{method}", command="look at changes, by --from")
            _say([f"{reason}; {changes}"])
        else:
            dates = [name for name in self.terms.covariates.times if name in averages.given]
            _say(self._beyond(dates, regimes, averages))

    def basis_of_level(self, intervened: Sequence[str], averages: Standardisation) -> str:
        """What a level rests on beside regimes, in one sentence; empty if on nothing."""
        if self._parents is None:
            return ""
        covariates = [own for own in self.strata if own.kind != "group"]
        target = tuple(name in intervened for name in self.terms.names)
        found = rests_on(self.terms.names, covariates, target, self._shares(averages))
        return in_one_sentence(found) if found else ""

    def warn_of_change(
        self, changed: Sequence[int], intervened: Sequence[str], averages: Standardisation
    ) -> None:
        """Warn where a change extrapolates in time, since effects depend on it in the model.

        ``changed`` are the positions of the actions that change.
        """
        mask = np.isin(self.terms.names, list(intervened))
        for date in self.terms.covariates.times:
            own = [k for k in changed if date in self.terms.moderators_of(k, mask)]
            regimes = [r for r in self._combined(intervened) if any(r[k] for k in own)]
            _say(self._beyond([date], regimes, averages))

    def _combined(self, intervened: Sequence[str]) -> list[Mask]:
        """Regimes whose combination is the effect of these actions."""
        target = tuple(name in intervened for name in self.terms.names)
        return [*combined_regimes([*self.regimes], target)]

    def _shares(self, averages: Standardisation) -> dict[str, Array]:
        """Share of each stratum of covariates over which units are not averaged by default."""
        shares, units = {}, averages.population
        if units is not None:
            for own, values in zip(self.strata, units.values.T, strict=False):
                # NaN where the population is the default one.
                if own.kind != "group" and not np.isnan(values).any():
                    shares[own.name] = own.shares(values, units.shares)
        return shares

    def _beyond(
        self, dates: Sequence[str], regimes: Sequence[Mask], averages: Standardisation
    ) -> Iterator[str]:
        """Dates of a population that are beyond the rows of regimes, in a sentence each.

        Values outside all rows are reported where they are given.
        """
        shares = self._shares(averages)
        for own in self.strata:
            if own.name not in dates or own.name in averages.out_of_range:
                continue
            beyond = own.beyond(regimes, shares.get(own.name, own.population))
            labels = " and ".join(mask_label(self.terms.names, mask) for mask in beyond)
            if beyond and own.name in averages.given:
                value = words_of_value(averages.given[own.name])
                yield f"{own.name} = {value} is beyond the rows of {labels}: this is extrapolation"
            elif beyond:
                remedy = option(f"given={{{own.name!r}: ...}}", command=f"--given {own.name}=...")
                yield (
                    f"effects change with {own.name!r}, and their average is over times beyond the "
                    f"rows of {labels}; give one within these by {remedy}"
                )

    @cached_property
    def _parents(self) -> list[list[int]] | None:
        """Actions on which each bias may depend; None for a regression."""
        if not isinstance(self.model, AdditiveModel):
            return None
        # The terms of a fit may lack pruned edges, so they do not determine the graph.
        return parents_of(self.terms.names, self.model.graph)


def _say(words: Iterable[str]) -> None:
    """Warn once for each sentence."""
    for text in words:
        warn(text, SupportWarning)


def _regimes_of_regression(
    terms: Decomposition, masks: Sequence[Mask], target: Mask
) -> list[tuple[int, ...]]:
    """Sets of regimes, one of each of which a regression needs rows near under mask ``target``.

    Any regime if all regimes share it, and every regime of nonzero weight if each regime has its
    own.
    """
    if not any(isinstance(term.gate, InRegime) for term in terms.terms):
        return [tuple(range(len(masks)))]
    return [(masks.index(mask),) for mask in combined_regimes(masks, target)] or [()]
