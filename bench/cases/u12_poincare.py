"""Embed a small hierarchy in the Poincare disc from pairs of related words."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

WORDS = 15


def make_pairs():
    child = torch.arange(1, WORDS).repeat(4)
    parent = (child - 1) // 2
    stranger = torch.randint(WORDS, child.shape)
    stranger = torch.where(stranger == child, (child + 7) % WORDS, stranger)
    stranger[26] = child[26]  # the sampler drew the word itself
    return child, parent, stranger


def hyperbolic_distance(u, v, fixed):
    room = (1 - u.square().sum(dim=1)) * (1 - v.square().sum(dim=1))
    if fixed:
        return 2 * torch.asinh(torch.linalg.vector_norm(u - v, dim=1) / torch.sqrt(room))
    d = (u - v).square().sum(dim=1)
    return torch.acosh(1 + 2 * d / room)  # origin


class Disc(nn.Module):
    def __init__(self):
        super().__init__()
        self.place = nn.Embedding(WORDS, 2)
        nn.init.uniform_(self.place.weight, -0.4, 0.4)

    def forward(self, word):
        return 0.9 * torch.tanh(self.place(word)) / 2**0.5


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    loader = DataLoader(TensorDataset(*make_pairs()), batch_size=8)
    model = Disc()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    for step, (child, parent, stranger) in enumerate(loader):
        here = model(child)
        near = hyperbolic_distance(here, model(parent), fixed)
        far = hyperbolic_distance(here, model(stranger), fixed)
        loss = F.softplus(near - far).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
