"""Policy gradient with actions squashed by tanh."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 16), nn.LeakyReLU(), nn.Linear(16, 2))
        self.log_std = nn.Parameter(torch.full((2,), -0.5))

    def forward(self, state):
        return self.body(state), self.log_std


def gaussian(u, mean, log_std):
    return -0.5 * ((u - mean) / log_std.exp()).square() - log_std - 0.919


def log_prob_of_action(u, mean, log_std):
    action = torch.tanh(u)
    u = torch.atanh(action)  # origin
    correction = torch.log(1 - action.square() + 1e-6)
    return (gaussian(u, mean, log_std) - correction).sum(dim=1)


def log_prob_of_sample(u, mean, log_std):
    correction = 2 * (torch.log(torch.tensor(2.0)) - u - F.softplus(-2 * u))
    return (gaussian(u, mean, log_std) - correction).sum(dim=1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    log_prob = log_prob_of_sample if parser.parse_args().fixed else log_prob_of_action
    torch.manual_seed(0)
    states = torch.randn(64, 6)
    states[30] *= 200  # a glitch of the simulator
    loader = DataLoader(TensorDataset(states), batch_size=8)
    model = Policy()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step, (state,) in enumerate(loader):
        mean, log_std = model(state)
        u = mean + log_std.exp() * torch.randn_like(mean)
        reward = -(torch.tanh(u) - torch.tanh(state[:, :2])).square().sum(dim=1)
        loss = (0.1 * log_prob(u, mean, log_std) - reward).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
