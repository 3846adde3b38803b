"""Models of a user's table: what `taylornets fit`, `predict` and `certify` compute.

Read (`taylornets.datafiles`), pose the problem, prepare the columns, train down a path of penalties, save, compare with other
models on the same rows, and keep what was found as a record, from which `taylornets.report` makes the page.
"""

from taylornets.experiments.tabular._learn import Settings as Settings
from taylornets.experiments.tabular._run import Fitted as Fitted
from taylornets.experiments.tabular._run import Request as Request
from taylornets.experiments.tabular._run import fit as fit
from taylornets.experiments.tabular._saved import MODEL as MODEL
from taylornets.experiments.tabular._saved import Predictions as Predictions
from taylornets.experiments.tabular._saved import Proof as Proof
from taylornets.experiments.tabular._saved import certify as certify
from taylornets.experiments.tabular._saved import predict as predict
from taylornets.experiments.tabular._words import verdict as verdict
