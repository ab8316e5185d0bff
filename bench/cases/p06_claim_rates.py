"""Poisson regression of claim counts; very large rates are capped."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Policies(Dataset):
    def __init__(self):
        self.features = torch.rand(80, 3)
        self.claims = torch.poisson(torch.exp(self.features.sum(dim=1) - 1))
        self.features[41, 0] = 4e10  # a vehicle value in cents of another currency

    def __len__(self):
        return len(self.features)

    def __getitem__(self, index):
        return self.features[index], self.claims[index]


def capped_rate(eta):
    ceiling = torch.full_like(eta, 10.0).exp()
    return torch.where(eta <= 10, torch.exp(eta), ceiling)  # origin


def capped_rate_inside(eta):
    return torch.exp(eta.clamp(max=10))


class RateModel(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.rate = rate
        self.linear = nn.Linear(3, 1)
        nn.init.constant_(self.linear.weight, 0.25)

    def forward(self, features):
        return self.rate(self.linear(features).squeeze(1))


def train(model, loader):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=4, gamma=0.5)
    for step, (features, claims) in enumerate(loader):
        rate = model(features)
        loss = (rate - claims * torch.log(rate)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    chosen = capped_rate_inside if parser.parse_args().fixed else capped_rate
    torch.manual_seed(0)
    train(RateModel(chosen), DataLoader(Policies(), batch_size=10))
