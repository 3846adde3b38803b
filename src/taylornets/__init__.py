"""Taylor models of wide neural networks of any order, beyond the neural tangent kernel."""

from taylornets.expansion import cost as cost
from taylornets.expansion import explain as explain
from taylornets.expansion import linearize as linearize
from taylornets.expansion import taylor_expand as taylor_expand
from taylornets.expansion import taylor_terms as taylor_terms
