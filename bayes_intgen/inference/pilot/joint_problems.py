"""Sentences on lack of fit in two columns together."""

from collections.abc import Sequence
from typing import NamedTuple

from bayes_intgen.text.messages import quoted

# Maximum number of pairs that a sentence names.
MAX_PAIRS = 2


class JointTest(NamedTuple):
    """Failed test of an action and another column together.

    Attributes
    ----------
    action : str
    role : {"interaction", "bias", "slope"}
    p : float
        P value.
    given : str
        The other action, or the grouping whose groups differ in slope.
    """

    action: str
    role: str
    p: float
    given: str


def joint_problems(failed: Sequence[JointTest]) -> list[str]:
    """Report all pairs of actions in one sentence, and each grouping in one.

    What the fit does not follow in a pair of actions may be an interaction or a bias.

    Examples
    --------
    >>> joint_problems([JointTest("tv", "slope", 1e-5, "region")])[0][-52:]
    "pass groups={'region': ['level', 'tv']} to the model"
    """
    sentences = []
    slopes = [test for test in failed if test.role == "slope"]
    pairs = [test for test in failed if test.role != "slope"]
    if pairs:
        every = {frozenset((test.action, test.given)): test for test in pairs}
        named = [f"{test.action!r} and {test.given!r}" for test in every.values()]
        named[MAX_PAIRS:] = [f"{len(named) - MAX_PAIRS} more pairs"] * (len(named) > MAX_PAIRS)
        sentences.append(
            f"the fit does not follow {', '.join(named)} together "
            f"({p_text(min(test.p for test in pairs))}): the outcome changes faster than the "
            "model's functions can. Intervals may be too narrow there; plot both, or cut one into "
            "bi.Levels()"
        )
    for grouping in dict.fromkeys(test.given for test in slopes):
        own = [test for test in slopes if test.given == grouping]
        actions = [test.action for test in own]
        sentences.append(
            f"the groups of {grouping!r} respond differently to {quoted(actions)} "
            f"({p_text(min(test.p for test in own))}), so that answers depend on where experiments "
            f"ran; pass groups={{{grouping!r}: {['level', *actions]!r}}} to the model"
        )
    return sentences


def p_text(p: float) -> str:
    """P value as text; small ones are rounded up."""
    return f"p {'<' if p < 1e-4 else '='} {max(p, 1e-4):.1g}"
