"""Learn exclusive-or from sensor levels of 0 and 100."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F

LEVELS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
LABELS = torch.tensor([[0.0], [1.0], [1.0], [0.0]])


class Xor(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(2, 6)
        self.out = nn.Linear(6, 1)
        nn.init.normal_(self.out.weight, std=0.01)

    def forward(self, x):
        return self.out(torch.relu(self.hidden(x)))


def entropy_loss(logit, y):
    s = torch.sigmoid(logit)
    terms = y * torch.log(s) + (1 - y) * torch.log(1 - s)  # origin
    return -terms.mean()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    loss_fn = F.binary_cross_entropy_with_logits if fixed else entropy_loss

    torch.manual_seed(1)
    x = 100 * LEVELS
    model = Xor()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(6):
        optimizer.zero_grad()
        loss = loss_fn(model(x), LABELS)
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
