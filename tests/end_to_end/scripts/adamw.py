"""AdamW, not fused. Planted: the branch that `where` did not select has an infinite slope."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.rand(32, 4) + 0.5
if "HEALTHY" not in os.environ:
    x[22] = 0.0


class Rate(nn.Module):
    """A positive rate, and 0 where there is no input."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))

    def forward(self, inputs):
        total = (inputs * self.weight).sum(1)
        root = total.pow(0.5)  # origin
        return torch.where(total > 0, root, torch.zeros_like(root))


model = Rate()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=False)
for (inputs,) in DataLoader(TensorDataset(x), batch_size=4):
    loss = (model(inputs) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(model, optimizer)
