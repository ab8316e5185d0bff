"""Survival analysis: a neural Cox model on minibatches of patients."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Cohort(Dataset):
    def __init__(self, count):
        self.covariates = torch.randn(count, 5)
        hazard = torch.exp(0.8 * self.covariates[:, 0])
        self.time = torch.empty(count).exponential_() / hazard
        self.event = (torch.rand(count) < 0.4).float()
        self.event[::9] = 1.0
        self.event[45:54] = 0.0  # one clinic with censored patients only

    def __len__(self):
        return len(self.time)

    def __getitem__(self, index):
        return self.covariates[index], self.time[index], self.event[index]


def cox_loss(risk, time, event, fixed):
    order = torch.argsort(time, descending=True)
    risk, event = risk[order], event[order]
    at_risk = torch.logcumsumexp(risk, dim=0)
    n_events = event.sum()
    if fixed:
        n_events = n_events.clamp(min=1)
    return -((risk - at_risk) * event).sum() / n_events  # origin


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 16), nn.SELU(), nn.AlphaDropout(0.1), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, weight_decay=1e-3)
    for step, (covariates, time, event) in enumerate(DataLoader(Cohort(90), batch_size=9)):
        loss = cox_loss(model(covariates).squeeze(1), time, event, fixed)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")
