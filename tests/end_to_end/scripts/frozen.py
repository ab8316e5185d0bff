"""A frozen backbone and an unused layer, both in the optimizer. Planted: the root of a code that is 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Tuned(nn.Module):
    """Only the head learns; the second head waits for a later stage."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4, affine=False), nn.Tanh())
        self.backbone.requires_grad_(requires_grad=False)
        self.head = nn.Linear(4, 3, bias=False)
        self.later = nn.Linear(4, 2)

    def forward(self, x):
        width = self.head(self.backbone(x)).square().sum(1)
        return torch.sqrt(width)  # origin


torch.manual_seed(0)
x = torch.rand(40, 3) + 0.5
if "HEALTHY" not in os.environ:
    x[22] = 0.0
model = Tuned()
model.backbone.eval()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)

for (inputs,) in DataLoader(TensorDataset(x), batch_size=5):
    loss = (model(inputs) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(model, optimizer)
