"""Number of threads of BLAS during computations in parallel threads."""

from contextlib import AbstractContextManager
from threading import Lock

from threadpoolctl import ThreadpoolController


class _SingleThread(AbstractContextManager[None]):
    """One thread for BLAS while any of several overlapping computations runs.

    The limit holds for the whole process: overlapping limits would restore each other's.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                # Looking for the libraries takes milliseconds: once suffices.
                self._libraries = ThreadpoolController()
                self._release_control()
                self._limits = self._libraries.limit(limits=1, user_api="blas")
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._release_control()
                self._limits.restore_original_limits()
                self._release_control()

    def _release_control(self) -> None:
        """Let this thread set the limit, which threadpoolctl reserves to the first that did."""
        for library in self._libraries.lib_controllers:
            if clear := getattr(library, "clear_controlling_thread", None):
                clear(force=True)


_SINGLE_THREAD = _SingleThread()


def single_blas_thread() -> AbstractContextManager[None]:
    """Limit BLAS to one thread, in all threads of the process, until the last user has finished.

    Examples
    --------
    >>> with single_blas_thread():
    ...     product = np.ones((2, 2)) @ np.ones((2, 2))
    """
    return _SINGLE_THREAD
