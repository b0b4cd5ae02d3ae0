"""Sentences about outcomes that are binary, counts or products, or that lie far from the fit."""

import numpy as np

from bayes_intgen.inference.pilot.far_outcomes import FarOutcomes, far_outcomes_in_words
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of


def outcome_lines(posterior: PosteriorDraws) -> tuple[str, ...]:
    """Say what effects are, and which outcomes lie far from the fit."""
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
        return tuple(f"{line[0].upper()}{line[1:]}." for line in far_outcome_lines(posterior))
    lines = ["Zeros and ones: effects are probabilities of a one, which add up over the actions."]
    outside = share_outside(posterior)
    if outside:
        share = "less than 1%" if outside < 0.01 else f"{outside:.0%}"
        lines.append(
            f"With all actions set, part of the 90% interval lies outside [0, 1] at {share} of the "
            "reference rows; probabilities of single outcomes are clipped."
        )
    return tuple(lines)


def far_outcome_lines(posterior: PosteriorDraws) -> list[str]:
    """Say how many outcomes lie how far from a fit with Gaussian noise; empty if none do."""
    far = FarOutcomes.of_dataset(posterior.tree["constant_data"].dataset)
    return [] if far is None else [far_outcomes_in_words(far, repr(posterior.outcome_name))]


def share_outside(posterior: PosteriorDraws) -> float:
    """Share of reference rows at which the 90% interval of the joint effect leaves [0, 1]."""
    points = np.concatenate(support_of(posterior).reference.rows)
    mean = prediction_of(posterior).mean(points, np.ones(points.shape, dtype=bool))
    low, high = np.quantile(mean, [0.05, 0.95], axis=(0, 1))
    return float(((low < 0) | (high > 1)).mean())
