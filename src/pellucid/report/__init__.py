"""Layer 4: a run told on one page, readable on a phone, in the dark, by a screen reader and without a network."""

from .blocks import Chart, Numbers, Picture, ReportData, Section, Series, Table, Text, Verdict
from .build import report_data, write_report
from .evaluation import Evaluation, Shown, read_evaluation, write_evaluation

__all__ = [
    "Chart",
    "Evaluation",
    "Numbers",
    "Picture",
    "ReportData",
    "Section",
    "Series",
    "Shown",
    "Table",
    "Text",
    "Verdict",
    "read_evaluation",
    "report_data",
    "write_evaluation",
    "write_report",
]
