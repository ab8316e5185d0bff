"""Speaker verification with embeddings of bounded length."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

EPS = 1e-6


def unit(x, fixed):
    s = x.square().sum(dim=1, keepdim=True)
    if fixed:
        return x * torch.rsqrt(s.clamp_min(EPS**2))
    scale = torch.rsqrt(s)  # origin
    return x * scale.clamp(max=1 / EPS)


class SpeakerNet(nn.Module):
    def __init__(self, speakers, fixed):
        super().__init__()
        self.fixed = fixed
        self.embed = nn.Linear(16, 8, bias=False)
        self.centres = nn.Linear(8, speakers, bias=False)

    def forward(self, features):
        return 10 * self.centres(unit(self.embed(features), self.fixed))


def make_features(speakers):
    speaker = torch.randint(speakers, (96,))
    features = torch.randn(speakers, 16)[speaker] + 0.5 * torch.randn(96, 16)
    features[66] = 0.0  # pure silence
    return features, speaker


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    features, speaker = make_features(5)
    loader = DataLoader(TensorDataset(features, speaker), batch_size=12, shuffle=True)
    model = SpeakerNet(5, parser.parse_args().fixed)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for epoch in range(2):
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y, label_smoothing=0.1)
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
