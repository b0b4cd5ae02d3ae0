"""Estimates as a tidy table: a row for each, with its draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from numbers import Real
from typing import Any

import xarray as xr

from bayes_intgen.data.covariates import group_label
from bayes_intgen.data.tables import to_frame
from bayes_intgen.decide.contrasts import estimates_of
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
        says whether rows near all points of the estimate identify it; the attribute ``population``
        over whom effects are averaged.
    labels : dict from str to list
        Columns of the table that say what is estimated.
    kind : str
        Kind of table, "pandas", "polars" or "pyarrow", that :meth:`to_dataframe` gives.
    """

    draws: xr.DataArray
    labels: Mapping[str, Sequence[Any]]
    kind: str

    def __len__(self) -> int:
        return int(self.draws.sizes["estimate"])

    def to_dataframe(self, prob: float = 0.9) -> Any:
        """Table with a row per estimate, of the library whose table was asked about.

        Parameters
        ----------
        prob : float
            Probability of the central credible intervals.

        Returns
        -------
        pandas, Polars or Arrow table
            The labels, then ``estimate``, the posterior mean, ``sd``, ``low``, ``high`` and
            ``supported``.

        Raises
        ------
        PointsError
            If ``prob`` is not a probability.

        Examples
        --------
        >>> [*posterior.slopes("red").to_dataframe()]
        ['red', 'green', 'term', 'contrast', 'estimate', 'sd', 'low', 'high', 'supported']
        """
        columns = estimates_of(self.draws.to_numpy(), prob)
        supported = self.draws["supported"].to_numpy()
        return to_frame({**self.labels, **columns, "supported": supported}, self.kind)

    def __str__(self) -> str:
        columns = estimates_of(self.draws.to_numpy()[..., :MAX_SHOWN], 0.9)
        bands = zip(*(columns[name] for name in ("estimate", "low", "high")), strict=True)
        supported = self.draws["supported"].to_numpy()
        some = not supported.all()
        labels = zip(*self.labels.values(), strict=True) if self.labels else [()] * len(self)
        rows = [
            [*map(_shown, cells), *format_estimate(*band), *["yes" if own else "no"] * some]
            for cells, band, own in zip(labels, bands, supported, strict=False)
        ]
        head = [*self.labels, "estimate", "90% interval", *["supported"] * some]
        more = len(self) - len(rows)
        lines = [
            f"{self.draws.name} of {self.draws.attrs['outcome']}",
            "",
            align_columns(head, rows),
            *[f"and {more:,} more; see to_dataframe()"] * (more > 0),
        ]
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
