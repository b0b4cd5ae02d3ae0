"""Load saved fits."""

import os

from bayes_intgen.api.posterior import Posterior
from bayes_intgen.posterior.storage import load_draws


def load(path: str | os.PathLike[str]) -> Posterior:
    """Load a posterior that :meth:`Posterior.save` wrote.

    Parameters
    ----------
    path : path

    Returns
    -------
    Posterior
        Its predictions are identical to those of the saved posterior.

    Raises
    ------
    SavedFitError
        If the file is truncated or damaged, is not a saved fit, or was written by another version.
        Pipes, devices and folders are refused at once.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> posterior.save(folder / "fit.nc")
    >>> load(folder / "fit.nc").actions == posterior.actions
    True
    """
    return load_draws(path, Posterior)
