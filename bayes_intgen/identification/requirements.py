"""Requirements of the additive model on the rows near a point."""

from collections.abc import Sequence
from typing import NamedTuple

from bayes_intgen.identification.masks import Mask


class Requirement(NamedTuple):
    """Requirement of rows near a point, for one function in the mean.

    Attributes
    ----------
    action : int
        The action to whose contribution the function belongs.
    inputs : tuple of int
        The actions on which the function depends.
    regimes : tuple of int
        Positions of regimes, any one of which suffices.
    """

    action: int
    inputs: tuple[int, ...]
    regimes: tuple[int, ...]


def requirements(
    parents: Sequence[Sequence[int]], masks: Sequence[Mask], target: Mask
) -> list[Requirement]:
    """List the requirements of the additive model under a target mask.

    Examples
    --------
    >>> masks = [(False, False), (True, False), (False, True)]
    >>> requirements([[], [0]], masks, (True, False))
    [Requirement(action=0, inputs=(0,), regimes=(1,)), \
Requirement(action=1, inputs=(1, 0), regimes=(0, 1))]
    """
    return [
        Requirement(
            k,
            (k,) if was_set else (k, *parents[k]),
            tuple(i for i, mask in enumerate(masks) if mask[k] == was_set),
        )
        for k, was_set in enumerate(target)
    ]
