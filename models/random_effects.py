"""Random effects of many groups, which are integrated out of the likelihood.

Rows of group g have the outcome y = X beta + Z b_g + noise, with b_g normal of mean zero and
variance ``ratio`` times that of the noise, independently per column of Z. With the sums Z'WX and
Z'WZ of each group, its effects integrate out of the sufficient statistics (Laird and Ware 1982).
"""

from dataclasses import dataclass, replace

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis


@dataclass(frozen=True, eq=False)
class RandomEffects:
    """Levels and slopes of the groups of one grouping.

    Attributes
    ----------
    grouping : int
        Position of the grouping among the inputs.
    names : tuple of str, length q
        Names of the effects, such as ``patient`` and ``patient | tv``.
    bases : tuple of Basis
        Functions of one input whose coefficients differ between groups, q of them in all.
    inputs : tuple of int
        Input of each basis.
    ratio : tuple of float, length q
        Variance of each effect between groups, over that of the noise.
    """

    grouping: int
    names: tuple[str, ...]
    bases: tuple[Basis, ...]
    inputs: tuple[int, ...]
    ratio: tuple[float, ...]

    def functions(self, inputs: Array) -> Array:
        """Columns Z of rows, shape (n, q)."""
        columns = [b.matrix(inputs[:, [i]]) for b, i in zip(self.bases, self.inputs, strict=True)]
        return np.concatenate(columns, axis=1)

    def with_ratio(self, ratio: Array) -> "RandomEffects":
        """Replace the variance ratios."""
        return replace(self, ratio=tuple(ratio.tolist()))
