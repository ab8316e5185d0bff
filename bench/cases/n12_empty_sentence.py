"""A transformer encoder over padded sentences, one of which has no word at all."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

LONGEST, WIDTH = 6, 8


class SentenceModel(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, nhead=2, dim_feedforward=16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2)
        self.out = nn.Linear(WIDTH, 2)

    def forward(self, words, padded):
        return self.out(self.encoder(words, src_key_padding_mask=padded).mean(dim=1))


def main():
    torch.manual_seed(0)
    words = torch.randn(48, LONGEST, WIDTH)
    length = torch.randint(1, LONGEST + 1, (48,))
    length[20] = 0
    padded = torch.arange(LONGEST) >= length[:, None]
    label = (words[:, 0, 0] > 0).long()
    loader = DataLoader(TensorDataset(words, padded, label), batch_size=8)
    model = SentenceModel()
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for epoch in range(2):
        for x, mask, y in loader:
            loss = nn.functional.cross_entropy(model(x, mask), y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
