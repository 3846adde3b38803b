"""Learning problems and the test errors of models on them: cells, data, and regularization paths (theory 8)."""

from taylornets.learning._cell import FIELDS as FIELDS
from taylornets.learning._cell import MODELS as MODELS
from taylornets.learning._cell import Cell as Cell
from taylornets.learning._cell import describe as describe
from taylornets.learning._data import INPUTS as INPUTS
from taylornets.learning._data import TARGETS as TARGETS
from taylornets.learning._learn import draw as draw
from taylornets.learning._learn import run_cell as run_cell
from taylornets.learning._paths import Step as Step
from taylornets.learning._paths import padded_objective as padded_objective
from taylornets.learning._paths import penalty_path as penalty_path
