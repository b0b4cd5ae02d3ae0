"""Exceptions and warnings of the package."""

import warnings
from pathlib import Path

# Warnings point at the code that called the package, not at the package.
PACKAGE = str(Path(__file__).parent)


class BayesIntgenError(ValueError):
    """Base class of all errors that `bayes_intgen` raises deliberately."""


class DataError(BayesIntgenError):
    """Unusable rows; the message names the column or value."""


class ModelError(BayesIntgenError):
    """Model specification that contradicts itself or the data."""


class PointsError(BayesIntgenError):
    """Points, grids or intervened actions that do not match the fitted model."""


class SavedFitError(BayesIntgenError):
    """Unreadable saved fit: truncated, foreign, or written by another version."""


class BayesIntgenWarning(UserWarning):
    """Base class of all warnings that `bayes_intgen` issues."""


class DataWarning(BayesIntgenWarning):
    """Usable rows from which answers may be wrong; the message names the reason."""


class LackOfFitWarning(BayesIntgenWarning):
    """Structure in the rows that the model does not fit; answers may be wrong there."""


class SupportWarning(BayesIntgenWarning):
    """Effect that the rows near its point do not identify, or that no rows could identify."""


class SamplingWarning(BayesIntgenWarning):
    """Draws that are not reliable yet; the message names a remedy."""


def warn(text: str, category: type[BayesIntgenWarning]) -> None:
    """Issue a warning that points at the code that called the package."""
    warnings.warn(text, category, skip_file_prefixes=(PACKAGE,))
