"""Records: what an experiment found and how it was run, as frozen data that survives a round trip through JSON.

A claim, a fit or a diagnosis computes; a record keeps the result, the numbers behind every figure included, so that the report
can be rebuilt, in another style or on another machine, without computing anything again. Nothing here knows how a figure is
drawn. `codec` writes values as strict JSON, `folders` guards the output folders, `environment` describes the machine, and
`progress` is the protocol that long runs report to.
"""

from taylornets.records._files import SCHEMA as SCHEMA
from taylornets.records._files import decode as decode
from taylornets.records._files import dumps as dumps
from taylornets.records._files import encode as encode
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
