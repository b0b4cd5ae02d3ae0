"""Validation of queries to a fit, and their support under its regimes and reference rows."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.data.queries import checked_actions, checked_mask, checked_points
from bayes_intgen.data.rows import Rows, checked_data
from bayes_intgen.errors import PACKAGE, DataError, SavedFitError, SupportWarning
from bayes_intgen.identification.certificates import certify
from bayes_intgen.identification.graph import parents_of
from bayes_intgen.identification.masks import Mask
from bayes_intgen.identification.overlap import ReferenceRows
from bayes_intgen.identification.requirements import requirements
from bayes_intgen.identification.verdict import Verdict, words_of_verdict
from bayes_intgen.models import AdditiveModel, Model
from bayes_intgen.models.requirements import parents_of_terms, requirements_of_terms
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.text.messages import quoted


class Query(NamedTuple):
    """Points and masks as arrays, shape (M, K), names of the actions set, and support there."""

    values: Array
    mask: NDArray[np.bool_]
    intervened: tuple[str, ...]
    verdict: Verdict | None


@dataclass(frozen=True, eq=False)
class FitSupport:
    """Conditions under which a fit identifies effects at points.

    Attributes
    ----------
    model : Model
    terms : Decomposition
    regimes : mapping from mask to int
        Rows of each regime in the data.
    reference : ReferenceRows or None
        Reference rows of each regime; None for a fit that was saved without them.
    has_lift_tests : bool
    """

    model: Model
    terms: Decomposition
    regimes: Mapping[Mask, int]
    reference: ReferenceRows | None
    has_lift_tests: bool

    @classmethod
    def of(cls, tree: xr.DataTree, model: Model, terms: Decomposition) -> Self:
        """Read the regimes and the reference rows from the tree of a fit."""
        constant, reference = tree["constant_data"], None
        if "support" in tree.children:
            reference = ReferenceRows.of_dataset(
                tree["support"].to_dataset(), terms.coordinates, terms.categories
            )
        masks = map(tuple, (constant["intervened"].to_numpy() > 0).tolist())
        regimes = dict(zip(masks, constant["rows"].to_numpy().tolist(), strict=True))
        return cls(model, terms, regimes, reference, "lift_of" in constant)

    def refuse_other_rows(self, data: Rows) -> None:
        """Raise DataError unless actions, regimes and reference rows are those of the fit."""
        checked_data(data)
        remedy = "give the data that were fitted"
        if data.names != self.terms.names:
            raise DataError(
                f"the data have actions {quoted(data.names)}, the posterior has "
                f"{quoted(self.terms.names)}; {remedy}"
            )
        for mask in dict.fromkeys([*self.regimes, *data.regimes]):
            n_rows, n_fitted = (regimes.get(mask, 0) for regimes in (data.regimes, self.regimes))
            if n_rows != n_fitted:
                raise DataError(
                    f"the data have {n_rows} rows of regime {data.label(mask)}, the fit had "
                    f"{n_fitted}; {remedy}"
                )
        if self.reference is not None:
            rows = data.in_memory.reference_rows(self.terms.coordinates).rows
            if not all(map(np.array_equal, rows, self.reference.rows)):
                raise DataError(f"the rows of the data have other values of the actions; {remedy}")

    def query(self, points: Any, intervened: Sequence[str]) -> Query:
        """Validate points and the actions that are set, and warn where support is missing.

        Raises
        ------
        PointsError
            As :meth:`bayes_intgen.Posterior.effect`.
        """
        values = checked_points(points, self.terms.names, self.terms.categories)
        actions = checked_actions(intervened, self.terms.names)
        mask = checked_mask(actions, self.terms.names)
        verdict = self.verdict(values, mask)
        self._warn(values, mask, verdict)
        return Query(values, np.broadcast_to(mask, values.shape), actions, verdict)

    def verdict(self, values: Array, mask: NDArray[np.bool_]) -> Verdict | None:
        """Conditions of support at points, shape (M, K); None without reference rows."""
        if self.reference is None:
            return None
        target, parents = tuple(mask.tolist()), self._parents
        needs = (
            requirements_of_terms(self.terms, self.reference.masks, target)
            if parents is None
            else requirements(parents, self.reference.masks, target)
        )
        return self.reference.verdict(values, target, needs, parents)

    def linked(self, values: Array, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether the regimes reach the values of all actions together, shape (M,).

        True for a regression and for a fit that was saved without reference rows.
        """
        if self.reference is None or self._parents is None:
            return np.ones(len(values), dtype=bool)
        return self.reference.linked(values, tuple(mask.tolist()), self._parents)

    def dataset(self, points: Any, intervened: Sequence[str]) -> xr.Dataset:
        """Labelled distances of points from the rows of each regime, and their support.

        Raises
        ------
        PointsError
            As :meth:`query`.
        SavedFitError
            Without reference rows.
        """
        if self.reference is None:
            raise SavedFitError(
                "the fit was saved by a version that kept no rows of the data; use data.support"
            )
        values = checked_points(points, self.terms.names, self.terms.categories)
        mask = checked_mask(intervened, self.terms.names)
        verdict, target = self.verdict(values, mask), tuple(mask.tolist())
        assert verdict is not None  # because there are reference rows
        parents = self._parents or parents_of_terms(self.terms)
        return self.reference.described(values, target, parents, verdict)

    def _warn(self, values: Array, mask: NDArray[np.bool_], verdict: Verdict | None) -> None:
        """Warn once of an effect that is not identified, everywhere or at some of the points."""
        names, target = self.terms.names, tuple(mask.tolist())
        if not self.model.identifies(list(self.regimes), target):
            intervened = [name for name, is_set in zip(names, target, strict=True) if is_set]
            certificate = certify(names, self.regimes, intervened)
            tests = "; lift tests tell how it changes, not its level" * self.has_lift_tests
            message = f"{certificate} The answer rests on the prior{tests}."
        elif verdict is None:
            self.warn_of_range(values)
            return
        else:
            reasons = words_of_verdict(
                names, self.terms.coordinates, self.terms.categories, values, target, verdict
            )
            message = f"{reasons}; posterior.support(points) has the details" if reasons else ""
        if message:
            warnings.warn(message, SupportWarning, skip_file_prefixes=(PACKAGE,))

    def warn_of_range(self, values: Array) -> None:
        """Warn of each action that points place outside its observed range."""
        for name, coordinate, column in zip(
            self.terms.names, self.terms.coordinates, values.T, strict=True
        ):
            outside = int(((column < coordinate.low) | (column > coordinate.high)).sum())
            if outside:
                warnings.warn(
                    f"{outside} of {len(values)} points set {name!r} outside its observed range, "
                    f"{coordinate.low:g} to {coordinate.high:g}: answers there are extrapolation",
                    SupportWarning,
                    skip_file_prefixes=(PACKAGE,),
                )

    @cached_property
    def _parents(self) -> list[list[int]] | None:
        """Actions on which each bias may depend; None for a regression."""
        if isinstance(self.model, AdditiveModel):
            # The terms of a fit may lack pruned edges, so they do not determine the graph.
            return parents_of(self.terms.names, self.model.graph)
        if any(term.role == "regression" for term in self.terms.terms):
            return None
        return parents_of_terms(self.terms)
