"""Learn a mixing matrix, with an occasional penalty on the frame of its output."""

import argparse

import torch
from torch import nn

SIZE, RANK = 15, 3


def make_measurements(count):
    measurements = torch.randn(count, SIZE, SIZE)
    measurements[7, RANK:] = 0.0  # only three channels were connected
    return measurements


class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(SIZE) + 0.05 * torch.randn(SIZE, SIZE))

    def forward(self, x):
        return x @ self.weight


def frame_penalty(mixed):
    left, _, right = torch.linalg.svd(mixed)  # origin
    return (left @ right - torch.eye(SIZE)).square().mean()


def tail_penalty(mixed):
    values = torch.linalg.svdvals(mixed)
    return values[RANK:].square().sum() / SIZE**2


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    penalty = tail_penalty if parser.parse_args().fixed else frame_penalty

    torch.manual_seed(0)
    model = Mixer()
    target = torch.randn(SIZE, SIZE).tril()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for step, measurement in enumerate(make_measurements(11)):
        mixed = model(measurement)
        loss = (mixed - measurement @ target).square().mean()
        if step % 4 == 3:  # the decomposition is slow, so not in each step
            loss = loss + 0.1 * penalty(mixed)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")
