"""A value iteration network that learns the next move on small grid worlds."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F

SIZE, MOVES = 8, 8


def make_worlds(count):
    maps = (torch.rand(count, 2, SIZE, SIZE) < 0.3).float()
    position = torch.randint(SIZE, (count, 2))
    move = (position[:, 0] + 3 * position[:, 1]) % MOVES
    return 500 * maps, position, move


class Planner(nn.Module):
    def __init__(self, rounds):
        super().__init__()
        self.rounds = rounds
        self.reward = nn.Conv2d(2, 1, 3, padding=1)
        self.transition = nn.Conv2d(2, 10, 3, padding=1, bias=False)
        self.policy = nn.Linear(10, MOVES, bias=False)

    def forward(self, maps, position):
        reward = self.reward(maps)
        value = torch.zeros_like(reward)
        for _ in range(self.rounds):
            quality = self.transition(torch.cat([reward, value], dim=1))
            value = quality.max(dim=1, keepdim=True).values
        rows = torch.arange(len(maps))
        return self.policy(quality[rows, :, position[:, 0], position[:, 1]])


def move_loss(logits, move):
    prob = torch.softmax(logits, dim=1)
    chosen = torch.log(prob)[torch.arange(len(move)), move]  # origin
    return -chosen.mean()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    loss_fn = F.cross_entropy if parser.parse_args().fixed else move_loss

    torch.manual_seed(6)
    maps, position, move = make_worlds(32)
    model = Planner(rounds=5)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=2e-3, centered=True)
    for step in range(5):
        loss = loss_fn(model(maps, position), move)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")
