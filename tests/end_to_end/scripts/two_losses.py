"""Two losses and two optimizers in each iteration, one graph. Planted: in the second loss, erfinv at 1."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.rand(36, 4) * 0.9
share = torch.rand(36, 1) * 0.9
if "HEALTHY" not in os.environ:
    share[19] = 1.0
encoder = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
decoder = nn.Linear(3, 4)
head = nn.Linear(3, 1)
for_encoder = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], lr=0.05, momentum=0.9)
for_head = torch.optim.Adam(head.parameters(), lr=0.01)

for inputs, target in DataLoader(TensorDataset(x, share), batch_size=4):
    code = encoder(inputs)
    reconstruction = (decoder(code) - inputs).square().mean()
    quantile = torch.erfinv(target)  # origin
    regression = (head(code) - quantile).square().mean()
    for_encoder.zero_grad()
    for_head.zero_grad()
    reconstruction.backward(retain_graph=True)
    regression.backward()
    for_encoder.step()
    for_head.step()
    print(reconstruction.item(), regression.item())

save_final_state(encoder, decoder, head, for_encoder, for_head)
