"""Do the data contradict the assumptions? A statement with its uncertainty.

`check` holds the additive model against every way in which it can be wrong that the regimes in
the data could show (`bayes_intgen.departures`), and against a regression for each regime on
rows that neither has seen. Where rows have several actions set at once they are what the
additive model predicts from the others, and the strongest test.

What cannot be seen. The tests see departures of the regimes in the data from one additive mean.
With one action set at a time they see an interaction that is the same in all regimes, because
sum_j m_j - (K - 1) m_0 is then no sum of functions of one action each. They cannot see one that
the biases make up for: add psi(a_1, a_2) to the joint effect of two actions and take it from
the biases' side as it would arise if the hidden causes interacted too, so that do(1) + do(2) -
observational stays what it was. Two such worlds agree on every row with at most one action set
(``analyses/non_identifiable.py`` draws a pair of them), so no test of such rows can tell which
it is; rows with both actions set do. The same holds for hidden causes that several actions
share, as long as their effect on the regimes is additive (in linear Gaussian worlds it always
is): `bayes_intgen.sensitivity` says how far they could move the answer.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bayes_intgen.departures import Departure, departures, judged, null_pilot, weights
from bayes_intgen.errors import DataError, ModelError
from bayes_intgen.goodness import fit_problems, fit_tests_dataset
from bayes_intgen.heldout import Difference, log_densities, split
from bayes_intgen.models import AdditiveModel, Model, additive, saturated
from bayes_intgen.pilot import PILOT_ROWS
from bayes_intgen.rows import Rows

# Chance that any of the tests raises a false alarm: half of the customary 5%, so that what a
# normal approximation or an unusual noise adds stays within that.
LEVEL = 0.025
# Departures that cannot be tested and are named in the statement.
SHOWN = 3


@dataclass(frozen=True, eq=False, repr=False)
class Check:
    """What the data say against the assumptions. Made by :func:`check`; prints as a statement.

    Attributes
    ----------
    table : Dataset, dim test
        ``kind`` ("interaction", "graph" or "regime"), ``log_bayes_factor``, ``p``,
        ``p_familywise`` (over all tests), ``weight`` (probability of each departure if one of
        them is there), ``size`` and ``detectable`` (in the outcome's units: the estimate's
        standard deviation, or root mean square in a regime, and what would be found nine times
        in ten), and ``between`` (test, action), the actions concerned. ``fit_p`` (fit_test): p
        values of tests of whether each action's functions follow the rows.
    held_out : Dataset
        ``difference`` and ``error``: log predictive density of held-out rows under the additive
        model less that under a regression for each regime, and its standard error; ``rows``.
        Empty where no rows were held out.
    level : float
        Probability of a false alarm by any test.
    """

    table: xr.Dataset
    held_out: xr.Dataset
    level: float

    def to_datasets(self) -> dict[str, xr.Dataset]:
        """The check as groups of a tree."""
        return {
            "/check": self.table.assign_attrs(level=self.level),
            "/check/held_out": self.held_out,
        }

    @classmethod
    def of_tree(cls, tree: xr.DataTree) -> "Check | None":
        """From a tree with the groups of :meth:`to_datasets`; None from any other."""
        if "check" not in tree.children:
            return None
        nodes = {node.path: node.to_dataset(inherit=False) for node in tree.subtree}
        table, held_out = nodes["/check"], nodes["/check/held_out"]
        return cls(table, held_out, float(table.attrs["level"]))

    @property
    def p(self) -> float:
        """The least familywise p value; one where nothing could be tested."""
        return float(self.table["p_familywise"].min()) if self.table.sizes["test"] else 1.0

    @property
    def violated(self) -> bool:
        """Whether the data contradict the assumptions at the level."""
        return self.p <= self.level

    @property
    def lack_of_fit(self) -> list[str]:
        """Actions whose functions the model does not follow, a sentence each.

        That is no violation of the assumptions, but of the prior's smoothness.
        """
        return [f"{line[0].upper()}{line[1:]}." for line in fit_problems(self.table)]

    @property
    def likeliest(self) -> str | None:
        """The departure that the data speak for most; None where nothing could be tested."""
        if not self.table.sizes["test"]:
            return None
        p, evidence = (self.table[name].to_numpy() for name in ("p", "log_bayes_factor"))
        best = int(np.argmax(np.where(p == p.min(), evidence, -np.inf)))
        return str(self.table["test"].to_numpy()[best])

    def __str__(self) -> str:
        return "\n".join(self.sentences())

    __repr__ = __str__

    def sentences(self) -> list[str]:
        """The statement, a sentence a line."""
        lines = [self._verdict()]
        if not self.violated:
            lines.append(self._reach())
        lines += [self._hidden(), self._rows(), *self.lack_of_fit]
        if self.held_out.data_vars:
            lines.append(self._comparison())
        return [line for line in lines if line]

    def _verdict(self) -> str:
        tests = self.table.sizes["test"]
        if not tests:
            return "Nothing could be tested: these regimes leave the model no restriction."
        p = f"p {'<' if self.p < 0.001 else '='} {max(self.p, 0.001):.3g} over {tests} " + (
            "tests" if tests > 1 else "test"
        )
        if not self.violated:
            return f"No sign of violation ({p}; under {self.level:g} would be one)."
        row = self.table.sel(test=self.likeliest)
        between = [str(n) for n in self.table["action"].to_numpy()[row["between"].to_numpy()]]
        unit = float(row["size"]) / self.table.attrs["outcome_sd"]
        what = {
            "interaction": f"an interaction with a standard deviation of {float(row['size']):.3g}, "
            f"{unit:.0%} of the outcome's",
            "graph": f"{self.likeliest}, which the graph does not allow",
            "regime": f"{self.likeliest}, by {float(row['size']):.3g} or {unit:.0%} of the "
            "outcome's standard deviation",
        }[str(row["kind"].item())]
        where = " and ".join([", ".join(between[:-1]), between[-1]])
        return (
            f"Violated, most likely between {where} ({p}; probability {float(row['weight']):.2f} "
            f"if one of the tested departures is there): {what}."
        )

    def _reach(self) -> str:
        pairs = self.table["detectable"].to_numpy()[self.table["kind"].to_numpy() == "interaction"]
        if not pairs.size:
            return ""
        worst, unit = float(pairs.max()), self.table.attrs["outcome_sd"]
        which = "Any other" if self.table.sizes["hidden"] else "Any"
        return (
            f"{which} smooth interaction of two actions with a standard deviation over "
            f"{worst:.3g}, {worst / unit:.0%} of the outcome's, would have been found nine times "
            "in ten, unless the biases make up for it."
        )

    def _hidden(self) -> str:
        labels = [str(label) for label in self.table["hidden"].to_numpy()]
        shown = labels[:SHOWN] + ([f"{len(labels) - SHOWN} more"] if len(labels) > SHOWN else [])
        return f"No row of these regimes could show: {'; '.join(shown)}." if labels else ""

    def _rows(self) -> str:
        several = int(self.table.attrs["rows_with_several_set"])
        if several:
            return f"{several} rows have several actions set: the strongest test there is."
        return (
            "No row has several actions set: an interaction that the biases make up for in every "
            "regime cannot be seen, only rows with several actions set would show it."
        )

    def _comparison(self) -> str:
        value, error, rows = (
            float(self.held_out[name]) for name in ("difference", "error", "rows")
        )
        how = "better than" if value > 0 else "worse than"
        if abs(value) < 2 * error:
            how = "about as well as"
        return (
            f"The shared model predicts {rows:.0f} held-out rows {how} a regression for each "
            f"regime: log density {value:+.1f}, standard error {error:.1f}."
        )


def check(
    data: Rows,
    model: Model | None = None,
    *,
    level: float = LEVEL,
    held_out: float = 0.25,
    seed: int = 0,
    progress: bool = True,
) -> Check:
    """Test the assumptions that the data can contradict.

    Parameters
    ----------
    data : Observations, StreamedData or DistributedData
        At most 30,000 rows of it are used.
    model : Model, optional
        By default ``additive()``. A graph adds restrictions that are tested too.
    level : float
        Probability that any of the tests raises a false alarm where the assumptions hold.
    held_out : float
        Share of the rows of every regime on which the model is compared with a regression for
        each regime; 0 leaves the comparison out, which takes most of the time.
    seed : int
        The same seed gives the same answer.
    progress : bool

    Returns
    -------
    Check

    Raises
    ------
    DataError
        Where ``data`` is no RegimeData, or the actions determine the outcome exactly.
    ModelError
        Where the model is not additive, does not fit the data, or ``level`` or ``held_out`` is
        no probability.

    Examples
    --------
    >>> found = check(data, held_out=0, progress=False)
    >>> found.violated
    False
    >>> found.table.test.to_numpy().tolist()
    ['interaction of red and green']
    """
    model = additive() if model is None else model
    if not isinstance(data, Rows):
        raise DataError(
            f"data must be a RegimeData, not {type(data).__name__}; RegimeData.from_frame makes one"
        )
    if not isinstance(model, AdditiveModel):
        raise ModelError(
            f"only models.additive() makes assumptions to check, not {type(model).__name__}"
        )
    if not 0 < level < 1 or not 0 <= held_out < 1:
        raise ModelError("level must lie between 0 and 1, and held_out from 0 to below 1")
    rows = data.sample(PILOT_ROWS)
    every = departures(rows, model)
    chosen = [departure for departure in every if departure.testable]
    with threadpool_limits(1, "blas"):
        pilot = null_pilot(rows, model, chosen, progress)
        found = judged(rows, pilot, chosen, level, seed) if chosen else []
    labelled = {departure.label: one for departure, one in zip(chosen, found, strict=True)}
    share = weights(labelled)
    columns = {
        name: np.array([getattr(one, name) for one in found], dtype=float)
        for name in ("log_bayes_factor", "p", "p_familywise", "size", "detectable")
    } | {"weight": np.array([share[name] for name in labelled], dtype=float)}

    def between(some: list[Departure]) -> NDArray[np.bool_]:
        named = [[name in departure.actions for name in rows.names] for departure in some]
        return np.array(named, dtype=bool).reshape(len(some), len(rows.names))

    hidden = [departure for departure in every if not departure.testable]
    table = xr.Dataset(
        {
            "kind": ("test", np.array([departure.kind for departure in chosen], dtype=str)),
            **{name: ("test", values) for name, values in columns.items()},
            "between": (("test", "action"), between(chosen)),
            "hidden_between": (("hidden", "action"), between(hidden)),
        },
        coords={
            "test": np.array(list(labelled), dtype=str),
            "action": list(rows.names),
            "hidden": np.array([departure.label for departure in hidden], dtype=str),
        },
        attrs={
            "outcome": rows.outcome_name,
            "outcome_sd": float(rows.outcome.std()),
            "rows_with_several_set": sum(n for m, n in data.regimes.items() if sum(m) > 1),
        },
    )
    table = table.merge(fit_tests_dataset(pilot.fit_tests, rows.names), combine_attrs="override")
    comparison = xr.Dataset()
    if held_out:
        seen, new = split(rows, held_out, seed)
        both = (model, saturated(model.prior, noise_scale=model.noise_scale, spread=model.spread))
        first, second = (log_densities(one, seen, new, progress) for one in both)
        difference = Difference.of(first, second)
        comparison = xr.Dataset(
            {"difference": difference.value, "error": difference.error, "rows": difference.rows}
        )
    return Check(table, comparison, level)
