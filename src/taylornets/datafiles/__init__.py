"""Tables from CSV, Parquet and NPZ files, and the data sets bundled with scikit-learn.

    table = read("houses.csv", Reading(drop=("id",)))
    table.frame  # numbers as float64, strings as objects, dates as datetime64; missing values are NaN or NaT
    table.infos  # how each column was read

The kind of each column is inferred in one place (`_kinds`), so that a CSV file, a Parquet file, an NPZ file and a data frame
with the same values give the same table. No value is changed in silence: a column is read without loss, or `infos` says how
it was read, or an error names the option that reads it.

Files are treated as untrusted. File size, number of columns and unpacked size are checked before reading, no content is
executed (no pickle), and any defect raises an `ArgumentError` that names its location.
"""

from taylornets.datafiles._arrow import from_frame as from_frame
from taylornets.datafiles._read import bundled as bundled
from taylornets.datafiles._read import read as read
from taylornets.datafiles._read import scan as scan
from taylornets.datafiles._table import LIMITS as LIMITS
from taylornets.datafiles._table import ColumnInfo as ColumnInfo
from taylornets.datafiles._table import DataTable as DataTable
from taylornets.datafiles._table import Limits as Limits
from taylornets.datafiles._table import Reading as Reading
from taylornets.datafiles._words import CERTAIN_WORDS as CERTAIN_WORDS
from taylornets.datafiles._words import POSSIBLE_WORDS as POSSIBLE_WORDS
