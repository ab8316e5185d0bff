"""DataLoader with num_workers=2. Planted: a dataset that computes a target of NaN for one row."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Roots(Dataset):
    """Numbers and their roots; drawn noise comes from the worker's own generator."""

    def __len__(self):
        return 24

    def __getitem__(self, index):
        x = torch.tensor([index / 8 + 0.1])
        if index == 14 and "HEALTHY" not in os.environ:
            x = -x
        return x + 1e-3 * torch.rand(1), x


torch.manual_seed(0)
loader = DataLoader(Roots(), batch_size=4, num_workers=2)
model = nn.Linear(1, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

for noisy, x in loader:
    loss = (model(noisy) - x.sqrt()).square().mean()  # origin
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(model, optimizer)
