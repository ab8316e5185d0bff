"""The VAE and the field together, with the functions that were chosen for them."""

from __future__ import annotations

from torch import Tensor, nn

from evenkeel_recipes.virtual_cell.model.field import Field
from evenkeel_recipes.virtual_cell.model.latents import Posterior
from evenkeel_recipes.virtual_cell.model.parts import Parts
from evenkeel_recipes.virtual_cell.model.sizes import Sizes
from evenkeel_recipes.virtual_cell.model.vae import Decoder, Encoder


class VirtualCell(nn.Module):
    """All that is trained."""

    def __init__(self, sizes: Sizes, parts: Parts) -> None:
        super().__init__()
        self.sizes, self.parts = sizes, parts
        self.encoder = Encoder(sizes)
        self.decoder = Decoder(sizes)
        self.field = Field(sizes)

    def encode(self, counts: Tensor, batch: Tensor, cell_type: Tensor) -> Posterior:
        """See `Encoder.forward`."""
        return self.encoder(counts, batch, cell_type, self.parts)  # type: ignore[no-any-return]

    def log_mean(self, z: Tensor, z_tech: Tensor, log_library: Tensor, offset: Tensor | None = None) -> Tensor:
        """Log of the expected counts [B, genes], for log library sizes [B, 1]; logits move by `offset` [genes]."""
        logits = self.decoder(z, z_tech)
        return self.parts.log_mean(logits if offset is None else logits + offset, log_library)

    def velocity(self, z: Tensor, time: Tensor, code: Tensor, context: tuple[Tensor, Tensor, Tensor | None]) -> Tensor:
        """Velocity in training; `context` is batch, cell type and position."""
        alpha = self.field.effect(code, context[1], self.parts)
        return self.field(z, time, alpha, self.field.context(*context), self.parts)  # type: ignore[no-any-return]


def num_parameters(model: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters())
