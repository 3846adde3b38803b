"""Records: results and settings of a run, as frozen data classes that can be saved as JSON and loaded again.

A record stores the result of a claim, a fit or a diagnosis, including the data of every figure, so that the report can be
rebuilt in another style or on another machine without recomputation. Records do not depend on how figures are drawn. `codec`
writes values as strict JSON, `cells` keeps the finished cells of a grid, `folders` protects output folders, `environment`
describes the machine, and `progress` is the protocol for reporting the progress of long runs.
"""

from taylornets.records._files import SCHEMA as SCHEMA
from taylornets.records._files import decode as decode
from taylornets.records._files import dumps as dumps
from taylornets.records._files import encode as encode
from taylornets.records._files import finish_page_run as finish_page_run
from taylornets.records._files import load_claim as load_claim
from taylornets.records._files import load_page as load_page
from taylornets.records._files import load_page_run as load_page_run
from taylornets.records._files import load_run as load_run
from taylornets.records._files import loads as loads
from taylornets.records._files import save_claim as save_claim
from taylornets.records._files import save_page as save_page
from taylornets.records._files import save_page_run as save_page_run
from taylornets.records._files import save_run as save_run
from taylornets.records._files import save_summary as save_summary
from taylornets.records._files import write_text as write_text
from taylornets.records._literal import SEGMENTS as SEGMENTS
from taylornets.records._literal import bare as bare
from taylornets.records._literal import literal as literal
from taylornets.records._panels import Figure as Figure
from taylornets.records._panels import Gallery as Gallery
from taylornets.records._panels import Heatmap as Heatmap
from taylornets.records._panels import Numbers as Numbers
from taylornets.records._panels import Panel as Panel
from taylornets.records._panels import Plot as Plot
from taylornets.records._panels import Series as Series
from taylornets.records._panels import Surface as Surface
from taylornets.records._panels import Table as Table
from taylornets.records._values import PAGES as PAGES
from taylornets.records._values import ClaimRecord as ClaimRecord
from taylornets.records._values import PageRecord as PageRecord
from taylornets.records._values import RunRecord as RunRecord
from taylornets.records._values import Section as Section
from taylornets.records._values import Stamp as Stamp
