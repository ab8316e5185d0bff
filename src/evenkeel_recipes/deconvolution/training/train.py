"""Training with Lightning: the terms of each step, what is kept of them, and what the run leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.types import OptimizerConfig, OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.utils.data import DataLoader

from evenkeel.integrations.lightning import EvenkeelCallback
from evenkeel.metrics import Errors, Paired, reduced
from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.data.mixtures import Signature
from evenkeel_recipes.deconvolution.data.reference import Reference
from evenkeel_recipes.deconvolution.networks import losses
from evenkeel_recipes.deconvolution.networks.model import Autoencoder, BulkInput, Deconvolution, Encoded
from evenkeel_recipes.deconvolution.networks.streams import Batch, Cells, Pairs, training_loader, validation_loader
from evenkeel_recipes.deconvolution.science import Science
from evenkeel_recipes.deconvolution.training.averaging import Averaging
from evenkeel_recipes.deconvolution.training.checkpoints import FiniteCheckpoint
from evenkeel_recipes.deconvolution.training.progress import Progress
from evenkeel_recipes.deconvolution.training.samples import Prepared, Split

BEST = "val_metrics/prop_mae"


class Terms(NamedTuple):
    """The terms of the loss, unweighted."""

    recon: Tensor
    kl: Tensor
    proto: Tensor
    prop: Tensor
    bulk_recon: Tensor


def build(reference: Reference, signature: Signature, config: RunConfig, science: Science) -> Deconvolution:
    """A model that has learned nothing yet: its estimate is the mean of the likelihoods'."""
    mean, deviation = Cells(reference).moments()
    composed = torch.from_numpy(signature.composition).float()
    background = torch.from_numpy(signature.background).float()
    n_types, n_genes = composed.shape
    return Deconvolution(
        Autoencoder(mean, deviation, config.hidden, config.latent_dim, science.bounded),
        science.signature(composed, background),
        science.networks(n_genes, n_types, config),
        torch.from_numpy(signature.content).float(),
    )


class Training(LightningModule):
    """One step is a batch of cells beside a batch of bulk samples."""

    def __init__(self, model: Deconvolution, config: RunConfig, science: Science, steps: int) -> None:
        super().__init__()
        self.model = model
        self.config, self.science = config, science
        self.steps = steps
        self.seen: list[Tensor] = []  # losses of the proportions in this epoch
        self.agreement = Paired.empty(len(model.content))
        self.errors = Errors.empty(len(model.content))

    def terms(self, batch: Batch) -> Terms:
        """All terms of one batch."""
        model, science = self.model, self.science
        cells = science.cell_view(batch.cells)
        encoded: Encoded = model.autoencoder(cells)
        table = model.signature()
        logits = science.emitted(model.logits(bulk_input(batch)))
        shares = losses.shares_of(logits[-1], model.content)
        return Terms(
            recon=losses.cell_reconstruction(encoded.decoded, cells),
            kl=losses.divergence(encoded.mean, encoded.log_var),
            proto=losses.prototype(encoded.decoded, science.log_view(table)[batch.labels]),
            prop=science.proportion(logits, batch.fractions),
            bulk_recon=science.bulk_loss(shares, table, batch.observed, batch.negentropy),
        )

    def total(self, terms: Terms) -> Tensor:
        """The weighted sum; the divergence grows to its weight over the first epochs."""
        weights = self.science.weights
        warmth = min(1.0, (self.current_epoch + 1) / self.config.kl_warmup)
        bulk = terms.prop + weights.bulk_recon * terms.bulk_recon
        cells = terms.recon + weights.kl * warmth * terms.kl + weights.proto * terms.proto
        return cells + weights.bulk * bulk

    def on_train_epoch_start(self) -> None:
        """Noise and dropout depend on seed, epoch and rank alone, so that a resumed run draws what it would have."""
        torch.manual_seed(self.config.seed + 1000 * self.current_epoch + self.global_rank)
        self.seen.clear()

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The loss of a batch."""
        terms = self.terms(batch)
        loss = self.total(terms)
        self.seen.append(terms.prop.detach())
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.labels))
        self.log_dict(tagged(terms), on_step=False, on_epoch=True, batch_size=len(batch.labels))
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Losses of a batch, and its part of the metrics."""
        self.log("val_loss", self.total(self.terms(batch)), sync_dist=True, batch_size=len(batch.labels))
        fractions = self.science.emitted(self.model.logits(bulk_input(batch))).softmax(-1).mean(0)
        self.agreement = self.agreement.merge(Paired.of(fractions, batch.fractions))
        self.errors = self.errors.merge(Errors.of(fractions, batch.fractions))

    def on_validation_epoch_start(self) -> None:
        """Metrics begin anew."""
        self.agreement = Paired.empty(len(self.model.content))
        self.errors = Errors.empty(len(self.model.content))

    def on_validation_epoch_end(self) -> None:
        """Metrics over all samples of all ranks: sums are added, never means averaged."""
        mae = reduced(self.errors).pooled().mae()[0].value
        ccc = reduced(self.agreement).pooled().concordance()[0].value
        self.log_dict({BEST: mae, "val_metrics/prop_ccc": ccc}, rank_zero_only=False)

    def configure_optimizers(self) -> OptimizerConfig | OptimizerLRSchedulerConfig:
        """AdamW, and how its step size changes."""
        config = self.config
        alone = config.precision == "32-true"  # with others Lightning clips gradients of no fused optimizer
        optimizer = AdamW(self.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=alone)
        return self.science.schedule(optimizer, self.steps)

    def lr_scheduler_step(self, scheduler: LRScheduler | ReduceLROnPlateau, metric: object) -> None:  # noqa: ARG002  Lightning's own
        """A plateau is one of the proportions' loss in training: the run on all cells has no validation."""
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(float(self.trainer.strategy.reduce(torch.stack(self.seen).mean(), reduce_op="mean")))
        else:
            scheduler.step()


def bulk_input(batch: Batch) -> BulkInput:
    """What the networks see of a batch."""
    return BulkInput(batch.estimates, batch.misfit, batch.expression)


def tagged(terms: Terms) -> dict[str, Tensor]:
    """The terms by the names that TensorBoard has for them."""
    return {
        "sc/loss_recon": terms.recon,
        "sc/loss_kl": terms.kl,
        "sc/loss_proto": terms.proto,
        "bulk/loss_prop": terms.prop,
        "bulk/loss_recon": terms.bulk_recon,
    }


@dataclass(frozen=True, slots=True)
class Trained:
    """A model in evaluation mode on the CPU, and after how many epochs it was best, or stopped."""

    model: Deconvolution
    epochs: int


def train(
    reference: Reference,
    signature: Signature,
    prepared: Prepared,
    validation: Reference,
    config: RunConfig,
    science: Science,
) -> Trained:
    """Train until validation gets no better, and return the best epoch.

    Raises:
        TrainingStopped: a number became bad; the report is in `out/evenkeel`.
    """
    directory = config.out / "checkpoints"
    name = "hp_vade-{epoch:02d}-{val_loss:.4f}"
    best = FiniteCheckpoint(directory, name, BEST, save_top_k=3, save_last=True, enable_version_counter=False)
    early = EarlyStopping(BEST, patience=config.patience, check_finite=False)
    trainer = _trainer(config, science, config.max_epochs, config.experiment_name, [best, early])
    pairs = Pairs(prepared.val.samples(science.bulk_target), Cells(validation))
    validating = validation_loader(pairs, config.batch_size, trainer.global_rank, trainer.world_size)
    training = _fit(trainer, reference, signature, prepared.train, validating, config, science, directory)
    if not best.best_model_path:
        return Trained(training.model, config.max_epochs)
    chosen = torch.load(best.best_model_path, map_location="cpu", weights_only=True)
    training.load_state_dict(chosen["state_dict"])
    return Trained(training.model, int(chosen["epoch"]) + 1)


def train_again(
    reference: Reference, signature: Signature, split: Split, epochs: int, config: RunConfig, science: Science
) -> Deconvolution:
    """Train on all cells for a number of epochs that is known, and return the last."""
    directory = config.out / "checkpoints-final"
    last = FiniteCheckpoint(directory, save_last=True, enable_version_counter=False)
    trainer = _trainer(config, science, epochs, f"{config.experiment_name}-final", [last])
    return _fit(trainer, reference, signature, split, None, config, science, directory).model


def _fit(
    trainer: Trainer,
    reference: Reference,
    signature: Signature,
    split: Split,
    validating: DataLoader[Batch] | None,
    config: RunConfig,
    science: Science,
    directory: Path,
) -> Training:
    torch.manual_seed(config.seed)
    pairs = Pairs(split.samples(science.bulk_target), Cells(reference))
    n_pairs = science.epoch(len(pairs), len(pairs.cells))
    steps = config.max_epochs * (n_pairs // min(config.batch_size, n_pairs))
    training = Training(build(reference, signature, config, science), config, science, steps)
    loader = training_loader(pairs, n_pairs, config.batch_size, config.seed, trainer.global_rank, trainer.world_size)
    last = directory / "last.ckpt"
    resumed = last if config.resume and last.is_file() else None
    trainer.fit(training, loader, validating, ckpt_path=resumed, weights_only=True)
    training.eval().cpu()
    return training


def _trainer(config: RunConfig, science: Science, epochs: int, name: str, callbacks: list[Callback]) -> Trainer:
    guard: list[Callback] = [EvenkeelCallback(out=config.out / "evenkeel" / name)] if science.watched else []
    averaging: list[Callback] = [Averaging(config.ema)] if config.ema else []
    logs = config.out / "logs"
    return Trainer(
        accelerator="cpu" if config.cpu else "auto",
        devices=config.devices,
        strategy="ddp" if config.devices > 1 else "auto",
        precision=config.precision,  # type: ignore[arg-type]  # one of the choices of the option
        max_epochs=epochs,
        gradient_clip_val=config.clip_norm,
        callbacks=[*averaging, *callbacks, Progress(BEST), *guard],
        logger=[TensorBoardLogger(logs, name), CSVLogger(logs, f"{name}-csv", flush_logs_every_n_steps=1)],
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
    )
