"""Train a single-cell VAE together with the deconvolution of bulk samples into cell types, corrected."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from data import Study, load, log_cp10k, pairs
from linear import anchor, anchored_bulks, measure_reference, unmix
from model import PrototypeModel, sum_by_type
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

BATCH_SIZE, LEARNING_RATE, CLIP_NORM = 32, 1e-3, 1.0


def proportion_loss(logits: Tensor, proportions: Tensor) -> Tensor:
    """Return the divergence of the predicted cell-type proportions from the true ones."""
    log_p = logits.log_softmax(dim=1)
    return F.kl_div(log_p, proportions, reduction="batchmean")


def training_bulks(study: Study, head: str, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return bulk, proportions and the logits to start from; those of the plain head are 0."""
    if head == "anchored":
        return anchored_bulks(study, seed)
    return study.train.bulk, study.train.proportions, torch.zeros_like(study.train.proportions)


def make_loader(study: Study, head: str, seed: int) -> DataLoader[tuple[Tensor, ...]]:
    """Pair every single cell with a bulk sample and its proportions, shuffled."""
    cells = log_cp10k(study.counts[study.train_cells])
    bulk, proportions, start = training_bulks(study, head, seed)
    dataset = pairs(cells, study.labels[study.train_cells], log_cp10k(bulk), proportions, start)
    return DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True)


def train_epoch(
    model: PrototypeModel, optimizer: torch.optim.Optimizer, loader: DataLoader[tuple[Tensor, ...]]
) -> tuple[float, float]:
    """Go through the data once; return the mean of both losses."""
    of_cells, of_bulk = 0.0, 0.0
    for cells, labels, bulk, proportions, start in loader:
        cell_loss = model.cell_loss(cells, labels)
        bulk_loss = proportion_loss(start + model.deconvolver(bulk), proportions)
        loss = cell_loss + bulk_loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        of_cells += cell_loss.item() / len(loader)
        of_bulk += bulk_loss.item() / len(loader)
    return of_cells, of_bulk


def print_errors(model: PrototypeModel, study: Study, head: str) -> None:
    """Print the test error beside that of the constant 1/K and of the linear answer."""
    truth = study.test.proportions
    reference = measure_reference(study, study.train_cells)
    start = anchor(study.test.bulk, reference) if head == "anchored" else torch.zeros_like(truth)
    with torch.no_grad():
        predicted = (start + model.deconvolver(log_cp10k(study.test.bulk))).softmax(dim=1)
    answers = {
        f"network, {head} head": predicted,
        "linear EM, cell sizes": unmix(study.test.bulk, reference),
        "constant 1/K": torch.full_like(truth, 1 / truth.shape[1]),
    }
    print(f"test MAE, {truth.numel()} proportions of {len(truth)} unseen mixtures of unseen cells")
    for name, answer in answers.items():
        print(f"  {name:<24}{(answer - truth).abs().mean().item():.4f}")


def main() -> None:
    """Train, and report the error on unseen mixtures of unseen cells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help=".h5ad with raw counts and obs['cell_type']; simulated without it")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--head", choices=("plain", "anchored"), default="plain", help="anchored: start at linear EM")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    study = load(args.data, args.seed)
    num_types = len(study.types)
    print(f"{study.source}: {len(study.counts)} cells, {study.counts.shape[1]} genes, {num_types} types")

    of_train = torch.from_numpy(study.train_cells)
    model = PrototypeModel(sum_by_type(study.counts[of_train], study.labels[of_train], num_types))
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    if args.head == "anchored":
        model.deconvolver.start_at_zero()
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs)
    loader = make_loader(study, args.head, args.seed)
    for epoch in range(args.epochs):
        of_cells, of_bulk = train_epoch(model, optimizer, loader)
        schedule.step()
        print(f"epoch {epoch:3d}  cells {of_cells:.4f}  proportions {of_bulk:.4f}")

    print_errors(model, study, args.head)
    print("training completed")


if __name__ == "__main__":
    main()
