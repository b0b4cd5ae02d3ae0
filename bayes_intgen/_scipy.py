"""SciPy, imported at its first use: most questions to a saved fit need none of it."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    import scipy
else:
    scipy = lazy_loader.load("scipy")

__all__ = ["scipy"]
