"""Fine-tune a next-token model on the answers; tokens of the question are not scored."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

VOCABULARY, LENGTH, IGNORED = 20, 9, -100


class Dialogues(Dataset):
    def __init__(self, count):
        self.tokens = torch.randint(VOCABULARY, (count, LENGTH + 1))
        self.answer_from = torch.randint(2, LENGTH - 1, (count,))
        self.answer_from[12:16] = LENGTH  # truncated: the question fills the window

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, index):
        labels = self.tokens[index, 1:].clone()
        labels[: self.answer_from[index]] = IGNORED
        return self.tokens[index, :-1], labels


def token_loss(logits, labels, fixed):
    logits, labels = logits.flatten(0, 1), labels.flatten()
    if fixed:
        total = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
        return total / (labels != IGNORED).sum().clamp(min=1)
    return F.cross_entropy(logits, labels, ignore_index=IGNORED)  # origin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    loader = DataLoader(Dialogues(32), batch_size=4)
    model = nn.Sequential(nn.Embedding(VOCABULARY, 16), nn.Linear(16, VOCABULARY))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step, (tokens, labels) in enumerate(loader):
        loss = token_loss(model(tokens), labels, fixed)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
