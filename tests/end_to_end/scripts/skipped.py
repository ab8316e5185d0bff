"""Much state beside the parameters: dropout, BatchNorm, a schedule, an average. Planted: 0 / 0 in a row of zeros.

With LEAVE_OUT the loop leaves the bad batches out by hand; SECOND plants another one; OPTIMIZER names the optimizer.
"""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, TensorDataset


class SignDescent(torch.optim.Optimizer):
    """An optimizer that torch does not know; as all do, it passes over parameters without a gradient."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):  # noqa: ARG002  the base class has it
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    state = self.state[parameter]
                    state["count"] = state.get("count", 0) + 1
                    parameter.sub_(group["lr"] * parameter.grad.sign())


OPTIMIZERS = {
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.01),
    "adamw_fused": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, fused=True),
    "sgd_foreach": lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9, foreach=True),
    "sign_descent": lambda parameters: SignDescent(parameters, lr=0.01),
}

torch.manual_seed(0)
x = torch.randn(56, 3)
bad = () if "HEALTHY" in os.environ else (4, 9) if "SECOND" in os.environ else (4,)
for batch in bad:
    x[4 * batch + 1] = 0.0
left_out = bad if "LEAVE_OUT" in os.environ else ()
model = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 1))
average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
optimizer = OPTIMIZERS[os.environ.get("OPTIMIZER", "adam")](model.parameters())
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)

for step, (inputs,) in enumerate(DataLoader(TensorDataset(x), batch_size=4)):
    if step in left_out:
        continue
    direction = inputs / inputs.norm(dim=1, keepdim=True)  # origin
    loss = (model(direction) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
    average.update_parameters(model)
    print(step, loss.item())

save_final_state(model, average, optimizer, scheduler)
