"""Reproduction: the claims of the theory and the runner that checks them."""

from taylornets.reproduction._reproduce import reproduce as reproduce
