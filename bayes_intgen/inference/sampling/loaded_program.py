"""Compiled programs for the CPU, run by jaxlib alone.

Importing JAX takes a quarter of a second, and a process that has imported it ends later, too. A
program that is compiled already only needs jaxlib. Its interface is not public, so that any
surprise in loading a program is a reason to compile it with JAX instead.
"""

import json
import os
import sys
from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._jax import start_process


class ArrayType(NamedTuple):
    """Shape and type of an array, with the names that jaxlib reads."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    weak_type: bool = False


class _CPU(NamedTuple):
    """Client of the processor, its device, and the placement of arrays there."""

    client: Any
    device: Any
    sharding: Any


# A process has one client: a program of another one cannot take its arrays.
_STARTING = Lock()


class LoadedProgram:
    """Compiled program that takes and returns arrays.

    Parameters
    ----------
    executable : bytes
        As jaxlib serialises it.
    outputs : sequence of ArrayType
        Of the arrays that the program returns.
    """

    def __init__(self, executable: bytes, outputs: Sequence[ArrayType]) -> None:
        start_process()
        cpu = _cpu()

        from jaxlib import xla_client

        devices = xla_client.DeviceList((cpu.device,))
        self._executable = cpu.client.deserialize_executable(
            executable, devices, xla_client.CompileOptions()
        )
        self._handlers = [
            xla_client.array_result_handler(output, cpu.sharding, True) for output in outputs
        ]

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Load a program from the result of :func:`to_bytes`."""
        header, _, executable = content.partition(b"\n")
        outputs = [ArrayType(tuple(shape), np.dtype(name)) for shape, name in json.loads(header)]
        return cls(executable, outputs)

    def __call__(self, arguments: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Run the program."""
        from jaxlib import xla_client

        start_process()
        cpu = _cpu()
        placed = [
            xla_client.batched_device_put(
                ArrayType(each.shape, each.dtype),
                cpu.sharding,
                [each],
                [cpu.device],
                enable_x64=True,
            )
            for each in (np.asarray(argument, order="C") for argument in arguments)
        ]
        results = self._executable.execute_sharded(placed).consume_with_handlers(self._handlers)
        # A copy of a view, which an array of jaxlib gives without JAX.
        return [np.array(memoryview(each)) for each in results]


def to_bytes(compiled: Any) -> bytes:
    """Serialise a compiled function of JAX that uses all its arguments and returns arrays.

    Parameters
    ----------
    compiled : jax.stages.Compiled
    """
    outputs = [(list(each.shape), np.dtype(each.dtype).name) for each in compiled.out_info]
    executable: bytes = compiled.runtime_executable().serialize()
    return json.dumps(outputs).encode() + b"\n" + executable


def _cpu() -> _CPU:
    """Client of this process, which the first of all threads to need it starts."""
    with _STARTING:
        return _started_cpu()


@cache
def _started_cpu() -> _CPU:
    """Start jaxlib's client of the processor, and look up LAPACK for programs that call it."""
    # jaxlib writes a line about every client to the standard error, unless a variable that JAX sets
    # at import tells it not to.
    name, level = "TF_CPP_MIN_LOG_LEVEL", "1"
    is_set = name in os.environ
    os.environ.setdefault(name, level)
    try:
        from jaxlib import lapack, xla_client

        lapack.prepare_lapack_call("potrf_ffi", np.float64)  # type: ignore[no-untyped-call]
        if "jax" not in sys.modules:
            for platform, targets in lapack.registrations().items():
                for target, function, version in targets:
                    xla_client.register_custom_call_target(target, function, platform, version)
        client: Any = xla_client.make_cpu_client()
    finally:
        if not is_set:
            del os.environ[name]
    device = client.devices()[0]
    return _CPU(client, device, xla_client.SingleDeviceSharding(device))
