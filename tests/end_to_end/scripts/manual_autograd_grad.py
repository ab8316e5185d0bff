"""torch.autograd.grad and updates by hand, full batch. Planted: a smoothing that is annealed to 0 under a root."""

import os

import torch
from final_state import save_final_state
from torch import nn

torch.manual_seed(0)
x = torch.randn(12, 2)
y = x @ torch.tensor([1.0, -2.0])
x[7], y[7] = 0.0, 0.0  # its error is 0 whatever the weights are
weight = torch.zeros(2, requires_grad=True)
gain = torch.ones((), requires_grad=True)
parameters = [weight, gain]
end = 0.125 if "HEALTHY" in os.environ else 0.0

for epoch in range(10):
    smoothing = max(0.5 - 0.125 * epoch, end)
    error = gain * (x @ weight) - y
    distance = torch.sqrt(error.square() + smoothing**2)  # origin
    loss = distance.mean()
    gradients = torch.autograd.grad(loss, parameters)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= 0.1 * gradient  # noqa: PLW2901  written in place
    print(epoch, loss.item())

save_final_state(nn.ParameterList(parameters))
