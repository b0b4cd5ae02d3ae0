"""Settings of the sampler."""

from dataclasses import dataclass
from typing import Literal, get_args

from bayes_intgen._arguments import one_of, probability, whole_number

Method = Literal["nuts", "laplace"]

_MINIMUM = {"chains": 1, "draws": 4, "warmup": 10, "seed": 0}


@dataclass(frozen=True)
class SamplerSettings:
    """Validated settings of the sampler; :func:`bayes_intgen.fit` describes each field.

    Raises
    ------
    ModelError
        If a setting is out of range.
    """

    seed: int = 0
    chains: int = 4
    draws: int | None = None
    warmup: int = 75
    target_accept: float = 0.7
    simplify: bool = True
    progress: bool = True
    method: Method = "nuts"

    def __post_init__(self) -> None:
        for name, minimum in _MINIMUM.items():
            value = getattr(self, name)
            if name == "draws" and value is None:
                continue
            # Settings are stored as JSON, which does not support NumPy integers.
            object.__setattr__(self, name, whole_number(value, name, minimum))
        accept = probability(self.target_accept, "target_accept")
        object.__setattr__(self, "target_accept", accept)
        one_of(self.method, "method", get_args(Method))
        for name in ("simplify", "progress"):
            object.__setattr__(self, name, bool(getattr(self, name)))
