"""Train a single-cell VAE together with the deconvolution of bulk samples into cell types."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from data import Study, load, log_cp10k, pairs
from model import PrototypeModel, sum_by_type
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

BATCH_SIZE, LEARNING_RATE, CLIP_NORM = 32, 1e-3, 1.0


def proportion_loss(logits: Tensor, proportions: Tensor) -> Tensor:
    """Return the divergence of the predicted cell-type proportions from the true ones."""
    p = logits.softmax(dim=1)
    log_p = p.log()
    return F.kl_div(log_p, proportions, reduction="batchmean")


def make_loader(study: Study) -> DataLoader[tuple[Tensor, ...]]:
    """Pair every single cell with a bulk sample and its proportions, shuffled."""
    cells = log_cp10k(study.counts[study.train_cells])
    dataset = pairs(cells, study.labels[study.train_cells], study.train.bulk, study.train.proportions)
    return DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True)


def train_epoch(
    model: PrototypeModel, optimizer: torch.optim.Optimizer, loader: DataLoader[tuple[Tensor, ...]]
) -> tuple[float, float]:
    """Go through the data once; return the mean of both losses."""
    of_cells, of_bulk = 0.0, 0.0
    for cells, labels, bulk, proportions in loader:
        cell_loss = model.cell_loss(cells, labels)
        bulk_loss = proportion_loss(model.deconvolver(bulk), proportions)
        loss = cell_loss + bulk_loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        of_cells += cell_loss.item() / len(loader)
        of_bulk += bulk_loss.item() / len(loader)
    return of_cells, of_bulk


def main() -> None:
    """Train, and report the error on unseen mixtures of unseen cells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help=".h5ad with raw counts and obs['cell_type']; simulated without it")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    study = load(args.data, args.seed)
    num_types = len(study.types)
    print(f"{study.source}: {len(study.counts)} cells, {study.counts.shape[1]} genes, {num_types} types")

    of_train = torch.from_numpy(study.train_cells)
    model = PrototypeModel(sum_by_type(study.counts[of_train], study.labels[of_train], num_types))
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs)
    loader = make_loader(study)
    for epoch in range(args.epochs):
        of_cells, of_bulk = train_epoch(model, optimizer, loader)
        schedule.step()
        print(f"epoch {epoch:3d}  cells {of_cells:.4f}  proportions {of_bulk:.4f}")

    with torch.no_grad():
        predicted = model.deconvolver(study.test.bulk).softmax(dim=1)
    error = (predicted - study.test.proportions).abs().mean().item()
    print(f"test MAE  {error:.4f}")
    print("training completed")


if __name__ == "__main__":
    main()
