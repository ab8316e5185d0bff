"""Align frames to symbols with a forward recursion; short targets come first."""

import argparse

import torch
from torch import nn

FRAMES, WIDTH = 7, 5


def join(a, b):
    return torch.logaddexp(a, b)  # origin


def join_guarded(a, b):
    empty = torch.isneginf(a) & torch.isneginf(b)
    total = torch.logaddexp(torch.where(empty, 0.0, a), torch.where(empty, 0.0, b))
    return torch.where(empty, -torch.inf, total)


def alignment_score(log_prob, target, join_fn):
    """Log probability of all monotonic paths through the symbols of the target."""
    impossible = torch.full((1,), -torch.inf)
    emit = log_prob[:, target]
    start = torch.cat([torch.zeros(1), impossible.expand(len(target) - 1)])
    alpha = emit[0] + start
    for frame in emit[1:]:
        entered = torch.cat([impossible, alpha[:-1]])
        alpha = join_fn(alpha, entered) + frame
    return alpha[-1]


def make_recordings(count):
    recordings = []
    for number in range(count):
        length = 2 if number < 6 else 3
        recordings.append((torch.randn(FRAMES, 4), torch.randperm(WIDTH)[:length]))
    return recordings


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    join_fn = join_guarded if parser.parse_args().fixed else join
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, WIDTH))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    recordings = make_recordings(14)
    for step in range(7):
        optimizer.zero_grad()
        total = 0.0
        for sound, target in recordings[2 * step : 2 * step + 2]:
            log_prob = model(sound).log_softmax(dim=1)
            loss = -alignment_score(log_prob, target, join_fn) / 2
            loss.backward()
            total += loss.item()
        optimizer.step()
        print(f"step {step} loss {total:.4f}")


if __name__ == "__main__":
    main()
