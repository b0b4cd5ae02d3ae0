"""Data sets with a typing error in one cell."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bayes_intgen._random import generator
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.simulators.base import Regime, RowCounts
from bayes_intgen.simulators.violations import Violation


@dataclass(frozen=True, eq=False)
class Mistyped(Violation):
    """Outlier in one cell of an action per data set; the true effects are unchanged.

    The cell, random given the data set's seed, is ``strength`` standard deviations of its action
    too high. The outcome follows from the value before the error.

    Attributes
    ----------
    base, strength
        As in :class:`Violation`.

    Examples
    --------
    >>> base = bi.simulators.MediaMix.random(2, seed=0)
    >>> right, wrong = (m.dataset(50, seed=1) for m in (base, Mistyped(base, strength=1e6)))
    >>> int((right.actions != wrong.actions).sum())
    1
    """

    def dataset(
        self, rows: RowCounts, seed: int, regimes: Iterable[Regime] | None = None
    ) -> RegimeData:
        data = self.base.dataset(rows, seed, regimes)
        # A stream of its own, because rows use the seed itself and fits use other streams.
        rng = generator(seed, "rows", stream=1)
        actions = data.actions.copy()
        row, action = rng.integers(len(actions)), rng.integers(len(self.names))
        actions[row, action] += self.strength * self.joint_points[:, action].std()
        return replace(data, actions=actions)
