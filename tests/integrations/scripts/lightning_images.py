"""An image classifier under Lightning's Trainer, as its users write it. FAULT plants one fault; none without it."""

import hashlib
import os

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

FAULT = os.environ.get("FAULT", "")
BAD_IMAGE = 53


class Classifier(lightning.LightningModule):
    """Two layers, batch normalisation, and a loss that has room for a fault."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(4 * 64, 5)

    def training_step(self, batch: list[Tensor], _index: int) -> Tensor:
        """Cross-entropy, and whatever FAULT adds to it."""
        images, labels = batch
        features = self.features(images)
        loss = F.cross_entropy(self.head(features), labels)
        contrast = (images.flatten(1) - images.flatten(1).mean(dim=1, keepdim=True)).square().sum(dim=1)
        if FAULT == "forward":
            loss = loss + (features.mean(dim=1) / contrast).mean()  # origin: forward
        if FAULT == "backward":
            loss = loss + (contrast * features.sum(dim=1).square()).sqrt().mean() * 1e-3  # origin: backward
        if FAULT == "half":
            loss = loss + (self.head(features * 1000).half() * 300).square().mean().float() * 1e-9  # origin: half
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], _index: int) -> None:
        """Cross-entropy alone."""
        images, labels = batch
        self.log("val_loss", F.cross_entropy(self.head(self.features(images)), labels))

    def configure_optimizers(self) -> dict[str, object]:
        """Adam and a schedule."""
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)}


def images() -> TensorDataset:
    """Noise; under a fault one image has no contrast, or a value that is not a number."""
    x, y = torch.randn(80, 1, 8, 8), torch.randint(5, (80,))
    if FAULT in ("forward", "backward"):
        x[BAD_IMAGE] = 0.5
    if FAULT == "data":
        x[BAD_IMAGE, 0, 3, 3] = torch.nan
    return TensorDataset(x, y)


def bits(model: nn.Module) -> str:
    """A digest of every parameter."""
    content = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def main() -> None:
    """Train for two epochs."""
    lightning.seed_everything(0, verbose=False)
    data = images()
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", devices=int(os.environ.get("DEVICES", "1")),
        strategy=os.environ.get("STRATEGY", "auto"), logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    model = Classifier()
    trainer.fit(model, DataLoader(data, batch_size=8), DataLoader(TensorDataset(*data[:16]), batch_size=8))
    print("trained", f"{float(trainer.callback_metrics['train_loss']).hex()}", bits(model))


if __name__ == "__main__":
    main()
