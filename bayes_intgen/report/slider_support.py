"""Support of the steps of a slider: beside the default point, and together with other steps."""

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.posterior.defaults import levels_of
from bayes_intgen.posterior.draws import PosteriorDraws, support_of

# Reasons why a position is not supported; the first that applies is shown.
REASONS = (
    "",
    "never set in an experiment",
    "no experiment sets this level",
    "outside the range of its experiments",
    "between the values of its experiments",
    "not observed there without being set",
    "too few regimes reach this value",
    "no regimes reach it together with the other values",
)


def starting_step(grid: Array, value: float, within: NDArray[np.bool_]) -> int:
    """Step nearest to a value, among the supported ones if there are any."""
    gaps = np.abs(grid - value)
    return int(np.where(within, gaps, np.inf).argmin() if within.any() else gaps.argmin())


def reasons_against(
    posterior: PosteriorDraws, default: Array, action: int, grid: Array
) -> NDArray[np.int_]:
    """Reasons against support of the joint effect along an action, the others at the default.

    Steps that are supported beside the default point are supported together if all of them are
    linked: see :func:`linked_steps`. Actions that interact also need support of their combination:
    see :func:`bayes_intgen.report.pairs.pairs_of`, which checks each pair with the other actions at
    the default point. The support of all actions jointly is in ``posterior.support``.

    Returns
    -------
    ndarray of int, shape (steps,)
        Positions in :data:`REASONS`; 0 where the effect is supported.
    """
    points = np.tile(default, (len(grid), 1))
    points[:, action] = grid
    all_set = np.ones(len(posterior.actions), dtype=bool)
    support = support_of(posterior)
    reference, verdict = support.reference, support.verdict(points, all_set)
    regimes = zip(reference.rows, reference.masks, strict=True)
    settings = [rows[:, action] for rows, mask in regimes if mask[action]]
    values = np.concatenate(settings) if settings else np.array([np.inf, -np.inf])
    outside = (grid < values.min()) | (grid > values.max())
    linked = support.linked(np.concatenate([points, default[None]]), all_set)
    applies = (
        np.full(len(grid), not settings),
        ~verdict.close[:, action] & (levels_of(posterior)[action] is not None),
        ~verdict.close[:, action] & outside,
        ~verdict.close[:, action],
        ~verdict.separated[:, action] & ~verdict.without_setting[:, action],
        ~verdict.separated[:, action],
        ~(linked[:-1] & linked[-1]),
    )
    return np.select(applies, range(1, len(REASONS)), 0)


def linked_steps(
    posterior: PosteriorDraws, default: Array, action: int, grid: Array
) -> NDArray[np.bool_]:
    """Whether the regimes link each step whatever the steps of the other actions, shape (steps,).

    Rows near a point may support it although the regimes do not link its values elsewhere. Such
    support does not extend to combinations with other values.
    """
    points = np.tile(default, (len(grid) + 1, 1))
    points[:-1, action] = grid
    all_set = np.ones(points.shape[1], dtype=bool)
    linked = support_of(posterior).linked(points, all_set, nearby=False)
    return np.asarray(linked[:-1] & linked[-1])
