"""Logistic regression for heart disease from age, blood pressure and cholesterol."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F

PATIENTS = 120


def make_patients():
    age = 35 + 40 * torch.rand(PATIENTS, 1)
    pressure = 110 + 60 * torch.rand(PATIENTS, 1)
    cholesterol = 150 + 250 * torch.rand(PATIENTS, 1)
    male = (torch.rand(PATIENTS, 1) < 0.6).float()
    risk = 0.05 * (age - 55) + 0.01 * (cholesterol - 275) + 0.5 * male
    ill = (torch.rand(PATIENTS, 1) < torch.sigmoid(risk)).float()
    return torch.cat([age, pressure, cholesterol, male], dim=1), ill


def log_loss(logit, ill):
    p = torch.sigmoid(logit)
    likelihood = ill * torch.log(p) + (1 - ill) * torch.log(1 - p)  # origin
    return -likelihood.mean()


def ridge(model):
    return sum(weight.square().sum() for weight in model.parameters()) / 2


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(7)
    x, ill = make_patients()
    model = nn.Linear(4, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    if fixed:
        x = (x - x.mean(dim=0)) / x.std(dim=0)
    loss_fn = F.binary_cross_entropy_with_logits if fixed else log_loss
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for step in range(10):
        loss = loss_fn(model(x), ill) + 1.0 * ridge(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
