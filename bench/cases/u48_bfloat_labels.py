"""Entity labels, several per span, with a model kept in bfloat16."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


def label_loss(z, wanted):
    p = torch.sigmoid(z)
    present = torch.log(p.clamp(min=1e-6))
    absent = torch.log1p(-p.clamp(max=1 - 1e-6))  # origin
    return -torch.where(wanted, present, absent).mean()


def label_loss_from_logits(z, wanted):
    return -torch.where(wanted, F.logsigmoid(z), F.logsigmoid(-z)).mean()


class SpanLabels(nn.Module):
    def __init__(self, labels):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, labels))

    def forward(self, span):
        return self.body(span)


def make_spans(count, labels):
    direction = torch.randn(12, labels)
    span = torch.randn(count, 12)
    wanted = span @ direction > 0
    span[70] *= 60  # the longest span of the corpus; its vectors are summed
    return span, wanted


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    loss_fn = label_loss_from_logits if parser.parse_args().fixed else label_loss
    torch.manual_seed(0)
    span, wanted = make_spans(128, 4)
    loader = DataLoader(TensorDataset(span.bfloat16(), wanted), batch_size=16)
    model = SpanLabels(4).bfloat16()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for epoch in range(2):
        for x, y in loader:
            loss = loss_fn(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
