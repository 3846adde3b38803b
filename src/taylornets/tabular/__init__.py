"""Models of a user's table: what `taylornets fit`, `predict` and `certify` compute.

Read (`taylornets.datafiles`), pose the problem, prepare the columns, train down a path of penalties, save, compare with other
models on the same rows, and keep what was found as a record, from which `taylornets.report` makes the page.
"""

from taylornets.tabular._model_file import MODEL as MODEL
from taylornets.tabular._model_file import Predictions as Predictions
from taylornets.tabular._model_file import Proof as Proof
from taylornets.tabular._model_file import certify as certify
from taylornets.tabular._model_file import predict as predict
from taylornets.tabular._path import FitSettings as FitSettings
from taylornets.tabular._run import FitRequest as FitRequest
from taylornets.tabular._run import Fitted as Fitted
from taylornets.tabular._run import fit as fit
from taylornets.tabular._wording import verdict as verdict
