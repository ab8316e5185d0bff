"""A thread that fetches batches ahead into a queue. Planted: the reciprocal of a depth of 0."""

import os
import queue
import threading

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Prefetcher:
    """The batches of a loader, up to two of them ahead."""

    def __init__(self, loader):
        self.loader = loader

    def __iter__(self):
        waiting = queue.Queue(maxsize=2)
        threading.Thread(target=self.fill, args=(waiting,), daemon=True).start()
        while (batch := waiting.get()) is not None:
            yield batch

    def fill(self, waiting):
        for batch in self.loader:
            waiting.put(batch)
        waiting.put(None)


torch.manual_seed(0)
depth = torch.rand(40, 2) + 0.5
if "HEALTHY" not in os.environ:
    depth[27, 0] = 0.0
model = nn.Linear(2, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

for (inputs,) in Prefetcher(DataLoader(TensorDataset(depth), batch_size=4)):
    disparity = torch.reciprocal(inputs)  # origin
    loss = (model(disparity) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(model, optimizer)
