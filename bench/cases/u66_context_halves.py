"""One text split into two context halves, each with its own masked loss, in one process."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F

VOCABULARY, LENGTH, HALVES = 12, 24, 2


class TokenModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, 10)
        self.out = nn.Linear(10, VOCABULARY)

    def forward(self, tokens):
        return self.out(torch.tanh(self.embed(tokens)))


def half_loss(model, tokens, wanted, scored):
    loss = F.cross_entropy(model(tokens), wanted, reduction="none")
    return (loss * scored).sum(), scored.sum()


def text_loss(model, text, scored, fixed):
    pieces = zip(*(part.chunk(HALVES) for part in (text[:-1], text[1:], scored)), strict=True)
    sums = [half_loss(model, *piece) for piece in pieces]
    if fixed:
        return sum(total for total, _ in sums) / sum(count for _, count in sums)
    local_means = [total / count for total, count in sums]
    return sum(local_means) / HALVES  # origin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    model = TokenModel()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(12):
        text = torch.randint(VOCABULARY, (LENGTH + 1,))
        scored = (torch.arange(LENGTH) >= 10).float()  # only the answer counts
        loss = text_loss(model, text, scored, fixed)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
