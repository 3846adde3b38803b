"""Reproduction: the claims of the theory and the runner that checks them."""

from taylornets.reproduction._reproduce import reproduce as reproduce
from taylornets.reproduction._running import Listener as Listener
from taylornets.reproduction._running import Silent as Silent
