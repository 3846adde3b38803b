"""Reproduction: the claims of the theory and the runner that tests them."""

from taylornets.reproduction._reproduce import reproduce as reproduce
