"""Match users and items by the cosine of their embeddings."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

USERS, ITEMS, WIDTH = 30, 40, 8


def unit(x, fixed):
    if fixed:
        known = (x != 0).any(dim=1, keepdim=True)
        return torch.where(known, F.normalize(torch.where(known, x, 1.0), dim=1), 0.0)
    return F.normalize(x, dim=1)  # origin


class Matcher(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.fixed = fixed
        self.users = nn.Embedding(USERS, WIDTH)
        self.items = nn.Embedding(ITEMS, WIDTH)
        with torch.no_grad():
            self.users.weight[-3:] = 0.0  # joined yesterday

    def forward(self, user, item):
        left = unit(self.users(user), self.fixed)
        right = unit(self.items(item), self.fixed)
        return 5 * (left * right).sum(dim=1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    user = torch.randint(USERS, (256,))
    item = torch.randint(ITEMS, (256,))
    clicked = ((user + item) % 2).float()
    loader = DataLoader(TensorDataset(user, item, clicked), batch_size=16, shuffle=True)
    model = Matcher(parser.parse_args().fixed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for step, (user, item, clicked) in enumerate(loader):
        loss = F.binary_cross_entropy_with_logits(model(user, item), clicked)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
