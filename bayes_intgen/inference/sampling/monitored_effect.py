"""Monitored effect: the mean outcome at some rows of the data, whose draws must converge."""

from typing import NamedTuple, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._labelled import labelled_dataset
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Rows
from bayes_intgen.models import Model
from bayes_intgen.models.prediction import Prediction

N_POINTS = 20


def every_nth(rows: Array) -> Array:
    """Select ``N_POINTS`` evenly spaced rows, the first and the last included."""
    return np.asarray(rows[np.linspace(0, len(rows) - 1, N_POINTS).astype(int)])


def monitored_effect(
    prediction: Prediction, points: Array, masks: NDArray[np.bool_]
) -> xr.DataArray:
    """Compute draws of the mean outcome at points and masks of shape (M, K), without warnings.

    Rows at the edge of their regime may be unsupported.
    """
    effect = prediction.mean(points, masks)
    coords = {"point": np.arange(len(points))}
    return labelled_dataset({"effect": (("chain", "draw", "point"), effect)}, coords)["effect"]


class MonitoredEffect(NamedTuple):
    """Points and mask of the monitored effect.

    Attributes
    ----------
    points : ndarray, shape (N_POINTS, K)
        Rows in memory, evenly spaced.
    mask : ndarray of bool, shape (K,)
        Actions that are set: all, or those of an observed regime if the joint effect is not
        identified.
    """

    points: Array
    mask: NDArray[np.bool_]

    @classmethod
    def of(cls, data: Rows, model: Model) -> Self:
        """Choose the effect to monitor in a fit of this model to these data."""
        regimes = tuple(data.regimes)
        joint = (True,) * len(data.names)
        mask = joint if model.identifies(regimes, joint) else regimes[0]
        return cls(every_nth(data.in_memory.actions), np.array(mask, dtype=bool))

    @property
    def masks(self) -> NDArray[np.bool_]:
        """Mask of each point, shape (N_POINTS, K)."""
        return np.broadcast_to(self.mask, self.points.shape)
