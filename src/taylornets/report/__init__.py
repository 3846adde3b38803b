"""Reports: turns saved records into figures, tables, and a single page that opens offline.

This package reads `taylornets.records` and computes nothing else. The same records give the same bytes on any machine with
the same version of matplotlib.
"""

from taylornets.report._text import brief as brief
from taylornets.report._text import seconds as seconds
from taylornets.report._write import write_report as write_report
