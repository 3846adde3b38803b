"""Two-layer networks, their closed-form Taylor terms, and features prepared once per data set (theory 1).

With `u_r = ⟨w0_r, x⟩` and `v_r = ⟨w_r, x⟩` the network `m^{-1/2} Σ_r a_r σ(u_r + v_r)` has the terms
`f^(k) = m^{-1/2} Σ_r a_r σ^{(k)}(u_r)/k! · v_r^k`. All of them, and the network itself, are an elementwise function
of `v` contracted with the signs: a *response*. All responses share one implementation of the pass over the data, so each costs
one matrix product forward and one backward.
"""

from taylornets.two_layer._brackets import Bracket as Bracket
from taylornets.two_layer._brackets import tensor_bracket as tensor_bracket
from taylornets.two_layer._brackets import unit_brackets as unit_brackets
from taylornets.two_layer._network import TwoLayerNetwork as TwoLayerNetwork
from taylornets.two_layer._network import widened as widened
from taylornets.two_layer._passes import RowBlocks as RowBlocks
from taylornets.two_layer._passes import fold_blocks as fold_blocks
from taylornets.two_layer._passes import map_blocks as map_blocks
from taylornets.two_layer._prepared import Block as Block
from taylornets.two_layer._prepared import Prepared as Prepared
from taylornets.two_layer._prepared import prepare as prepare
from taylornets.two_layer._prepared import prepare_checked as prepare_checked
from taylornets.two_layer._responses import BlockFeatures as BlockFeatures
from taylornets.two_layer._responses import Full as Full
from taylornets.two_layer._responses import Network as Network
from taylornets.two_layer._responses import Projections as Projections
from taylornets.two_layer._responses import Response as Response
from taylornets.two_layer._responses import Taylor as Taylor
from taylornets.two_layer._responses import Term as Term
from taylornets.two_layer._responses import contract as contract
from taylornets.two_layer._rows import HostRows as HostRows
from taylornets.two_layer._rows import blocks_of as blocks_of
from taylornets.two_layer._rows import failures_raised as failures_raised
from taylornets.two_layer._rows import is_rows as is_rows
from taylornets.two_layer._suprema import moment_matrices as moment_matrices
from taylornets.two_layer._suprema import moment_vectors as moment_vectors
from taylornets.two_layer._suprema import unit_suprema as unit_suprema
from taylornets.two_layer._suprema import weighted_moments as weighted_moments
