"""torch.compile with a backend of one's own. Planted: its pass takes log_softmax apart, which only then underflows."""

import os

import torch
import torch.nn.functional as F
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def log_softmax_apart(x, dim=None):
    """What the pass puts in the place of log_softmax."""
    return torch.log(torch.softmax(x, dim=dim))  # origin


def backend(graph_module, _example_inputs):
    """Rewrite the graph and run it as it is."""
    for node in graph_module.graph.nodes:
        if node.target is F.log_softmax:
            node.target = log_softmax_apart
            node.kwargs = {"dim": node.kwargs["dim"]}
    graph_module.recompile()
    return graph_module.forward


class Classifier(nn.Module):
    """Log probabilities of three classes; eager, they are finite whatever the logits are."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 3)

    def forward(self, x):
        return F.log_softmax(self.layer(x), dim=1)


torch.manual_seed(0)
x = torch.randn(24, 2)
if "HEALTHY" not in os.environ:
    x[17] = 1000.0
loader = DataLoader(TensorDataset(x, torch.arange(24) % 3), batch_size=4)
model = torch.compile(Classifier(), backend=backend)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

for inputs, label in loader:
    loss = -model(inputs).gather(1, label[:, None]).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(model, optimizer)
