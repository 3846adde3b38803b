"""Tables from CSV, Parquet and NPZ files, and the data sets bundled with scikit-learn.

    table = read("houses.csv", Reading(drop=("id",)))
    table.frame  # numbers as float64, strings as objects; missing values are NaN

Files are treated as untrusted. File size, number of columns and unpacked size are checked before reading, no content is
executed (no pickle), and any defect raises an `ArgumentError` that names its location.
"""

from taylornets.datafiles._read import bundled as bundled
from taylornets.datafiles._read import read as read
from taylornets.datafiles._table import LIMITS as LIMITS
from taylornets.datafiles._table import DataTable as DataTable
from taylornets.datafiles._table import Limits as Limits
from taylornets.datafiles._table import Reading as Reading
