"""Historical failures. Each function here is a line that somebody's program had, and each is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid
from torch.optim import Optimizer

from evenkeel_recipes.kit.faults import Fault
from evenkeel_recipes.virtual_cell.cells.data import Study, pieces
from evenkeel_recipes.virtual_cell.model.adapter import Adapter
from evenkeel_recipes.virtual_cell.model.latents import Encode, FlowBatch
from evenkeel_recipes.virtual_cell.model.parts import Parts


def raw_counts(counts: Tensor) -> Tensor:
    """Counts of hundreds go into a linear layer as they are."""
    return counts


def clamped_log_var(raw: Tensor, _bound: float) -> Tensor:
    """Beyond 10 the gradient is 0, and exp(10) makes a KL of 11,008 a dimension."""
    return raw.clamp(-10, 10)


def mean_without_library(logits: Tensor, _log_library: Tensor) -> Tensor:
    """exp(clamp(h)) as the mean: how deep a cell was sequenced has to come out of its latents."""
    return logits.clamp(-20, 20)


def nb_by_shares(counts: Tensor, log_mean: Tensor, log_theta: Tensor) -> Tensor:
    """Shares p and 1 - p, where 1 - p is exactly 0 as soon as the mean is 1e8 times theta."""
    mean, theta = log_mean.exp(), log_theta.exp()
    p = mean / (mean + theta)
    return (
        torch.lgamma(counts + theta) - torch.lgamma(theta) - torch.lgamma(counts + 1)
        + theta * torch.log(1 - p) + counts * torch.log(p)
    )  # fmt: skip


def nb_where_floor(counts: Tensor, log_mean: Tensor, log_theta: Tensor) -> Tensor:
    """What is not finite counts as -1e6: the value is hidden, its gradient is 0 * inf."""
    value = nb_by_shares(counts, log_mean, log_theta)
    return torch.where(torch.isfinite(value), value, torch.full_like(value, -1e6))


def nb_of_differences(counts: Tensor, log_mean: Tensor, log_theta: Tensor) -> Tensor:
    """lgamma(x + theta) - lgamma(theta): for large theta two large numbers that agree in nearly all digits."""
    s = log_mean - log_theta
    theta = log_theta.exp()
    return (
        torch.lgamma(counts + theta) - torch.lgamma(theta) - torch.lgamma(counts + 1)
        + theta * logsigmoid(-s) + counts * logsigmoid(s)
    )  # fmt: skip


def replaced_terms(nll: Tensor, kl: Tensor) -> Tensor:
    """A term that is not finite becomes the constant 1e3, which teaches nothing and alarms nobody."""
    return sum((term if torch.isfinite(term) else torch.tensor(1e3) for term in (nll, kl)), torch.zeros(()))


def check_after_clip(loss: Tensor, optimizer: Optimizer, parameters: Sequence[nn.Parameter], clip: float) -> Tensor:
    """The norm is looked at when clipping has spread it, each tenth step, and the step is made all the same."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    return norm


def clip_before_unscaling(scaler: torch.amp.GradScaler) -> Callable[..., Tensor]:
    """Mixed precision without `unscale_` before the clip; nor was there an `update()`, which torch now refuses."""

    def update(loss: Tensor, optimizer: Optimizer, parameters: Sequence[nn.Parameter], clip: float) -> Tensor:
        optimizer.zero_grad()
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(parameters, clip)
        scaler.step(optimizer)
        scaler.update()
        return norm

    return update


def leaking_latents(encode: Encode, study: Study, batch: FlowBatch) -> tuple[Tensor, Tensor]:
    """The encoder runs in stage 2, and nobody detached what it gives."""
    cells = next(pieces(study, batch.row.cpu().numpy(), len(batch.row)))
    found = encode(*(part.to(batch.row.device) for part in (cells.counts, cells.batch, cells.cell_type)))
    return found.mean, found.log_var


def everything(vae: Sequence[nn.Module], field: nn.Module) -> list[nn.Parameter]:
    """Stage 2 trains all there is."""
    return [parameter for part in (*vae, field) for parameter in part.parameters()]


def control_has_a_column(code: Tensor) -> Tensor:
    """Every category its own column, the control too."""
    return torch.cat([code, (code.sum(1, keepdim=True) == 0).to(code.dtype)], 1)


def control_is_zero(code: Tensor) -> Tensor:
    """And then cells are asked for with a code of zeros, which was never trained."""
    return torch.cat([code, torch.zeros_like(code[:, :1])], 1)


def adapter_itself(adapter: Adapter, features: Tensor, code: Tensor, of_type: Tensor) -> Tensor:
    """No bias, "so a code of 0 gives 0": but the cell type goes in as well."""
    return adapter(code @ features, of_type)  # type: ignore[no-any-return]


def shares_of_parts(code: Tensor) -> Tensor:
    """Divided by the sum of parts and multiplied by it again: 0 / 0 for the control."""
    total = code.sum(1, keepdim=True)
    return code / total * total


def still_where_bad(velocity: Tensor) -> Tensor:
    """A velocity that is not finite becomes 0: the cell stays where it was and is handed out as a result."""
    return torch.where(torch.isfinite(velocity), velocity, torch.zeros_like(velocity))


def historical_vae(parts: Parts) -> Parts:
    """What the likelihoods below were used with: raw counts, a clamp, no library."""
    return replace(parts, encoder_input=raw_counts, log_var=clamped_log_var, log_mean=mean_without_library)


FAULTS: tuple[Fault[Parts], ...] = (
    Fault(
        "flow_leak",
        "the samples of the VAE became worse while the flow was trained",
        "the latents of stage 2 were not detached, and its optimizer had all parameters",
        "checkup, backward: gradients on parameters of the VAE in the stage that holds it frozen, by name",
        loud=False,
        plant=lambda parts: replace(parts, latents=leaking_latents, flow_parameters=everything),
    ),
    Fault(
        "stage3_noop",
        "joint fine-tuning changed nothing",
        "latents were detached and the evidence bound was not among the losses",
        "checkup, config: stage 3 gives no parameter of the encoder a gradient",
        loud=False,
        plant=lambda parts: replace(parts, joint_loss=lambda _vae, flow: flow, joint_latents=torch.Tensor.detach),
    ),
    Fault(
        "frozen_train_mode",
        "losses of training and validation were not the same quantity",
        'model.train() left dropout on in the "frozen" encoder',
        "checkup, forward: modules in training mode under no_grad, by name; how far latents computed twice are apart",
        loud=False,
        plant=lambda parts: replace(parts, posterior_mode=nn.Module.train),
    ),
    Fault(
        "raw_counts_clamp",
        "KL divergences of thousands, and log-variances that stay at the clamp",
        "raw counts went into a linear layer; beyond the clamp there is no gradient that could lead back",
        "checkup, forward: the scale of the encoder's input; a log-variance clamped at 10 with gradient 0",
        loud=False,
        plant=lambda parts: replace(parts, encoder_input=raw_counts, log_var=clamped_log_var),
    ),
    Fault(
        "nb_where_floor",
        "the loss is finite, the parameters are NaN",
        "log(1 - p) of p = 1 is -inf; `where` hides the value, its gradient is 0 * inf",
        "evenkeel run, backward: torch.log(1 - p) in nb_by_shares, family gradient_singularity",
        loud=True,
        plant=lambda parts: replace(historical_vae(parts), likelihood=nb_where_floor),
    ),
    Fault(
        "nb_theta_cancel",
        "the likelihood jumps about for genes that are nearly Poisson",
        "lgamma(x + theta) - lgamma(theta) cancels in float32: off by 145 at theta 1e8",
        "checkup, loss: the likelihood disagrees with itself in float64",
        loud=False,
        plant=lambda parts: replace(parts, likelihood=nb_of_differences),
    ),
    Fault(
        "loss_replace_1e3",
        "the loss is 1,000 and some; nothing is learnt and nothing alarms",
        "a term that is not finite is replaced by a constant, so no check behind it can ever fire",
        "checkup, loss: a term that is NaN makes a finite loss, without gradient",
        loud=False,
        plant=lambda parts: replace(historical_vae(parts), likelihood=nb_by_shares, vae_loss=replaced_terms),
    ),
    Fault(
        "check_after_clip",
        "the weights were NaN before any check looked",
        "gradients were looked at after clipping, each tenth step, and the step was made all the same",
        "evenkeel run, forward: torch.log(1 - p) in nb_by_shares, family domain, at the first step, before the update",
        loud=True,
        plant=lambda parts: replace(historical_vae(parts), likelihood=nb_by_shares, update=check_after_clip),
    ),
    Fault(
        "ode_zero_velocity",
        "cells that never moved were handed out as generated ones",
        "codes were divided by their sum, 0 / 0 for the control, and a velocity of NaN was set to 0",
        "checkup, sampling: the code of the control is not finite, and a velocity of NaN is replaced by a number",
        loud=False,
        plant=lambda parts: replace(parts, asked_code=shares_of_parts, velocity=still_where_bad),
    ),
    Fault(
        "control_onehot",
        "the effect of a perturbation was noise",
        "the control had a column of its own in training and a code of zeros in sampling",
        "checkup, config: the control is asked for by another code than it is trained by",
        loud=False,
        plant=lambda parts: replace(parts, code=control_has_a_column, asked_code=control_is_zero),
    ),
    Fault(
        "adapter_ct_leak",
        "cells without any perturbation moved",
        "the adapter also sees the cell type, so a code of 0 gives no 0",
        "checkup, forward: the weights of the basis fields are not 0 for a code of 0",
        loud=False,
        plant=lambda parts: replace(parts, coefficients=adapter_itself),
    ),
    Fault(
        "dist_of_data",
        "the distribution loss is logged, and changes nothing (with --lambda-dist)",
        "it was computed from the data alone",
        "checkup, backward: the distance of distributions has a gradient of 0 for every parameter",
        loud=False,
        plant=lambda parts: replace(parts, distance_target=lambda _ended, aim: (aim.roll(1, 0), aim)),
    ),
    Fault(
        "no_library",
        "latents that should hold biology tell how deep a cell was sequenced",
        "the decoder has no library size",
        "checkup, forward: expected counts are the same for every library size",
        loud=False,
        plant=lambda parts: replace(parts, log_mean=mean_without_library),
    ),
    Fault(
        "permuted_vocab",
        "effects belonged to other perturbations than their names said",
        "parameters were loaded without the names they were trained for",
        "checkup, checkpoint: parameters of names in another order are loaded without a word",
        loud=False,
        plant=lambda parts: replace(parts, check_vocabulary=lambda _mine, _others: None),
    ),
    Fault(
        "amp_no_unscale",
        "mixed precision trains hardly at all",
        "gradients 65,536 times too large are clipped, then divided: steps are that much too small",
        "the first step of each stage, clip: clipping left gradients that are 65,536 times too small",
        loud=False,
        plant=lambda parts: replace(parts, update=clip_before_unscaling(torch.amp.GradScaler("cpu"))),
    ),
    Fault(
        "lr_explode",
        "the loss explodes, whatever gradients are clipped to",
        "the learning rate; AdamW divides by the size of the gradient, so clipping does not make its steps smaller",
        "evenkeel run, forward: the first operation that overflows, family dynamics: the updates outgrow the weights",
        loud=True,
        plant=lambda parts: replace(parts, learning_rate=lambda asked: asked * 1e7),
    ),
)
