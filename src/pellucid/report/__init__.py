"""Layer 4: a run told on one page, readable on a phone, in the dark, by a screen reader and without a network."""

from .blocks import (
    Chart,
    Gallery,
    Interval,
    Intervals,
    Numbers,
    Picture,
    ReportData,
    Section,
    Series,
    Table,
    Text,
    Verdict,
)
from .build import duration, report_data, write_report
from .evaluation import Evaluation, Shown, read_evaluation, write_evaluation
from .page import render

__all__ = [
    "Chart",
    "Evaluation",
    "Gallery",
    "Interval",
    "Intervals",
    "Numbers",
    "Picture",
    "ReportData",
    "Section",
    "Series",
    "Shown",
    "Table",
    "Text",
    "Verdict",
    "duration",
    "read_evaluation",
    "render",
    "report_data",
    "write_evaluation",
    "write_report",
]
