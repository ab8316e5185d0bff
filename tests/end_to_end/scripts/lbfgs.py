"""LBFGS with a closure, full batch. Planted: a step so long that a Poisson rate becomes negative under its log."""

import os

import torch
from final_state import save_final_state
from torch import nn

torch.manual_seed(0)
x = torch.rand(20, 2) + 0.1
counts = torch.poisson(3 * x.sum(1))
weight = nn.Parameter(torch.tensor([0.5, 8.0]))
faulty = "HEALTHY" not in os.environ
optimizer = torch.optim.LBFGS([weight], lr=2.0 if faulty else 0.05, max_iter=2)


def closure():
    """The loss and its gradients at the present weights."""
    optimizer.zero_grad()
    rate = x @ weight
    log_rate = torch.log(rate)  # origin
    loss = (rate - counts * log_rate).mean()
    loss.backward()
    print("  closure", loss.item())
    return loss


for epoch in range(6):
    loss = optimizer.step(closure)
    print(epoch, loss.item())

save_final_state(nn.ParameterList([weight]), optimizer)
