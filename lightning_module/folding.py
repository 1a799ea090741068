"""The numbers that are shipped: batch norms folded into the convolutions before them, then rounded to 16 bits.

Were they rounded first, a graph that folds them would compute with other numbers than the network it was made from.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import fx, nn


def fold_and_round(network: nn.Module) -> nn.Module:
    """Change the network in place, in evaluation mode: a folded batch norm only adds, and weights fit 16 bits."""
    network.float().eval()
    with torch.no_grad():
        for convolution, norm in _pairs(network.get_submodule("backbone")):
            _fold(convolution, norm)
        for parameter in network.parameters():
            rounded = parameter.half().float()
            if parameter.ndim > 1 and rounded.isfinite().all():
                parameter.copy_(rounded)
    return network


def _pairs(backbone: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    modules = dict(backbone.named_modules())
    for node in fx.symbolic_trace(backbone).graph.nodes:
        if node.op != "call_module" or not isinstance(modules[node.target], nn.BatchNorm2d):
            continue
        [source] = node.args
        convolution = modules.get(str(source.target)) if source.op == "call_module" else None
        if isinstance(convolution, nn.Conv2d) and len(source.users) == 1:
            yield convolution, modules[node.target]


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    bias = norm.bias - norm.running_mean.double() * scale
    if convolution.bias is not None:
        bias += convolution.bias * scale
        convolution.bias.zero_()
    convolution.weight.copy_(convolution.weight.double() * scale.view(-1, 1, 1, 1))
    norm.weight.fill_(1.0)
    norm.bias.copy_(bias)
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0 - norm.eps)
