"""Libraries that are imported at their first use.

Most questions to a saved fit need neither SciPy nor narwhals. A fit needs HDF5 only to be saved or
loaded, and NumPyro only to compile a program that no earlier process has compiled.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    import h5py
    import narwhals as nw
    import numpyro
    import scipy
else:
    h5py, nw, numpyro, scipy = map(lazy_loader.load, ("h5py", "narwhals", "numpyro", "scipy"))

__all__ = ["h5py", "numpyro", "nw", "scipy"]
