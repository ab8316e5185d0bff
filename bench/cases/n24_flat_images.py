"""A small network with instance normalisation; some of the images are uniformly grey."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Images(Dataset):
    def __init__(self, count):
        self.images = torch.rand(count, 1, 8, 8)
        self.images[::7] = 0.5
        self.labels = (torch.arange(count) % 7 == 0).long()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], self.labels[index]


class StyleNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.InstanceNorm2d(1, affine=True)
        self.conv = nn.Conv2d(1, 6, 3, bias=False)
        self.out = nn.Linear(6, 2)

    def forward(self, image):
        features = torch.relu(self.conv(self.norm(image)))
        return self.out(features.mean(dim=(2, 3)))


def main():
    torch.manual_seed(0)
    loader = DataLoader(Images(70), batch_size=10, shuffle=True)
    model = StyleNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(2):
        for image, label in loader:
            loss = nn.functional.cross_entropy(model(image), label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
