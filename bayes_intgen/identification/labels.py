"""Labels of regimes."""

from collections.abc import Sequence


def regime_label(actions: Sequence[str]) -> str:
    """Label of a regime, from the actions that it sets.

    Examples
    --------
    >>> regime_label(["red", "green"]), regime_label([])
    ('do(red, green)', 'observational')
    """
    return f"do({', '.join(actions)})" if actions else "observational"


def mask_label(names: Sequence[str], mask: Sequence[bool]) -> str:
    """Label of a regime, from its mask.

    Examples
    --------
    >>> mask_label(["red", "green"], [False, True])
    'do(green)'
    """
    return regime_label([name for name, was_set in zip(names, mask, strict=True) if was_set])
