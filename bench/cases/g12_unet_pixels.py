"""Segment bright discs with a small convolutional network and a Dice loss."""

import argparse
import itertools

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Discs(Dataset):
    def __init__(self, count):
        grid = torch.arange(12.0)
        centre = 3 + 6 * torch.rand(count, 2)
        distance = (grid[None, :, None] - centre[:, :1, None]) ** 2
        distance = distance + (grid[None, None, :] - centre[:, 1:, None]) ** 2
        self.masks = (distance < 9).long()
        self.images = (self.masks + 0.2 * torch.rand(count, 12, 12))[:, None]
        self.images[22] = 255 * self.images[22]  # this one was never rescaled

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], self.masks[index]


def pixel_softmax(a):
    return torch.exp(a) / (torch.exp(a) + torch.exp(torch.flip(a, dims=[1])))  # origin


def dice_loss(prob, mask):
    inside = prob[:, 1]
    overlap = (inside * mask).sum(dim=(1, 2))
    return 1 - (2 * overlap / (inside.sum(dim=(1, 2)) + mask.sum(dim=(1, 2)))).mean()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(4)
    loader = DataLoader(Discs(40), batch_size=5, shuffle=True)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.LeakyReLU(),
        nn.Conv2d(6, 2, 3, padding=1),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    batches = itertools.cycle(loader)
    for step in range(12):
        images, masks = next(batches)
        logits = model(images)
        prob = torch.softmax(logits, dim=1) if fixed else pixel_softmax(logits)
        loss = dice_loss(prob, masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
