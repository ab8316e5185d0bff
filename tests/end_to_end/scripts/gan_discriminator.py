"""Two optimizers, the failing update is the discriminator's. Planted: the log of a real sample of 0."""

import os

import torch
import torch.nn.functional as F
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
data = torch.rand(24, 2) + 0.1
if "HEALTHY" not in os.environ:
    data[14, 1] = 0.0
loader = DataLoader(TensorDataset(data), batch_size=4, shuffle=False)
generator = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
discriminator = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(), nn.Dropout(0.2), nn.Linear(8, 1))
optimizer_g = torch.optim.Adam(generator.parameters(), lr=0.01)
optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=0.01)

for (real,) in loader:
    optimizer_d.zero_grad()
    fake = generator(torch.randn(len(real), 3))
    on_real = discriminator(torch.log(real))  # origin
    on_fake = discriminator(fake.detach())
    loss_d = F.softplus(-on_real).mean() + F.softplus(on_fake).mean()
    loss_d.backward()
    optimizer_d.step()

    optimizer_g.zero_grad()
    loss_g = F.softplus(-discriminator(fake)).mean()
    loss_g.backward()
    optimizer_g.step()
    print(loss_d.item(), loss_g.item())

save_final_state(generator, discriminator, optimizer_g, optimizer_d)
