"""The training entry `fit`."""

from taylornets._fit._fit import fit as fit
from taylornets._fit._fit import minimize as minimize
from taylornets._fit._methods import METHODS as METHODS
from taylornets._fit._methods import default_method as default_method
from taylornets._fit._methods import natural_point as natural_point
from taylornets._fit._methods import small_start as small_start
from taylornets._fit._result import FitError as FitError
from taylornets._fit._result import FitHistory as FitHistory
from taylornets._fit._result import FitResult as FitResult
from taylornets._fit._result import Status as Status
