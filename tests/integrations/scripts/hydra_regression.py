"""A program that Hydra configures. FAULT plants one fault."""

import hashlib
import os

import hydra
import torch
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

FAULT = os.environ.get("FAULT", "")
BAD_ROW = 53
DEFAULTS = ["_self_", {"override hydra/job_logging": "none"}]
HYDRA = {"output_subdir": None, "run": {"dir": "."}}
ConfigStore.instance().store("config", {"defaults": DEFAULTS, "rate": 0.01, "epochs": 2, "hydra": HYDRA})


@hydra.main(version_base=None, config_name="config")
def main(config: DictConfig) -> None:
    """Train."""
    torch.manual_seed(0)
    rows = torch.randn(80, 3)
    if FAULT == "forward":
        rows[BAD_ROW] = 0.0
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=config.rate)
    for _ in range(config.epochs):
        for (x,) in DataLoader(TensorDataset(rows), batch_size=8):
            error = (model(x) - x.sum(dim=1, keepdim=True)).square()
            if FAULT == "forward":
                error = error / x.square().sum(dim=1, keepdim=True)  # origin: forward
            loss = error.mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    content = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
    print("trained", loss.item().hex(), hashlib.blake2b(content, digest_size=8).hexdigest())


if __name__ == "__main__":
    main()
