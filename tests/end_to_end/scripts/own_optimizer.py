"""A fault born in the update. Planted: an optimizer of one's own that divides by a gradient's norm of 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class NormalisedDescent(torch.optim.Optimizer):
    """Steps of the same length, whatever the gradient."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):  # noqa: ARG002  the base class has it
        for group in self.param_groups:
            for parameter in group["params"]:
                direction = parameter.grad / parameter.grad.norm()  # origin
                parameter.sub_(group["lr"] * direction)


torch.manual_seed(0)
x = torch.rand(24, 3) + 0.1
if "HEALTHY" not in os.environ:
    x[12:16] = 0.0
model = nn.Linear(3, 1, bias=False)
optimizer = NormalisedDescent(model.parameters(), lr=0.01)

for (inputs,) in DataLoader(TensorDataset(x), batch_size=4):
    loss = (model(inputs) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(model, optimizer)
