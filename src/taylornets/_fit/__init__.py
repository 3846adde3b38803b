"""The training entries `fit` and `fit_path`."""

from taylornets._fit._blocks import blocks_results as blocks_results
from taylornets._fit._fit import fit as fit
from taylornets._fit._memory import within_memory as within_memory
from taylornets._fit._methods import default_method as default_method
from taylornets._fit._minimize import minimize as minimize
from taylornets._fit._path import fit_path as fit_path
from taylornets._fit._path import regularization_path as regularization_path
from taylornets._fit._result import FitError as FitError
from taylornets._fit._result import FitHistory as FitHistory
from taylornets._fit._result import FitResult as FitResult
from taylornets._fit._status import Status as Status
from taylornets._fit._sum import sum_path as sum_path
from taylornets._fit._train import Rank as Rank
from taylornets._fit._train import close_gap as close_gap
