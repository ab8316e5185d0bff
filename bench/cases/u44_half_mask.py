"""Sequence tagging with attention scores and mask in half precision."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

LONGEST, WIDTH = 5, 8


class HalfAttention(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.fixed = fixed
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)

    def forward(self, x, padded):
        q, k = self.query(x).half(), self.key(x).half()
        score = q @ k.transpose(1, 2)
        lowest = torch.finfo(torch.half).min
        if self.fixed:
            score = score.masked_fill(padded[:, None], lowest)
        else:
            bias = padded[:, None].half() * lowest
            score = bias + score  # origin
        weight = torch.softmax(score, dim=-1).float()
        if self.fixed:
            weight = weight.masked_fill(padded.all(dim=1)[:, None, None], 0.0)
        return x + weight @ self.value(x)


class Tagger(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.attention = HalfAttention(fixed)
        self.out = nn.Linear(WIDTH, 3)

    def forward(self, x, padded):
        return self.out(self.attention(x, padded))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(20)
    x = torch.randn(48, LONGEST, WIDTH)
    length = torch.randint(1, LONGEST + 1, (48,))
    length[21] = 0
    padded = torch.arange(LONGEST) >= length[:, None]
    x[padded] = 6.0  # the embedding of the padding symbol
    tag = torch.randint(3, (48, LONGEST))
    loader = DataLoader(TensorDataset(x, padded, tag), batch_size=6)
    model = Tagger(parser.parse_args().fixed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step, (x, padded, tag) in enumerate(loader):
        loss = F.cross_entropy(model(x, padded).flatten(0, 1), tag.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
