"""BatchNorm and dropout, with a validation loop in eval mode between epochs. Planted: the root of a variance of 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

torch.manual_seed(0)
x = torch.randn(60, 4)
if "HEALTHY" not in os.environ:
    x[44:48] = 0.3  # all rows of one batch are equal, in the second epoch
data = TensorDataset(x)
validation = DataLoader(Subset(data, range(12)), batch_size=6)
model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4), nn.Dropout(0.3))
head = nn.Linear(4, 2)
optimizer = torch.optim.SGD([*model.parameters(), *head.parameters()], lr=0.01)

for epoch in range(2):
    model.train()
    part = Subset(data, range(12 + 24 * epoch, 36 + 24 * epoch))
    for (inputs,) in DataLoader(part, batch_size=4):
        spread = torch.sqrt(head(inputs).var(0))  # origin
        loss = model(inputs).square().mean() + (spread - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(epoch, loss.item())
    model.eval()
    with torch.no_grad():
        errors = [model(inputs).square().mean().item() for (inputs,) in validation]
    print(epoch, "validation", sum(errors) / len(errors))

save_final_state(model, head, optimizer)
