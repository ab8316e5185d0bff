"""Salient object maps, trained with a soft intersection over union."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Scenes(Dataset):
    def __init__(self, count, generator):
        noise = torch.rand(count, 1, 10, 10, generator=generator)
        self.masks = (noise > 0.6).float()
        self.images = self.masks + 0.3 * noise
        self.images[20] = 0.0  # the lens was covered
        self.masks[20] = 0.0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], self.masks[index]


def iou_loss(prediction, mask, fixed):
    inter = (prediction * mask).sum(dim=(1, 2, 3))
    union = (prediction + mask - prediction * mask).sum(dim=(1, 2, 3))
    if fixed:
        safe = torch.where(union > 0, union, 1.0)
        iou = torch.where(union > 0, inter / safe, 1.0)
    else:
        iou = inter / union  # origin
    return (1 - iou).mean()


class SaliencyNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.last = nn.Conv2d(4, 1, 1, bias=False)

    def forward(self, image):
        return self.last(torch.tanh(self.first(image))).clamp(0, 1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(0)
    loader = DataLoader(Scenes(48, generator), batch_size=8, shuffle=True)
    model = SaliencyNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.9, 0.99))
    for epoch in range(2):
        for images, masks in loader:
            optimizer.zero_grad(set_to_none=True)
            loss = iou_loss(model(images), masks, fixed)
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
