"""Defaults of parameters that a docstring documents together: to each its own, not the first's."""

from typing import Any

from griffe import DocstringSectionKind, Extension, Function


class OwnDefaults(Extension):
    """Gives documented parameters the defaults that the signature says."""

    def on_function(self, *, func: Function, **_: Any) -> None:
        for section in func.docstring.parsed if func.docstring else ():
            if section.kind is DocstringSectionKind.parameters:
                for documented in section.value:
                    if documented.name in func.parameters:
                        documented.default = func.parameters[documented.name].default
