"""Fits from files."""

import os

from bayes_intgen.api.posterior import Posterior
from bayes_intgen.posterior.storage import load_tree


def load(path: str | os.PathLike[str]) -> Posterior:
    """Read a posterior that ``Posterior.save`` wrote.

    Parameters
    ----------
    path : path

    Returns
    -------
    Posterior
        Its predictions equal those of the saved one to the last bit.

    Raises
    ------
    SavedFitError
        Where the file is truncated, is no saved fit, or was written by a newer version.
    FileNotFoundError
        Where there is no such file.

    Examples
    --------
    >>> posterior.save(folder / "fit.nc")
    >>> load(folder / "fit.nc").actions == posterior.actions
    True
    """
    return Posterior(load_tree(path))
