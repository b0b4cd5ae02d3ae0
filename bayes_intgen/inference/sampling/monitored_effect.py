"""The effect by which draws are judged: some rows of the data, and what is set there."""

from typing import NamedTuple, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Rows
from bayes_intgen.models import Model
from bayes_intgen.models.prediction import Prediction

COUNT = 20


def every_nth(rows: Array) -> Array:
    """``COUNT`` of the rows, shape (COUNT, K), evenly spaced from the first to the last."""
    return np.asarray(rows[np.linspace(0, len(rows) - 1, COUNT).astype(int)])


def monitored_effect(
    prediction: Prediction, points: Array, masks: NDArray[np.bool_]
) -> xr.DataArray:
    """Draws of the mean outcome at points and masks of shape (M, K), for diagnostics.

    Rows at the edge of their regime may lie beyond support, which no warning mentions here.
    """
    effect = prediction.mean(points, masks)
    coords = {"point": np.arange(len(points))}
    return xr.DataArray(effect, coords, ("chain", "draw", "point"))


class MonitoredEffect(NamedTuple):
    """Rows of the data at which an effect is looked at.

    Attributes
    ----------
    points : ndarray, shape (COUNT, K)
        Rows that are held, evenly spaced.
    mask : ndarray of bool, shape (K,)
        The actions that are set: all, or what some rows answer.
    """

    points: Array
    mask: NDArray[np.bool_]

    @classmethod
    def of(cls, data: Rows, model: Model) -> Self:
        """Of a fit of this model to these data."""
        seen = tuple(data.regimes)
        every = (True,) * len(data.names)
        mask = every if model.identifies(seen, every) else seen[0]
        return cls(every_nth(data.in_memory.actions), np.array(mask, dtype=bool))

    @property
    def masks(self) -> NDArray[np.bool_]:
        """The mask of each point, shape (COUNT, K)."""
        return np.broadcast_to(self.mask, self.points.shape)
