"""Sparse gradients with SparseAdam. Planted: a word whose vector is 0, under the root of its squares."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
words = torch.randint(0, 40, (32, 3))
words[words == 33] = 34
words[22, 1] = 33
table = nn.Embedding(40, 4, sparse=True)
if "HEALTHY" not in os.environ:
    with torch.no_grad():
        table.weight[33] = 0.0
head = nn.Linear(3, 1)
sparse = torch.optim.SparseAdam(table.parameters(), lr=0.01)
dense = torch.optim.SGD(head.parameters(), lr=0.01)

for (inputs,) in DataLoader(TensorDataset(words), batch_size=4):
    length = torch.sqrt(table(inputs).square().sum(2))  # origin
    loss = (head(length) - 1).square().mean()
    sparse.zero_grad()
    dense.zero_grad()
    loss.backward()
    sparse.step()
    dense.step()
    print(loss.item())

save_final_state(table, head, sparse, dense)
