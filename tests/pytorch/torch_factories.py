"""Factories of `taylornets diagnose` that return PyTorch modules."""

import copy

import torch
from torch import nn


def _pair():
    torch.manual_seed(0)
    before = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.LayerNorm(16), nn.Linear(16, 3)).eval()
    after = copy.deepcopy(before)
    with torch.no_grad():
        for value in after.parameters():
            value.add_(0.05 * torch.randn(value.shape))
    return before, after, torch.randn(6, 5)


def two_states():
    return _pair()


def checkpoints():
    before, after, x = _pair()
    half = {
        name: (a + b) / 2 for (name, a), b in zip(before.state_dict().items(), after.state_dict().values(), strict=True)
    }
    return before, [before, half, after], x


def alone():
    return _pair()[0]


def training():
    before, after, x = _pair()
    return before.train(), after, x


def far_apart():
    """A series that does not converge at the end."""
    before, _, x = _pair()
    after = copy.deepcopy(before)
    with torch.no_grad():
        for value in after.parameters():
            value.add_(torch.randn(value.shape))
    return before, after, x
