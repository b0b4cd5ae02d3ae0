"""Check of a checkout, in which bayes_intgen/models is a link to models."""

from pathlib import Path


def require_models() -> None:
    """Raise ImportError if bayes_intgen/models is a file, as Git writes it without symbolic links.

    Uses nothing outside the standard library: builds run it on its own.

    Examples
    --------
    >>> require_models()
    """
    models = Path(__file__).with_name("models")
    if models.is_file():
        raise ImportError(
            f"{models} is a file, not a link to the folder models: Git has checked it out without "
            "symbolic links. Turn them on (on Windows in developer mode) by "
            "git config core.symlinks true, delete the file, and restore the link by "
            "git checkout -- bayes_intgen/models"
        )
