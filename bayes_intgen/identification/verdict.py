"""Verdict on the support of points, and its wording in warnings."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories, spelled_label
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.identification.regimes import Mask, masks_of, spanned
from bayes_intgen.text.formats import shorter_number
from bayes_intgen.text.messages import BETWEEN, OUTSIDE, first_few, some_of


class Verdict(NamedTuple):
    """Conditions of support that hold at points; see docs/explanation/method.md for the conditions.

    Attributes
    ----------
    close : ndarray of bool, shape (M, K)
        Whether rows that require the same function of the action as the target are near.
    separated : ndarray of bool, shape (M, K)
        Whether the regimes that reach the action's value separate its functions.
    linked : ndarray of bool, shape (M,)
        Whether the regimes reach the values at common values of the other actions.
    without_setting : ndarray of bool, shape (M, K)
        Whether some regime that does not set the action reaches its value.
    together : ndarray of bool, shape (M, K)
        Whether the regimes that reach the values of the action and of each action with which it
        interacts separate their functions of both.
    between : ndarray of bool, shape (M, K)
        Whether an action that is set lies between the few values to which experiments set it, near
        none of them.
    """

    close: NDArray[np.bool_]
    separated: NDArray[np.bool_]
    linked: NDArray[np.bool_]
    without_setting: NDArray[np.bool_]
    together: NDArray[np.bool_]
    between: NDArray[np.bool_]

    @property
    def needs_met(self) -> NDArray[np.bool_]:
        """Whether each action's contribution is supported, shape (M, K)."""
        return self.close & self.separated & self.together & self.linked[:, None]

    @property
    def supported(self) -> NDArray[np.bool_]:
        """Whether the effect is supported, shape (M,)."""
        return np.asarray(self.needs_met.all(axis=1))

    @property
    def why(self) -> NDArray[np.str_]:
        """Why the effect is not supported, in few words, shape (M,); empty where it is."""
        missing = ~(self.close & self.separated)
        in_gaps = missing.any(axis=1) & (self.between | ~missing).all(axis=1)
        return np.where(self.supported, "", np.where(in_gaps, BETWEEN, OUTSIDE))


def biased_by(actions: Sequence[int], parents: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Actions whose biases are functions of an action, or of two that interact.

    The biases of two that interact depend on both if one is a parent of the other.

    Examples
    --------
    >>> biased_by([0], [[], [0]]), biased_by([1], [[], [0]]), biased_by([0, 1], [[1], [0]])
    ((0, 1), (1,), (0, 1))
    """
    biased = actions if len(actions) > 1 else range(len(parents))
    return tuple(j for j in biased if {*actions} <= {j, *parents[j]})


def separates(
    masks: Sequence[Mask],
    reached: NDArray[np.bool_],
    target: Mask,
    biased: Sequence[int],
) -> NDArray[np.bool_]:
    """Test whether regimes that reach values separate the functions of these, shape (M,).

    Parameters
    ----------
    masks : sequence of masks
    reached : ndarray of bool, shape (M, regimes)
        Whether each regime has rows near the values.
    target : mask
    biased : sequence of int
        Actions whose biases are functions of the values: :func:`biased_by`.

    Examples
    --------
    >>> masks = [(False, False), (True, False), (False, True)]
    >>> reached = np.array([[True, True, True], [False, True, False]])
    >>> separates(masks, reached, (True, True), [0, 1])
    array([ True, False])
    >>> separates(masks, reached, (True, True), [0])
    array([ True,  True])
    """
    columns, wanted = np.array(masks)[:, [*biased]], np.array(target)[[*biased]]
    # Every action must be as in the target in some regime; the target's own regime suffices.
    agrees = columns == wanted
    separated = np.asarray(reached[:, agrees.all(axis=1)].any(axis=1))
    possible = (reached.astype(np.float32) @ agrees.astype(np.float32) > 0).all(axis=1)
    open_ = np.flatnonzero(possible & reached.any(axis=1) & ~separated)
    if len(open_):
        distinct, own = masks_of(columns)
        near = reached[open_].astype(np.float32) @ (own[:, None] == np.arange(len(distinct))) > 0
        patterns, which = masks_of(near)
        separated[open_] = spanned(distinct, patterns, tuple(wanted.tolist()))[which]
    return separated


def words_of_verdict(
    names: Sequence[str],
    coordinates: Sequence[Coordinate],
    categories: Sequence[Categories | None],
    points: Array,
    target: Mask,
    verdict: Verdict,
    subject: str = "",
) -> str:
    """Message on unsupported points; empty if all points are supported.

    At each point an action is listed under the first reason that applies. ``subject`` names the
    points, if they are known by a name.
    """
    missing = int((~verdict.supported).sum())
    if not missing:
        return ""
    # Actions with their values, and number of points, for each reason.
    reasons: dict[str, tuple[list[str], int]] = {}
    columns = zip(names, coordinates, categories, strict=True)
    for k, (name, coordinate, levels) in enumerate(columns):
        failed = ~(verdict.close[:, k] & verdict.separated[:, k])
        low, high = coordinate.low, coordinate.high
        beyond = (points[:, k] < low) | (points[:, k] > high)
        between = np.zeros(len(points), bool) if levels is None else ~levels.covers(points[:, k])
        near = "no experiment near" if target[k] else "no rows near, with the others near theirs,"
        for reason, applies, where in (
            ("", beyond, f" is outside its range, {shorter_number(low)} to {shorter_number(high)}"),
            ("between levels:", between, ""),
            (f"{BETWEEN}:", verdict.between[:, k], ""),
            (near, ~verdict.close[:, k], ""),
            ("never observed without being set near", ~verdict.without_setting[:, k], ""),
            ("too few regimes reach", failed, ""),
        ):
            own = failed & applies
            failed &= ~applies
            if own.any():
                actions, count = reasons.get(reason, ([], 0))
                at = f"{name!r} = {_values_in_words(points[:, k], own, levels)}{where}"
                reasons[reason] = ([*actions, at], count + int(own.sum()))
    apart = int((~verdict.together).any(axis=1).sum())
    if apart:
        reasons["too few regimes reach the values of actions that interact together"] = ([], apart)
    if not verdict.linked.all():
        unlinked = int((~verdict.linked).sum())
        reasons["the regimes do not reach these values together"] = ([], unlinked)
    ordered = sorted(reasons.items(), key=lambda item: -item[1][1])
    listed = [f"{reason} {first_few(own, 2)}".strip() for reason, (own, _) in ordered]
    only = subject or "the point" * (len(points) == 1)
    subject = f"{only} is" if only else f"{missing} of {len(points)} points are"
    rest = "interpolate" if {*reasons} == {f"{BETWEEN}:"} else "rest on the prior"
    why = "; ".join(some_of(listed, 2, "other reasons: {}"))
    return f"{subject} not supported by the data, so answers {rest} ({why})"


def _values_in_words(values: Array, own: NDArray[np.bool_], levels: Categories | None) -> str:
    """Some of the values, as single ones or as ranges without any of the others."""
    distinct, which = np.unique(values, return_inverse=True)
    found = np.unique(which[own])
    if levels is not None:
        return " or ".join(map(spelled_label, levels.decode(distinct[found]).tolist()))
    ranges = np.split(found, np.flatnonzero(np.diff(found) > 1) + 1)
    words = []
    for ends in (distinct[part[[0, -1]]] for part in ranges):
        joint = " to " if len(found) > 2 else " or "
        words.append(joint.join(dict.fromkeys(map(shorter_number, ends.tolist()))))
    return " or ".join(words) if len(words) < 3 else first_few(words)
