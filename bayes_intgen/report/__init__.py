"""Report of a fit: one self-contained HTML file with an explorer of joint effects."""

from bayes_intgen.report.page import write_report

__all__ = ["write_report"]
