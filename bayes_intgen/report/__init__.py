"""A report of a fit: one HTML file that needs nothing else, with an explorer of joint effects."""

from bayes_intgen.report.page import write_report

__all__ = ["write_report"]
