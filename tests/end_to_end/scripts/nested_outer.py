"""Several critic updates from a loader of their own for each outer batch. Planted in the outer loss: 1 / 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
noise, temperature = torch.randn(20, 3), torch.ones(20, 1)
if "HEALTHY" not in os.environ:
    temperature[10] = 0.0
outer_loader = DataLoader(TensorDataset(noise, temperature), batch_size=4)
inner_loader = DataLoader(TensorDataset(torch.randn(12, 2)), batch_size=4, shuffle=True)
generator, critic = nn.Linear(3, 2), nn.Linear(2, 1)
for_generator = torch.optim.Adam(generator.parameters(), lr=0.01)
for_critic = torch.optim.RMSprop(critic.parameters(), lr=0.01)

for z, divisor in outer_loader:
    for (real,) in inner_loader:
        gap = critic(generator(torch.randn(4, 3)).detach()).mean() - critic(real).mean()
        for_critic.zero_grad()
        gap.backward()
        for_critic.step()
        print("  critic", gap.item())
    sharpness = 1 / divisor  # origin
    loss = -(sharpness * critic(generator(z))).mean()
    for_generator.zero_grad()
    loss.backward()
    for_generator.step()
    print("generator", loss.item())

save_final_state(generator, critic, for_generator, for_critic)
