"""The one family of exceptions and warnings that the package raises."""

from pathlib import Path

# Warnings point at the code that called the package, not at the package.
PACKAGE = str(Path(__file__).parent)


class BayesIntgenError(ValueError):
    """Base of every error raised on purpose by `bayes_intgen`."""


class DataError(BayesIntgenError):
    """The rows cannot be used as they are; the message names the column or value."""


class ModelError(BayesIntgenError):
    """A model's specification contradicts itself or the data it is fitted to."""


class PointsError(BayesIntgenError):
    """Query points, grids or intervened sets that do not fit the fitted model."""


class SavedFitError(BayesIntgenError):
    """A saved fit cannot be read: truncated, foreign, or written by a newer version."""


class BayesIntgenWarning(UserWarning):
    """Base of every warning issued by `bayes_intgen`."""


class DataWarning(BayesIntgenWarning):
    """The rows can be used, but answers from them may be wrong for a reason that is named."""


class LackOfFitWarning(BayesIntgenWarning):
    """The rows show structure that the model does not follow; answers may be wrong there."""


class SupportWarning(BayesIntgenWarning):
    """Rows near a query do not identify its answer, or no rows at all could."""


class SamplingWarning(BayesIntgenWarning):
    """The sampler's output is not yet fit for use; the message says what to do."""
