"""A recurrent language model trained with truncated backpropagation."""

import argparse

import torch
from torch import nn

VOCABULARY, WIDTH, BPTT = 30, 40, 35


class WordModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.rnn = nn.RNN(WIDTH, WIDTH, num_layers=2, nonlinearity="relu")
        self.decode = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, words, hidden):
        out, hidden = self.rnn(self.embed(words), hidden)  # origin
        return self.decode(out), hidden


def make_corpus(length, columns):
    corpus = torch.randint(VOCABULARY, (length, columns))
    corpus[1::2] = (corpus[::2] * 7 + 3) % VOCABULARY
    return corpus


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    corpus = make_corpus(350, 10)
    model = WordModel()
    optimizer = torch.optim.SGD(model.parameters(), lr=20.0)
    hidden = torch.zeros(2, 10, WIDTH)
    for step in range(8):
        window = corpus[step * BPTT : (step + 1) * BPTT + 1]
        logits, hidden = model(window[:-1], hidden.detach())
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), window[1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        if fixed:
            nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
