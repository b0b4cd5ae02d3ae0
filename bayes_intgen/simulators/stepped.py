"""Effects that step, oscillate or bend: thresholds, sigmoids, sines, hinges, U shapes."""

from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
from scipy.special import expit

from bayes_intgen._typing import Array
from bayes_intgen.errors import ModelError
from bayes_intgen.simulators.confounded import signed
from bayes_intgen.simulators.normal_actions import NormalActions, standard_actions

Shape = Literal["step", "sigmoid", "sine 1", "sine 2", "hinge", "u"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
# Slope of the sigmoid per standard deviation of an action.
SIGMOID_SLOPE = 12.0


@dataclass(frozen=True, eq=False)
class Stepped(NormalActions):
    """Normal actions whose effects share one shape.

    With z = a - turn_k, in standard deviations of the action, effect_k is size_k times

    - ``step``: 1 where z > 0, otherwise 0;
    - ``sigmoid``: expit(12 z);
    - ``sine 1``, ``sine 2``: sin(2 pi z / period) / 2, with a period of 1 or 2;
    - ``hinge``: max(z, 0), one bend;
    - ``u``: z^2 / 2, with its minimum at the turn.

    Under do an action is normal with mean zero and standard deviation set_sd_k.

    Attributes
    ----------
    names, graph, hidden, action_sd
        As in :class:`NormalActions`.
    shape : str
    size, turn : ndarray, shape (K,)
        Size of the effect, and the value of its step, turn or bend.
    set_sd : ndarray, shape (K,)
    """

    shape: Shape
    size: Array
    turn: Array
    set_sd: Array

    @classmethod
    def random(cls, count: int, seed: int, *, shape: Shape = "step") -> Self:
        """A random model with ``count`` actions, all of one shape.

        Raises
        ------
        ModelError
            For an unknown shape.

        Examples
        --------
        >>> world = bi.simulators.Stepped.random(1, seed=0)
        >>> below, above = world.joint_effect([world.turn - 0.01, world.turn + 0.01])
        >>> bool(np.isclose(above - below, world.size[0]))
        True
        """
        if shape not in SHAPES:
            raise ModelError(
                f"unknown shape {shape!r}; choose one of {', '.join(map(repr, SHAPES))}"
            )
        rng = np.random.default_rng(seed)
        names, graph, hidden, action_sd = standard_actions(count, rng)
        return cls(
            names,
            graph,
            hidden,
            action_sd,
            shape=shape,
            size=signed(1, 2, count, rng),
            turn=rng.uniform(-0.5, 0.5, count),
            set_sd=rng.uniform(0.8, 1.2, count),
        )

    def draw_setting(self, action: int, rows: int, rng: np.random.Generator) -> Array:
        return np.asarray(rng.normal(size=rows) * self.set_sd[action])

    def effect_of(self, action: int, values: Array) -> Array:
        z = values - self.turn[action]
        if self.shape == "step":
            curve = np.where(z > 0, 1.0, 0.0)
        elif self.shape == "sigmoid":
            curve = expit(SIGMOID_SLOPE * z)
        elif self.shape == "hinge":
            curve = np.maximum(z, 0.0)
        elif self.shape == "u":
            curve = z**2 / 2
        else:
            curve = np.sin(2 * np.pi * z / float(self.shape.removeprefix("sine "))) / 2
        return np.asarray(self.size[action] * curve)
