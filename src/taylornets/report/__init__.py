"""The report: saved records become figures, tables, and one page that opens offline.

The room reads `taylornets.records` and computes nothing: the same records give the same bytes, on any machine with the
same version of matplotlib.
"""

from taylornets.report._text import brief as brief
from taylornets.report._text import seconds as seconds
from taylornets.report._write import write_report as write_report
