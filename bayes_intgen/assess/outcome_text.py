"""Sentences about outcomes that are binary, counts, or products."""

import numpy as np

from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of


def outcome_lines(posterior: PosteriorDraws) -> tuple[str, ...]:
    """Say what effects are, unless contributions add up to numbers on a continuous scale."""
    if posterior.model.link == "log":
        return (
            f"A positive outcome that multiplies: contributions add up to "
            f"{posterior.predictor_name}; effects are means of {posterior.outcome_name} itself.",
        )
    if posterior.outcome_kind == "count":
        return (
            "A count: effects are means, and outcomes are drawn as counts with the identified "
            "variance.",
        )
    if posterior.outcome_kind == "continuous":
        return ()
    lines = ["Zeros and ones: effects are probabilities of a one, which add up over the actions."]
    outside = share_outside(posterior)
    if outside:
        share = "less than 1%" if outside < 0.01 else f"{outside:.0%}"
        lines.append(
            f"With all actions set, part of the 90% interval lies outside [0, 1] at {share} of the "
            "reference rows; probabilities of single outcomes are clipped."
        )
    return tuple(lines)


def share_outside(posterior: PosteriorDraws) -> float:
    """Share of reference rows at which the 90% interval of the joint effect leaves [0, 1]."""
    reference = support_of(posterior).reference
    if reference is None:
        return 0.0
    points = np.concatenate(reference.rows)
    mean = prediction_of(posterior).mean(points, np.ones(points.shape, dtype=bool))
    low, high = np.quantile(mean, [0.05, 0.95], axis=(0, 1))
    return float(((low < 0) | (high > 1)).mean())
