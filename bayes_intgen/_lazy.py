"""SciPy and narwhals, imported at their first use: most questions to a saved fit need neither."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    import narwhals as nw
    import scipy
else:
    nw, scipy = map(lazy_loader.load, ("narwhals", "scipy"))

__all__ = ["nw", "scipy"]
