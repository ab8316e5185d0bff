"""A variational autoencoder in a loop of its user's own with Accelerate. FAULT plants one fault."""

import hashlib
import os

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

FAULT = os.environ.get("FAULT", "")
BAD_ROW = 45


class VAE(nn.Module):
    """One layer to the latent, one back."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(6, 4)
        self.decode = nn.Linear(2, 6)

    def forward(self, x: Tensor) -> Tensor:
        """The negative evidence bound of each row, averaged."""
        mean, log_variance = self.encode(x).chunk(2, dim=1)
        latent = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        rebuilt = (self.decode(latent) - x).square().sum(dim=1)
        divergence = (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1) / 2
        length = x.square().sum(dim=1)
        if FAULT == "forward":
            rebuilt = rebuilt / length  # origin: forward
        if FAULT == "backward":
            divergence = divergence + (length * mean.square().sum(dim=1)).sqrt()  # origin: backward
        if FAULT == "half":
            divergence = divergence + (rebuilt.half() * 60000).float()  # origin: half
        return (rebuilt + 0.1 * divergence).mean()


def bits(model: nn.Module) -> str:
    """A digest of every parameter."""
    content = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def main() -> None:
    """Train for two epochs."""
    torch.manual_seed(2)
    x = torch.randn(60, 6)
    if FAULT in ("forward", "backward"):
        x[BAD_ROW] = 0.0
    if FAULT == "data":
        x[BAD_ROW, 2] = torch.nan
    accelerator = Accelerator(
        cpu=True,
        mixed_precision=os.environ.get("PRECISION", "no"),
        gradient_accumulation_steps=int(os.environ.get("ACCUMULATE", "1")),
    )
    model, loader = VAE(), DataLoader(TensorDataset(x), batch_size=10, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 5)
    model, optimizer, loader, schedule = accelerator.prepare(model, optimizer, loader, schedule)
    for _ in range(2):
        for (rows,) in loader:
            with accelerator.accumulate(model):
                loss = model(rows)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
    accelerator.print("trained", loss.item().hex(), bits(model))


if __name__ == "__main__":
    main()
