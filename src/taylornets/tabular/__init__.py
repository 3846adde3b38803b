"""Models of a user's table: the computations behind `taylornets fit`, `predict` and `certify`.

A fit reads the table (`taylornets.datafiles`), defines the problem, preprocesses the columns, trains along a regularization
path, saves the model, compares it with baselines on the same rows, and saves the results as a record, from which
`taylornets.report` builds the page.
"""

from taylornets.tabular._budget import COMPARING as COMPARING
from taylornets.tabular._budget import CURVE as CURVE
from taylornets.tabular._budget import budget as budget
from taylornets.tabular._compare import Comparison as Comparison
from taylornets.tabular._compare import compare_runs as compare_runs
from taylornets.tabular._export import export as export
from taylornets.tabular._model_file import Predictions as Predictions
from taylornets.tabular._model_file import Proof as Proof
from taylornets.tabular._model_file import certify as certify
from taylornets.tabular._model_file import predict as predict
from taylornets.tabular._model_table import MODEL as MODEL
from taylornets.tabular._path import FitSettings as FitSettings
from taylornets.tabular._problem import TableProblem as TableProblem
from taylornets.tabular._run import FitRequest as FitRequest
from taylornets.tabular._run import Fitted as Fitted
from taylornets.tabular._run import check_out as check_out
from taylornets.tabular._run import fit as fit
from taylornets.tabular._run import pose_request as pose_request
from taylornets.tabular._wording import verdict as verdict
