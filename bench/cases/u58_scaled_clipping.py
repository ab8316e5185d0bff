"""Segmentation in mixed precision with a gradient scaler and clipped gradients."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class TinyUnet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(1, 6, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(6, 1, 2, stride=2)

    def forward(self, image):
        return self.up(torch.relu(self.down(image)))


def make_images(count):
    masks = (torch.rand(count, 1, 4, 4) > 0.5).float()
    masks = nn.functional.interpolate(masks, scale_factor=2)
    return masks + 0.3 * torch.randn_like(masks), masks


def train(fixed):
    loader = DataLoader(TensorDataset(*make_images(64)), batch_size=16, shuffle=True)
    model = TinyUnet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", init_scale=65536.0)
    for epoch in range(3):
        for image, mask in loader:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(image)
            loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), mask)
            optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            if fixed:
                scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)  # origin
            scaler.step(optimizer)
            scaler.update()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    train(parser.parse_args().fixed)
