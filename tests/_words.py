"""Words of Python, which the command line must not print, and of the command line."""

import re

PYTHON = re.compile(
    r"\b(bi|posterior|models|frame|np|az)[.\[]\w|\bdata\.\w+\(|\w='|=(True|False|None)\b|=\[|=\{"
)
COMMAND_LINE = re.compile(r"(?<![\w-])--[a-z]|bayes-intgen [a-z]")
