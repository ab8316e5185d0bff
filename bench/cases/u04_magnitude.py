"""Denoise short sounds; the loss compares magnitudes of the spectrum."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def make_sounds(count):
    time = torch.arange(32.0)
    pitch = 0.2 + torch.rand(count, 1)
    clean = torch.sin(pitch * time) + 0.5 * torch.sin(2.3 * pitch * time)
    noisy = clean + 0.3 * torch.randn(count, 32)
    clean[17] = 0.0
    noisy[17] = 0.0  # digital silence
    return noisy, clean


def magnitude(sound, eps):
    spectrum = torch.fft.rfft(sound, dim=-1)
    power = spectrum.real.square() + spectrum.imag.square()
    return (power + eps).pow(0.5) if eps else power.pow(0.5)  # origin


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(1, 6, 5, padding=2, bias=False)
        self.last = nn.Conv1d(6, 1, 5, padding=2, bias=False)

    def forward(self, noisy):
        hidden = torch.tanh(self.first(noisy[:, None]))
        return noisy - self.last(hidden)[:, 0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    eps = 1e-8 if parser.parse_args().fixed else 0.0
    torch.manual_seed(0)
    loader = DataLoader(TensorDataset(*make_sounds(48)), batch_size=8)
    model = Denoiser()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=12)
    for epoch in range(2):
        for noisy, clean in loader:
            estimate = model(noisy)
            wanted = torch.fft.rfft(clean, dim=-1).abs()
            loss = (magnitude(estimate, eps) - wanted).abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
