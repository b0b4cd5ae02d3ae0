"""A table in which one cell is a typing error."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bayes_intgen.regimes import RegimeData
from bayes_intgen.simulators.base import Regime, RowCounts
from bayes_intgen.simulators.violations import Violation
from bayes_intgen.streams import generator


@dataclass(frozen=True, eq=False)
class Mistyped(Violation):
    """One cell of an action is far away in every dataset; the truth is unchanged.

    The cell, drawn from the dataset's seed, is ``strength`` times the standard deviation of
    its action above what it should be. The outcome is that of the value before the error.

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
        # Other rows are drawn from the seed itself and by fits; this stream is its own.
        rng = generator(seed, "rows", stream=1)
        actions = data.actions.copy()
        row, action = rng.integers(len(actions)), rng.integers(len(self.names))
        actions[row, action] += self.strength * self.joint_points[:, action].std()
        return replace(data, actions=actions)
