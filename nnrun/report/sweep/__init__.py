"""What a sweep found, as one self-contained page and as static pictures."""

from nnrun.report.sweep.page import page
from nnrun.report.sweep.pictures import figures
from nnrun.report.sweep.subject import SweepRecord

__all__ = ["SweepRecord", "figures", "page"]
