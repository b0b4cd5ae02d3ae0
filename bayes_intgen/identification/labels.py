"""Regimes in words."""

from collections.abc import Sequence


def regime_label(chosen: Sequence[str]) -> str:
    """A regime in words, from the actions that it sets.

    Examples
    --------
    >>> regime_label(["red", "green"]), regime_label([])
    ('do(red, green)', 'observational')
    """
    return f"do({', '.join(chosen)})" if chosen else "observational"


def mask_label(names: Sequence[str], mask: Sequence[bool]) -> str:
    """A regime in words, from a mask of all actions.

    Examples
    --------
    >>> mask_label(["red", "green"], [False, True])
    'do(green)'
    """
    return regime_label([name for name, was_set in zip(names, mask, strict=True) if was_set])
