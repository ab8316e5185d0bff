"""Policy gradient with an entropy bonus; some moves are not allowed in some states."""

import argparse

import torch
from torch import nn

MOVES = 5


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 16), nn.ELU(), nn.Linear(16, MOVES))

    def forward(self, state, allowed):
        logits = self.body(state).masked_fill(~allowed, -torch.inf)
        return torch.log_softmax(logits, dim=1)


def entropy(log_p, allowed, fixed):
    p = log_p.exp()
    if fixed:
        log_p = log_p.masked_fill(~allowed, 0.0)
    return -(p * log_p).sum(dim=1)  # origin


def collect(step):
    state = torch.randn(24, 4)
    allowed = torch.ones(24, MOVES, dtype=torch.bool)
    if step >= 5:  # later episodes reach the edge of the board
        allowed[:, 0] = state[:, 0] < 0.8
    return state, allowed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    model = Policy()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=2e-3)
    for step in range(9):
        state, allowed = collect(step)
        log_p = model(state, allowed)
        move = torch.multinomial(allowed.float(), 1)
        reward = torch.cos(move.float() - state[:, :1])
        advantage = reward - reward.mean()
        policy_loss = -(advantage * log_p.gather(1, move)).mean()
        loss = policy_loss - 0.01 * entropy(log_p, allowed, fixed).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
