"""A regression under Lightning's Trainer with the options that people set. FAULT plants one fault."""

import hashlib
import json
import os

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, RichProgressBar
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

FAULT = os.environ.get("FAULT", "")
OPTIONS = json.loads(os.environ.get("OPTIONS", "{}"))
BAD_ROW = 53


class Regression(lightning.LightningModule):
    """Two layers; the error of each row is weighted by its size."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))

    def training_step(self, batch: list[Tensor], _index: int) -> Tensor:
        """The weighted error."""
        rows = batch[0].to(self.layers[0].weight.dtype)
        error = (self.layers(rows) - rows.sum(dim=1, keepdim=True)).square()
        size = rows.square().sum(dim=1, keepdim=True)
        if FAULT == "forward":
            error = error / size  # origin: forward
        if FAULT == "half":
            error = error + (self.layers(rows) * 60000).square() * 1e-9  # origin: half
        loss = error.mean()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], _index: int) -> None:
        """The error, which is lost in the second epoch where that is planted."""
        rows = batch[0].to(self.layers[0].weight.dtype)
        error = (self.layers(rows) - rows.sum(dim=1, keepdim=True)).square().mean()
        self.log("val_loss", error * torch.nan if FAULT == "validation" and self.current_epoch == 1 else error)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain, so that 16 bits bear it."""
        return torch.optim.SGD(self.parameters(), lr=1e-2)


def bits(model: nn.Module) -> str:
    """A digest of every parameter."""
    content = b"".join(p.detach().float().numpy().tobytes() for p in model.parameters())
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def main() -> None:
    """Train for three epochs."""
    lightning.seed_everything(0, verbose=False)
    rows = torch.randn(80, 3)
    if FAULT == "forward":
        rows[BAD_ROW] = 0.0
    bars = [RichProgressBar()] if os.environ.get("BARS") else []
    trainer = lightning.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False,
        enable_progress_bar=bool(bars), callbacks=[EarlyStopping("val_loss", patience=1), *bars], **OPTIONS,
    )  # fmt: skip
    model = Regression()
    trainer.fit(
        model, DataLoader(TensorDataset(rows), batch_size=8), DataLoader(TensorDataset(rows[:16]), batch_size=8)
    )
    print("trained", trainer.current_epoch, float(trainer.callback_metrics["train_loss"]).hex(), bits(model))


if __name__ == "__main__":
    main()
