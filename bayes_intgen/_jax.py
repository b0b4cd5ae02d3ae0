"""Entry to JAX: double precision, in a process and on a platform that can run it.

JAX takes a quarter of a second to import. This module does so only when it is entered, and a
process whose compiled programs are all in files never does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any

from bayes_intgen._lazy import jax
from bayes_intgen.errors import BayesIntgenError

# Processes that have run compiled programs, of which a forked child inherits its parent's.
_STARTED: set[int] = set()
# Settings of JAX where this package imported it, as environment variables determine them.
_OF_ENVIRONMENT: set[str] = set()


@contextmanager
def double_precision() -> Iterator[None]:
    """Compute in double precision, with JAX's defaults, leaving its own settings as they are.

    Whatever the caller allows JAX to promote or transfer, and with whatever precision it
    multiplies matrices, results are the same.

    Raises
    ------
    BayesIntgenError
        In a process forked from one that has run compiled programs. Also if JAX's platform is not
        available.
    """
    start_process()
    is_imported = "jax" in sys.modules
    try:
        jax.local_devices()
    except (RuntimeError, AssertionError) as error:
        platforms = jax.config.jax_platforms or os.environ.get("JAX_PLATFORMS")
        raise BayesIntgenError(
            f"JAX cannot start on the platform {platforms!r}"
            f"{f' ({error})' if str(error) else ''}; set JAX_PLATFORMS=cpu"
        ) from error
    if not is_imported:
        _OF_ENVIRONMENT.add(_settings())
    with (
        jax.enable_x64(True),
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
        jax.transfer_guard("allow"),
        jax.default_matmul_precision(None),
    ):
        yield


def start_process() -> None:
    """Record that this process runs compiled programs.

    Raises
    ------
    BayesIntgenError
        In a process forked from one that has, whose threads it lacks: it would wait for them
        forever.
    """
    if _STARTED and os.getpid() not in _STARTED:
        raise BayesIntgenError(
            "this process was forked from one that had fitted, and would hang; start processes "
            'with multiprocessing.get_context("spawn")'
        )
    _STARTED.add(os.getpid())


def changed_settings() -> str | None:
    """Settings of JAX, if others than environment variables may have determined them."""
    if "jax" not in sys.modules:
        return None
    settings = _settings()
    return None if settings in _OF_ENVIRONMENT else settings


def _settings() -> str:
    with jax.enable_x64(True):
        return repr(sorted((name, str(value)) for name, value in jax.config.values.items()))


def cpu_device() -> jax.Device | None:
    """First CPU of JAX; None if JAX is configured to use none."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return None


def with_derivative[**P, R](
    forward: Callable[P, tuple[R, Any]], backward: Callable[[Any, Any], tuple[Any, ...]]
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give a function its own derivative, as ``jax.custom_vjp`` does, without importing JAX yet.

    Parameters
    ----------
    forward : callable
        Returns the value of the function, and residuals.
    backward : callable
        From residuals and the cotangent of the value to those of the arguments.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @cache
        def with_vjp() -> Callable[P, R]:
            own = jax.custom_vjp(function)
            own.defvjp(forward, backward)
            return own

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return with_vjp()(*args, **kwargs)

        return call

    return decorate
