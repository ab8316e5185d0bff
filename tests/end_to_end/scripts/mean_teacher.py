"""A teacher of averaged weights takes part in the loss. Planted: the root of a distance that is 0 in one row."""

import copy
import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.rand(32, 3) + 0.5
if "HEALTHY" not in os.environ:
    x[21] = 0.0  # without biases, student and teacher agree there
student = nn.Linear(3, 2, bias=False)
head = nn.Linear(2, 1)
teacher = copy.deepcopy(student).requires_grad_(requires_grad=False)
with torch.no_grad():
    teacher.weight.add_(0.5)
optimizer = torch.optim.SGD([*student.parameters(), *head.parameters()], lr=0.01)

for (inputs,) in DataLoader(TensorDataset(x), batch_size=4):
    seen = student(inputs)
    with torch.no_grad():
        taught = teacher(inputs)
    distance = torch.sqrt((seen - taught).square().sum(1))  # origin
    loss = (head(seen) - 1).square().mean() + (distance + head(taught).squeeze(1)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        teacher.weight.lerp_(student.weight, 0.1)
    print(loss.item())

save_final_state(student, teacher, head, optimizer)
