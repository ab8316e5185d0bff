"""Data drawn in the loop with np.random and random. Planted: the root of a negative count, now and then."""

import os
import random

import numpy as np
import torch
from final_state import save_final_state
from torch import nn

random.seed(0)
np.random.seed(0)  # noqa: NPY002  the legacy global state is the point
torch.manual_seed(0)
model = nn.Linear(4, 1)
optimizer = torch.optim.RMSprop(model.parameters(), lr=0.001)
offset = 50.0 if "HEALTHY" in os.environ else 2.2

for step in range(15):
    drawn = np.random.randn(6, 4)  # noqa: NPY002  the same
    counts = torch.from_numpy(drawn + offset + random.random()).float()
    loss = (model(torch.sqrt(counts)) - 1).square().mean()  # origin
    print(step, loss.item())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

save_final_state(model, optimizer)
