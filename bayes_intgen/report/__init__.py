"""Report of a fit: one self-contained HTML file with an explorer of joint effects."""

from bayes_intgen.report.page import page_of

__all__ = ["page_of"]
