"""Pool the words of short texts with attention in half precision."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

LONGEST, WIDTH = 6, 8


class Texts(Dataset):
    def __init__(self, count):
        self.words = torch.randn(count, LONGEST, WIDTH)
        self.length = torch.randint(1, LONGEST + 1, (count,))
        self.length[31] = 0  # an empty message
        self.rating = self.words[:, 0, :2].sum(dim=1)

    def __len__(self):
        return len(self.words)

    def __getitem__(self, index):
        padded = torch.arange(LONGEST) >= self.length[index]
        return self.words[index], padded, self.rating[index]


class Pooling(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.fixed = fixed
        self.score = nn.Linear(WIDTH, 1)
        self.out = nn.Linear(WIDTH, 1)

    def forward(self, words, padded):
        score = self.score(words).squeeze(2).half()
        if self.fixed:
            score = score.masked_fill(padded, torch.finfo(score.dtype).min)
        else:
            score = score + padded.half() * -1e9  # origin
        weight = torch.softmax(score, dim=1).float()
        if self.fixed:
            weight = weight.masked_fill(padded.all(dim=1, keepdim=True), 0.0)
        return self.out((weight[:, :, None] * words).sum(dim=1)).squeeze(1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    loader = DataLoader(Texts(48), batch_size=8, shuffle=True)
    model = Pooling(parser.parse_args().fixed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(2):
        for words, padded, rating in loader:
            loss = nn.functional.huber_loss(model(words, padded), rating)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
