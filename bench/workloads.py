"""The four training loops whose cost is measured: a variational autoencoder, a transformer, a U-Net, a tiny network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

NUM_BATCHES = 24  # of an epoch
MAX_NORM = 1.0
LEARNING_RATE = 1e-4

Inspect = Callable[[nn.Module], None]


class CountVAE(nn.Module):
    """A variational autoencoder of counts with a negative binomial likelihood, as in single-cell work."""

    def __init__(self, genes: int = 2000, hidden: int = 768, latent: int = 32) -> None:
        super().__init__()
        self.encoder = _perceptron(genes, hidden, 2 * latent)
        self.decoder = _perceptron(latent, hidden, genes)
        self.log_dispersion = nn.Parameter(torch.zeros(genes))

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        (counts,) = batch
        mean, log_variance = self.encoder(torch.log1p(counts)).chunk(2, dim=-1)
        latent = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        log_rate = self.decoder(latent).log_softmax(dim=-1) + counts.sum(dim=-1, keepdim=True).log()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=-1)
        return (divergence - self._log_likelihood(counts, log_rate)).mean()

    def _log_likelihood(self, counts: Tensor, log_rate: Tensor) -> Tensor:
        dispersion = self.log_dispersion.exp()
        log_total = torch.logaddexp(self.log_dispersion, log_rate)
        ways = torch.lgamma(counts + dispersion) - torch.lgamma(dispersion) - torch.lgamma(counts + 1)
        failures = dispersion * (self.log_dispersion - log_total)
        return (ways + failures + counts * (log_rate - log_total)).sum(dim=-1)


class LanguageModel(nn.Module):
    """A causal transformer; its mask is a buffer of zeros and -inf."""

    def __init__(self, width: int = 256, layers: int = 4, words: int = 1000, length: int = 128) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        block = nn.TransformerEncoderLayer(width, width // 64, 4 * width, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, words)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(length))

    def surprise(self, text: Tensor) -> Tensor:
        """The negative log-likelihood of every word but the first."""
        hidden = self.blocks(self.words(text[:, :-1]) + self.places, mask=self.mask, is_causal=True)
        words = F.cross_entropy(self.head(hidden).flatten(0, 1), text[:, 1:].flatten(), reduction="none")
        return words.view(len(text), -1)

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        (text,) = batch
        return self.surprise(text).mean()


class UNet(nn.Module):
    """A small U-Net; batch normalisation gives it buffers that every step changes."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.down = nn.ModuleList([_double(1, width), _double(width, 2 * width), _double(2 * width, 4 * width)])
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(4 * width, 2 * width, 2, 2), nn.ConvTranspose2d(2 * width, width, 2, 2)]
        )
        self.merge = nn.ModuleList([_double(4 * width, 2 * width), _double(2 * width, width)])
        self.out = nn.Conv2d(width, 1, 1)

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        image, target = batch
        fine = self.down[0](image)
        middle = self.down[1](F.max_pool2d(fine, 2))
        coarse = self.down[2](F.max_pool2d(middle, 2))
        middle = self.merge[0](torch.cat([middle, self.up[0](coarse)], dim=1))
        fine = self.merge[1](torch.cat([fine, self.up[1](middle)], dim=1))
        return F.binary_cross_entropy_with_logits(self.out(fine), target)


class LeNet(nn.Module):
    """LeNet-5 for images of 28 x 28 pixels: 61,706 parameters, and a step that takes about 2 ms."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classes = nn.Sequential(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        image, label = batch
        return F.cross_entropy(self.classes(self.features(image).flatten(1)), label)


@dataclass(frozen=True)
class Workload:
    """How to make one training, and what the guard may cost there."""

    name: str
    build: Callable[[], nn.Module]
    data: Callable[[int], tuple[Tensor, ...]]  # for so many samples
    batch_size: int
    budget: float  # times the bare loop
    budget_clipped: float  # the same where the loop clips its gradients
    is_large: bool = True  # a step takes 20 ms or more on two cores


@dataclass
class Training:
    """What a loop works on. Variants that leave no trace in it take turns on the same one."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loader: DataLoader[tuple[Tensor, ...]]
    clipped: bool

    def steps(self, inspect: Inspect | None = None) -> Iterator[None]:
        """The training loop, as people write it; it pauses after each update, and never ends."""
        while True:
            for batch in self.loader:
                self.optimizer.zero_grad()
                self.model.loss(batch).backward()
                if inspect is not None:
                    inspect(self.model)
                if self.clipped:
                    torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_NORM)
                self.optimizer.step()
                yield


def training_of(workload: Workload, *, clipped: bool) -> Training:
    """A fresh training of a workload, always the same one."""
    torch.manual_seed(0)
    model = workload.build()
    data = TensorDataset(*workload.data(NUM_BATCHES * workload.batch_size))
    loader = DataLoader(data, batch_size=workload.batch_size, shuffle=True)
    return Training(model, torch.optim.Adam(model.parameters(), lr=LEARNING_RATE), loader, clipped)


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.LayerNorm(hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs),
    )


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def _counts(num: int) -> tuple[Tensor, ...]:
    return (torch.poisson(3 * torch.rand(num, 2000)),)


def _texts(num: int) -> tuple[Tensor, ...]:
    return (torch.randint(0, 1000, (num, 129)),)


def _images(num: int) -> tuple[Tensor, ...]:
    images = torch.randn(num, 1, 64, 64)
    return images, (images > 0).float()


def _digits(num: int) -> tuple[Tensor, ...]:
    return torch.randn(num, 1, 28, 28), torch.randint(0, 10, (num,))


WORKLOADS = (
    Workload("MLP-VAE", CountVAE, _counts, 64, budget=1.02, budget_clipped=1.01),
    Workload("transformer", LanguageModel, _texts, 4, budget=1.02, budget_clipped=1.01),
    Workload("U-Net", UNet, _images, 8, budget=1.02, budget_clipped=1.01),
    Workload("tiny", LeNet, _digits, 16, budget=1.05, budget_clipped=1.05, is_large=False),
)
