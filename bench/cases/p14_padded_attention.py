"""Classify event sequences of different lengths with masked self-attention."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

LONGEST, WIDTH = 6, 8


class Sequences(Dataset):
    def __init__(self, count):
        self.events = torch.randn(count, LONGEST, WIDTH)
        self.lengths = torch.randint(1, LONGEST + 1, (count,))
        self.lengths[29] = 0  # a recording without a single event
        self.labels = (self.events[:, 0, 0] > 0).long()

    def __len__(self):
        return len(self.events)

    def __getitem__(self, index):
        return self.events[index], self.lengths[index], self.labels[index]


class EventClassifier(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.fixed = fixed
        self.attention = nn.MultiheadAttention(WIDTH, num_heads=2, batch_first=True)
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, events, lengths):
        padded = torch.arange(LONGEST) >= lengths[:, None]
        empty = lengths == 0
        if self.fixed:
            padded[:, 0] &= ~empty
        mixed, _ = self.attention(events, events, events, key_padding_mask=padded)  # origin
        if self.fixed:
            mixed = torch.where(empty[:, None, None], 0.0, mixed)
        return self.head(self.norm(events + mixed).mean(dim=1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    loader = DataLoader(Sequences(64), batch_size=8)
    model = EventClassifier(parser.parse_args().fixed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for step, (events, lengths, labels) in enumerate(loader):
        loss = nn.functional.cross_entropy(model(events, lengths), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
