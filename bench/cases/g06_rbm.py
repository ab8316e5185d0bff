"""Train a restricted Boltzmann machine with one step of contrastive divergence."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class Rbm(nn.Module):
    def __init__(self, visible, hidden, fixed):
        super().__init__()
        self.fixed = fixed
        self.weight = nn.Parameter(0.2 * torch.randn(hidden, visible))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))

    def gibbs(self, v):
        on = torch.sigmoid(F.linear(v, self.weight, self.hidden_bias))
        hidden = (torch.rand_like(on) < on).float()
        on = torch.sigmoid(F.linear(hidden, self.weight.t(), self.visible_bias))
        return (torch.rand_like(on) < on).float()

    def rectify(self, drive):
        if self.fixed:
            return F.softplus(drive)
        return torch.log(torch.exp(drive) + 1)  # origin

    def free_energy(self, v):
        units = self.rectify(F.linear(v, self.weight, self.hidden_bias))
        return -(v @ self.visible_bias) - units.sum(dim=1)


def make_images():
    images = (torch.rand(96, 36) < 0.3).float()
    images[37] *= 255  # one picture was saved with pixel values of 0 and 255
    return images


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(3)
    model = Rbm(36, 12, parser.parse_args().fixed)
    loader = DataLoader(TensorDataset(make_images()), batch_size=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step, (images,) in enumerate(loader):
        with torch.no_grad():
            fantasy = model.gibbs(images)
        loss = model.free_energy(images).mean() - model.free_energy(fantasy).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
