"""Speech letters with connectionist temporal classification; some recordings are too short."""

import torch
from torch import nn

FRAMES, LETTERS = 10, 6


class Speech(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, LETTERS))

    def forward(self, sound):
        return self.body(sound).log_softmax(dim=-1)


def main():
    torch.manual_seed(0)
    model = Speech()
    loss_fn = nn.CTCLoss(zero_infinity=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(10):
        sound = torch.randn(FRAMES, 8, 5)
        text = torch.randint(1, LETTERS, (8, 4))
        frames = torch.randint(9, FRAMES + 1, (8,))
        if step % 3 == 1:
            frames[2] = 2  # four letters cannot fit into two frames
        letters = torch.full((8,), 4)
        loss = loss_fn(model(sound), text, frames, letters)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
