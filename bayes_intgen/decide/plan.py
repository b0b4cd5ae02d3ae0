"""The best plan of a decision: its value over the baseline, and how sure it is."""

from dataclasses import dataclass
from html import escape

import numpy as np
import xarray as xr

from bayes_intgen._arguments import probability
from bayes_intgen.basis.categories import Label
from bayes_intgen.decide.decision import Objective
from bayes_intgen.errors import PointsError
from bayes_intgen.text.number_format import (
    decimals_for,
    format_interval,
    format_to_uncertainty,
)
from bayes_intgen.text.tables import align_columns


@dataclass(frozen=True, eq=False)
class Plan:
    """Best plan of a decision, from :meth:`bayes_intgen.Posterior.best`.

    Attributes
    ----------
    point : dict from action to value
        The plan, levels by their names.
    baseline : dict from action to value
    objective : "mean", CVaR or Quantile
    value : float
        The objective at the plan, in the outcome's units.
    cost, budget : float or None
        Cost of the plan; None where nothing costs anything, or there is no budget.
    effect, gain : DataArray, dims (chain, draw)
        Joint effect of the plan, and its change from the baseline.
    regret : DataArray, dims (chain, draw)
        Joint effect of the best plan of each draw minus that of this plan. Its mean, the expected
        regret, is the expected value of perfect information.
    best_of_draws : DataArray, dims (chain, draw, action)
        The best plan of each draw; levels by their names.
    probability_better : float
        Probability that the joint effect of the plan is above that of the baseline.
    shadow_price : float or None
        Change of the objective per unit of a larger budget; None without a budget.
    supported : bool
        Whether rows near the plan identify its joint effect.
    """

    point: dict[str, Label]
    baseline: dict[str, Label]
    objective: Objective
    value: float
    cost: float | None
    budget: float | None
    effect: xr.DataArray
    gain: xr.DataArray
    regret: xr.DataArray
    best_of_draws: xr.DataArray
    probability_better: float
    shadow_price: float | None
    supported: bool

    def summary(self, level: float = 0.9) -> xr.Dataset:
        """Mean and central interval of effect, gain and regret, dims (quantity).

        Examples
        --------
        >>> plan = posterior.best(bi.Decision())
        >>> float(plan.summary()["mean"].sel(quantity="regret")) >= 0
        True
        """
        level = probability(level, "level", PointsError)
        names = ["effect", "gain", "regret"]
        draws = np.stack([getattr(self, name).to_numpy().ravel() for name in names])
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=1)
        columns = {"mean": draws.mean(axis=1), "low": low, "high": high}
        return xr.Dataset(
            {name: ("quantity", values) for name, values in columns.items()},
            {"quantity": names},
            {"level": level, "outcome": self.gain.attrs["outcome"]},
        )

    def __str__(self) -> str:
        measure = "mean" if self.objective == "mean" else repr(self.objective)
        title = f"Best plan for {self.gain.attrs['outcome']} ({measure} of the joint effect)"
        return "\n".join([title, "", self._table, "", *self._lines])

    def __repr__(self) -> str:
        return f"Plan({self.point})"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    @property
    def _table(self) -> str:
        rows = []
        for name, value in self.point.items():
            own = self.best_of_draws.sel(action=name).to_numpy()
            if own.dtype == object:
                labels, counts = np.unique(own.astype(str), return_counts=True)
                most = counts.argmax()
                best = f"{labels[most]} in {counts[most] / counts.sum():.0%}"
                cells = [str(value), str(self.baseline[name]), best]
            else:
                low, high = np.quantile(own.astype(float), [0.05, 0.95])
                decimals = decimals_for(max(high - low, abs(float(value)) / 100))
                numbers = (float(value), float(self.baseline[name]))
                cells = [format_to_uncertainty(number, decimals) for number in numbers]
                cells.append(format_interval(low, high, decimals))
            rows.append([name, *cells])
        return align_columns(["", "plan", "baseline", "best of draws"], rows)

    @property
    def _lines(self) -> list[str]:
        table = self.summary()
        lines = []
        for name, words in (("effect", "joint effect"), ("gain", "gain"), ("regret", "regret")):
            own = table.sel(quantity=name)
            low, high = float(own["low"]), float(own["high"])
            decimals = decimals_for(high - low)
            mean = format_to_uncertainty(float(own["mean"]), decimals)
            lines.append(f"{words + ':':14}{mean} ({format_interval(low, high, decimals)})")
        share = f"{self.probability_better:.2f}"
        lines.append(f"better than the baseline with probability {share}")
        if self.budget is not None and self.cost is not None:
            lines.append(
                f"costs {self.cost:.4g} of {self.budget:.4g}; one more unit of budget adds "
                f"{self.shadow_price or 0.0:.2g}"
            )
        if not self.supported:
            lines.append("beyond the support of the rows: extrapolation")
        return lines
