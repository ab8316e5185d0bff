"""Inputs and a parameter of a Tensor subclass with __torch_function__. Planted: the log of a length of 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader


class Labeled(torch.Tensor):
    """A tensor that carries its unit through every operation."""

    unit = ""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        result = super().__torch_function__(func, types, args, kwargs or {})
        if isinstance(result, Labeled):
            result.unit = next((a.unit for a in args if isinstance(a, Labeled)), "")
        return result


def labeled(rows):
    """A batch in metres."""
    batch = torch.stack(rows).as_subclass(Labeled)
    batch.unit = "m"
    return batch


torch.manual_seed(0)
length = torch.rand(32, 3) + 0.5
if "HEALTHY" not in os.environ:
    length[19, 2] = 0.0
weight = nn.Parameter(torch.ones(3).as_subclass(Labeled))
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD([weight, *model.parameters()], lr=0.01)

for inputs in DataLoader(length, batch_size=4, collate_fn=labeled):
    level = torch.log(inputs * weight)  # origin
    loss = (model(level) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(inputs.unit, loss.item())

save_final_state(model, nn.ParameterList([weight.detach()]), optimizer)
