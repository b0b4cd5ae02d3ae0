"""Entry to JAX: double precision, in a process and on a platform that can run it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import jax

from bayes_intgen.errors import BayesIntgenError

# Processes that have started JAX, of which a forked child inherits its parent's.
_STARTED: set[int] = set()


@contextmanager
def double_precision() -> Iterator[None]:
    """Compute in double precision, leaving JAX's own setting as it is.

    Raises
    ------
    BayesIntgenError
        In a process forked from one that has used JAX, whose threads it lacks: it would wait for
        them forever. Also if JAX's platform is not available.
    """
    if _STARTED and os.getpid() not in _STARTED:
        raise BayesIntgenError(
            "this process was forked from one that had used JAX, and would hang; start processes "
            'with multiprocessing.get_context("spawn")'
        )
    if not _STARTED:
        _start()
    with jax.enable_x64(True):
        yield


def _start() -> None:
    """Start JAX, and record the process."""
    try:
        jax.local_devices()
    except (RuntimeError, AssertionError) as error:
        platforms = jax.config.jax_platforms or os.environ.get("JAX_PLATFORMS")
        raise BayesIntgenError(
            f"JAX cannot start on the platform {platforms!r}"
            f"{f' ({error})' if str(error) else ''}; set JAX_PLATFORMS=cpu"
        ) from error
    _STARTED.add(os.getpid())
