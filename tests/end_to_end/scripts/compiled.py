"""torch.compile with inductor. Planted: inside the compiled module, the log of a mean that is 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Level(nn.Module):
    """A prediction on the log scale of the input."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, x):
        mean = x.mean(1, keepdim=True)
        level = torch.log(mean)  # origin
        return torch.tanh(self.layer(x)) + level


torch.manual_seed(0)
x = torch.rand(24, 3) + 0.1
if "HEALTHY" not in os.environ:
    x[14] = 0.0
model = torch.compile(Level())
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

for (inputs,) in DataLoader(TensorDataset(x), batch_size=4):
    loss = (model(inputs) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(model, optimizer)
