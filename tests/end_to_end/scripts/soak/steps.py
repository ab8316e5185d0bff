"""Many steps of a small model. FAULTS plants a log of 0 in so many batches, spread evenly; memory is printed twice."""

import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

num_steps, num_faults = int(sys.argv[1]), int(sys.argv[2])
warm = num_steps // 10


def resident_pages():
    """Pages of this process in memory."""
    with open("/proc/self/statm") as status:  # noqa: PTH123  it is no file to look for
        return int(status.read().split()[1])


torch.manual_seed(0)
x = torch.rand(num_steps, 4, 8) + 0.5
for fault in range(num_faults):
    x[num_steps * fault // num_faults + 7, 2, :] = 0.0
model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for done, (inputs,) in enumerate(DataLoader(TensorDataset(x), batch_size=None, shuffle=True), start=1):
    target = inputs.sum(dim=1, keepdim=True).log()  # origin
    loss = (model(inputs) - target).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if done == warm:
        print("begin", resident_pages())
print("end", resident_pages())
