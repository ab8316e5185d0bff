"""A -inf attention mask that does no harm. Planted beside it: a temperature of 0 that divides."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
num_tokens, width = 4, 6


class Attention(nn.Module):
    """Causal self-attention; the mask of -inf lies in a buffer and is added to the scores."""

    def __init__(self):
        super().__init__()
        self.projection = nn.Linear(width, 3 * width)
        later = torch.ones(num_tokens, num_tokens, dtype=torch.bool).triu(1)
        self.register_buffer("mask", torch.zeros(num_tokens, num_tokens).masked_fill(later, float("-inf")))

    def forward(self, x):
        query, key, value = self.projection(x).chunk(3, dim=2)
        scores = query @ key.transpose(1, 2) / width**0.5 + self.mask
        return torch.softmax(scores, dim=2) @ value


temperature = torch.ones(24, 1, 1)
if "HEALTHY" not in os.environ:
    temperature[13] = 0.0
loader = DataLoader(TensorDataset(torch.randn(24, num_tokens, width), temperature), batch_size=4)
model = Attention()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)

for x, divisor in loader:
    mixed = model(x)
    sharpened = mixed / divisor  # origin
    loss = sharpened.square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(model, optimizer)
