"""torch.optim.swa_utils: AveragedModel, SWALR and update_bn. Planted: the log of a product that is 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.rand(40, 3) + 0.5
if "HEALTHY" not in os.environ:
    x[26, 2] = 0.0
loader = DataLoader(TensorDataset(x), batch_size=4)
model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1))
average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
scheduler = SWALR(optimizer, swa_lr=0.01, anneal_epochs=6)

for (inputs,) in loader:
    target = torch.log(inputs.prod(1, keepdim=True))  # origin
    loss = (model(inputs) - target).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    average.update_parameters(model)
    scheduler.step()
    print(loss.item())

update_bn(loader, average)
save_final_state(model, average, optimizer, scheduler)
