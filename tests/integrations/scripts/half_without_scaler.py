"""float16 under autocast without a scaler. FAULT plants one fault."""

import hashlib
import os

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

FAULT = os.environ.get("FAULT", "")
BAD_ROW = 53

torch.manual_seed(0)
rows = torch.randn(80, 3)
if FAULT == "forward":
    rows[BAD_ROW] = 3e3
model = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
for _ in range(2):
    for (x,) in DataLoader(TensorDataset(rows), batch_size=8):
        with torch.autocast("cpu", torch.float16):
            error = model(x) - x.sum(dim=1, keepdim=True).half()
            loss = error.square().mean()  # origin: forward
        whole = loss.float()  # origin: backward
        if FAULT == "backward":
            whole = whole * 1e6
        optimizer.zero_grad()
        whole.backward()
        optimizer.step()
content = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
print("trained", loss.item().hex(), hashlib.blake2b(content, digest_size=8).hexdigest())
