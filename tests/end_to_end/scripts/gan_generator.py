"""Two optimizers, the failing update is the generator's. Planted: a condition of 0 that divides."""

import os

import torch
import torch.nn.functional as F
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
condition = torch.ones(24, 1)
if "HEALTHY" not in os.environ:
    condition[13] = 0.0
loader = DataLoader(TensorDataset(torch.randn(24, 2), condition), batch_size=4)
generator = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
critic = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(), nn.Linear(8, 1))
for_generator = torch.optim.Adam(generator.parameters(), lr=0.01)
for_critic = torch.optim.Adam(critic.parameters(), lr=0.01)

for real, c in loader:
    fake = generator(torch.cat([torch.randn(len(c), 2), c], dim=1))
    loss_critic = F.softplus(-critic(real)).mean() + F.softplus(critic(fake.detach())).mean()
    for_critic.zero_grad()
    loss_critic.backward()
    for_critic.step()

    weight = 1 / c  # origin
    loss_generator = (weight * F.softplus(-critic(fake))).mean()
    for_generator.zero_grad()
    loss_generator.backward()
    for_generator.step()
    print(loss_critic.item(), loss_generator.item())

save_final_state(generator, critic, for_generator, for_critic)
