"""Tables from files: CSV, Parquet, NPZ, and the sets that come with scikit-learn.

    table = read("houses.csv", Reading(drop=("id",)))
    table.frame  # numbers as float64 with NaN where one is missing, texts as objects

What comes from a file is not trusted. Its size, the number of its columns and what it unpacks to are checked before it is
read; nothing in it is executed (no pickle); and whatever is wrong with it ends in one `ArgumentError` that says where.
"""

from taylornets.datafiles._read import bundled as bundled
from taylornets.datafiles._read import read as read
from taylornets.datafiles._table import LIMITS as LIMITS
from taylornets.datafiles._table import DataTable as DataTable
from taylornets.datafiles._table import Limits as Limits
from taylornets.datafiles._table import Reading as Reading
