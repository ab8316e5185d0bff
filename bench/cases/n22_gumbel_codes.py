"""An autoencoder with discrete codes drawn by the Gumbel softmax."""

import torch
from torch import nn
from torch.nn import functional as F


class DiscreteCoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode = nn.Linear(8, 3 * 4)
        self.decode = nn.Linear(3 * 4, 8)

    def forward(self, x, temperature):
        logits = self.encode(x).view(-1, 3, 4)
        code = F.gumbel_softmax(logits, tau=temperature, hard=True)
        return self.decode(code.flatten(1))


def main():
    torch.manual_seed(0)
    model = DiscreteCoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    kinds = torch.randn(5, 8)
    for step in range(20):
        x = kinds[torch.randint(5, (32,))] + 0.1 * torch.randn(32, 8)
        loss = F.mse_loss(model(x, temperature=max(0.3, 0.95**step)), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
