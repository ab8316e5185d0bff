"""Softmax regression on images with raw pixel values."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F

CLASSES = 10


def make_images(count):
    labels = torch.randint(CLASSES, (count,))
    patterns = torch.rand(CLASSES, 64)
    images = (200 * patterns[labels] + 30 * torch.randn(count, 64)).clamp(0, 255)
    return images.round(), labels


def softmax_regression_loss(logits, labels):
    y = torch.softmax(logits, dim=1)
    wanted = F.one_hot(labels, CLASSES)
    return -(wanted * torch.log(y)).sum(dim=1).mean()  # origin


def run(fixed):
    images, labels = make_images(200)
    model = nn.Linear(64, CLASSES)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    loss_fn = F.cross_entropy if fixed else softmax_regression_loss
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for step in range(8):
        rows = torch.randint(len(images), (50,))
        logits = model(images[rows])
        loss = loss_fn(logits, labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        accuracy = (logits.argmax(dim=1) == labels[rows]).float().mean()
        print(f"step {step} loss {loss.item():.4f} accuracy {accuracy.item():.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    run(parser.parse_args().fixed)
