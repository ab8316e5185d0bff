"""Complex parameters with Adam. Planted: the complex log of a response of 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
signal = torch.randn(32, 2, dtype=torch.complex64)
if "HEALTHY" not in os.environ:
    signal[18] = 0.0
filters = nn.Parameter(torch.randn(2, 3, dtype=torch.complex64))
optimizer = torch.optim.Adam([filters], lr=0.01)

for (inputs,) in DataLoader(TensorDataset(signal), batch_size=4):
    response = inputs @ filters
    cepstrum = torch.log(response)  # origin
    loss = (cepstrum.real - 1).square().mean() + cepstrum.imag.square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

moments = [torch.view_as_real(v) for v in optimizer.state[filters].values() if v.is_complex()]
save_final_state(nn.ParameterList([torch.view_as_real(filters.detach()), *moments]))
