"""Requirements of the additive model on the regimes in the data."""

from collections.abc import Sequence
from typing import NamedTuple

from bayes_intgen.identification.masks import Mask


class Requirement(NamedTuple):
    """A function that a question asks about: of which actions, and which regimes show it.

    Attributes
    ----------
    action : int
        The action whose contribution it is.
    inputs : tuple of int
    regimes : tuple of int
        Positions of regimes, any of which will do.
    """

    action: int
    inputs: tuple[int, ...]
    regimes: tuple[int, ...]


def requirements(
    parents: Sequence[Sequence[int]], masks: Sequence[Mask], target: Mask
) -> list[Requirement]:
    """What the additive model asks of the regimes about a target regime.

    Examples
    --------
    >>> masks = [(False, False), (True, False), (False, True)]
    >>> requirements([[], [0]], masks, (True, False))
    [Need(action=0, inputs=(0,), regimes=(1,)), Need(action=1, inputs=(1, 0), regimes=(0, 1))]
    """
    return [
        Requirement(
            k,
            (k,) if was_set else (k, *parents[k]),
            tuple(i for i, mask in enumerate(masks) if mask[k] == was_set),
        )
        for k, was_set in enumerate(target)
    ]
