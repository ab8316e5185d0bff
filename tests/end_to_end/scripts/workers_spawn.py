"""DataLoader with a worker that is spawned. Planted: a dataset that gives one negative volume, under a root."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Volumes(Dataset):
    """Volumes with noise from the worker's own generator."""

    def __len__(self):
        return 20

    def __getitem__(self, index):
        volume = torch.tensor([index / 4 + 1.0])
        if index == 13 and "HEALTHY" not in os.environ:
            volume = -volume
        return volume + 1e-3 * torch.rand(1)


def main():
    """Train for one epoch."""
    torch.manual_seed(0)
    loader = DataLoader(Volumes(), batch_size=4, num_workers=1, multiprocessing_context="spawn")
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for volume in loader:
        edge = torch.sqrt(volume)  # origin
        loss = (model(edge) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(loss.item())
    save_final_state(model, optimizer)


if __name__ == "__main__":
    main()
