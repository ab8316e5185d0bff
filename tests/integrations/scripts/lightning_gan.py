"""A small GAN with two optimizers by hand under Lightning's Trainer. FAULT plants one fault."""

import hashlib
import os

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

FAULT = os.environ.get("FAULT", "")
BAD_ROW = 53


class GAN(lightning.LightningModule):
    """A generator and a critic, each with its own optimizer, which `training_step` drives by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        self.critic = nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))

    def training_step(self, batch: list[Tensor], _index: int) -> None:
        """The critic first, then the generator."""
        (rows,) = batch
        critics, generators = self.optimizers()
        made = self.generator(torch.randn(len(rows), 4))
        loss = F.softplus(-self.critic(rows)).mean() + F.softplus(self.critic(made.detach())).mean()
        if FAULT == "critic":
            loss = loss + (self.critic(rows) / rows.norm(dim=1, keepdim=True)).mean()  # origin: critic
        critics.zero_grad()
        self.manual_backward(loss)
        self.clip_gradients(critics, gradient_clip_val=1.0)
        critics.step()
        loss = F.softplus(-self.critic(made)).mean()
        if FAULT == "generator":
            loss = loss + (rows.norm(dim=1) * made.square().sum(dim=1)).sqrt().mean()  # origin: generator
        generators.zero_grad()
        self.manual_backward(loss)
        generators.step()
        self.log("generator_loss", loss)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One for each."""
        return [torch.optim.Adam(m.parameters(), lr=1e-3) for m in (self.critic, self.generator)]


def bits(model: nn.Module) -> str:
    """A digest of every parameter."""
    content = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def main() -> None:
    """Train for two epochs."""
    lightning.seed_everything(0, verbose=False)
    rows = torch.randn(80, 3)
    if FAULT:
        rows[BAD_ROW] = 0.0
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    model = GAN()
    trainer.fit(model, DataLoader(TensorDataset(rows), batch_size=8))
    print("trained", float(trainer.callback_metrics["generator_loss"]).hex(), bits(model))


if __name__ == "__main__":
    main()
