"""Next-token training with gradient accumulation over texts of different lengths."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F

VOCABULARY = 16


class NextToken(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, 12)
        self.out = nn.Linear(12, VOCABULARY)

    def forward(self, tokens):
        return self.out(self.embed(tokens))


def draw_micro_batches():
    return [torch.randint(VOCABULARY, (length + 1,)) for length in (2, 30)]


def micro_batch_loss(model, tokens, num_batches, num_tokens, fixed):
    logits, wanted = model(tokens[:-1]), tokens[1:]
    if fixed:
        return F.cross_entropy(logits, wanted, reduction="sum") / num_tokens
    return F.cross_entropy(logits, wanted) / num_batches  # origin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    model = NextToken()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(12):
        micro_batches = draw_micro_batches()
        num_tokens = sum(len(tokens) - 1 for tokens in micro_batches)
        optimizer.zero_grad()
        total = 0.0
        for tokens in micro_batches:
            loss = micro_batch_loss(model, tokens, len(micro_batches), num_tokens, fixed)
            loss.backward()
            total += loss.item()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        print(f"step {step} loss {total:.4f}")


if __name__ == "__main__":
    main()
