"""Estimates as a tidy table: a row for each, with its draws."""

from dataclasses import dataclass
from html import escape
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_intgen._arguments import probability
from bayes_intgen._typing import Array
from bayes_intgen.data.covariates import group_label
from bayes_intgen.data.tables import to_frame
from bayes_intgen.errors import PointsError
from bayes_intgen.posterior.draws import central
from bayes_intgen.text.formats import align_columns, format_estimate, format_number

# Maximum number of estimates that a printed table shows.
MAX_SHOWN = 20


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimates from :meth:`bayes_intgen.Posterior.predictions`, ``comparisons`` or ``slopes``.

    It prints as a table, with 90% intervals.

    Attributes
    ----------
    draws : DataArray, dims (chain, draw, estimate)
        In the outcome's units, or for ratios without units. Coordinate ``supported`` (estimate)
        says whether rows near all points of the estimate identify it, and ``share_supported`` near
        which share of the points; the attribute ``population`` over whom effects are averaged.
    labels : DataFrame
        Columns that say what is estimated, with a row per estimate.
    kind : str
        Kind of table, "pandas", "polars" or "pyarrow", that :meth:`to_dataframe` gives.
    """

    draws: xr.DataArray
    labels: pd.DataFrame
    kind: str

    def __len__(self) -> int:
        return int(self.draws.sizes["estimate"])

    def to_dataframe(self, level: float = 0.9) -> Any:
        """Table with a row per estimate, of the library whose table was asked about.

        Parameters
        ----------
        level : float
            Probability of the central credible intervals.

        Returns
        -------
        pandas, Polars or Arrow table
            The labels, then ``estimate``, the posterior mean, ``sd``, ``low``, ``high`` and
            ``supported``.

        Raises
        ------
        PointsError
            If ``level`` is not a probability.

        Examples
        --------
        >>> [*posterior.slopes("red").to_dataframe()]
        ['red', 'green', 'term', 'contrast', 'estimate', 'sd', 'low', 'high', 'supported']
        """
        supported = self.draws["supported"].to_numpy()
        frame = self.labels.assign(**self._statistics(level), supported=supported)
        return frame if self.kind == "pandas" else to_frame(frame.to_dict("list"), self.kind)

    def _statistics(self, level: float) -> dict[str, Array]:
        draws = np.moveaxis(self.draws.to_numpy(), -1, 0).reshape(len(self), -1)
        mean, low, high = central(draws.T, probability(level, "level", PointsError)).values()
        return {"estimate": mean, "sd": draws.std(axis=1), "low": low, "high": high}

    def __str__(self) -> str:
        estimate, _, *ends = self._statistics(0.9).values()
        bands = [format_estimate(*band) for band in zip(estimate, *ends, strict=True)]
        table = self.labels.map(_shown)
        table[["estimate", "90% interval"]] = bands
        share = self.draws["share_supported"].to_numpy()
        if (share < 1).any():
            # Nearly all is not all.
            table["supported"] = [f"{np.floor(100 * own + 1e-9):.0f}%" for own in share]
        rows = table.to_numpy().tolist()
        lines = [f"{self.draws.name} of {self.draws.attrs['outcome']}", ""]
        lines.append(align_columns([*table], rows[:MAX_SHOWN]))
        if len(rows) > MAX_SHOWN:
            lines.append(f"and {len(rows) - MAX_SHOWN:,} more; see to_dataframe()")
        if "population" in self.draws.attrs:
            lines += ["", f"Population: {self.draws.attrs['population']}."]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def _shown(cell: Any) -> str:
    is_number = isinstance(cell, Real) and not isinstance(cell, bool)
    return format_number(float(cell)) if is_number else group_label(cell)
