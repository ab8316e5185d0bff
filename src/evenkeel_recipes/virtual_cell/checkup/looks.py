"""Looks at the parts of a recipe: each gives what is wrong in a sentence with its number, or None.

A look may freeze parameters and change modes; `alarms` puts that back.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.cells.conditions import Vocabulary
from evenkeel_recipes.virtual_cell.checkup.sample import Sample
from evenkeel_recipes.virtual_cell.model.model import VirtualCell
from evenkeel_recipes.virtual_cell.model.vae import LOG_THETA_RANGE
from evenkeel_recipes.virtual_cell.training.flow_data import posteriors
from evenkeel_recipes.virtual_cell.training.stages import flow_terms, joint_terms

LARGEST_INPUT = 20.0  # log1p of 5e8
RAW, LEAST_SLOPE = 12.0, 1e-6  # raw output of the encoder, and the slope that a log-variance keeps there
AGREEMENT = 1e-4  # of a log-likelihood in float32 with itself in float64, relative to the value or 1
LARGEST_UPDATE = 1.0  # the first step of AdamW, relative to the weights it moves


def frozen_vae(model: VirtualCell, sample: Sample) -> str | None:
    """Stage 2 gives gradients to the field alone."""
    model.parts.flow_parameters((model.encoder, model.decoder), model.field)
    loss, _ = flow_terms(model, sample.flow(model), sample.material)
    names = [name for name in _reached(model, loss) if not name.startswith("field.")]
    if not names:
        return None
    return f"stage 2, which is to hold the VAE frozen, gives gradients to {len(names)} of its parameters, as {names[0]}"


def joint_training(model: VirtualCell, sample: Sample) -> str | None:
    """Stage 3 gives gradients to the encoder."""
    loss, _ = joint_terms(model, sample.pairs, sample.material.config)
    if any(name.startswith("encoder.") for name in _reached(model, loss)):
        return None
    return "stage 3 gives no parameter of the encoder a gradient, so it trains nothing of the VAE"


def frozen_latents(model: VirtualCell, sample: Sample) -> str | None:
    """The latents of stage 2 are the same each time."""
    study, rows = sample.material.study, sample.material.split.train
    first, again = (posteriors(model, study, rows).mean for _ in range(2))
    busy = [f"encoder.{name}" for name, m in model.encoder.named_modules() if isinstance(m, nn.Dropout) and m.training]
    if not busy:
        return None
    return (
        f"{', '.join(busy)} are in training mode under no_grad while the latents of stage 2 are computed; computed "
        f"again, they differ by up to {float((first - again).abs().max()):.3g}"
    )


def input_scale(model: VirtualCell, sample: Sample) -> str | None:
    """The encoder sees numbers of a size that linear layers are made for."""
    largest = float(model.parts.encoder_input(sample.cells.counts).max())
    return None if largest <= LARGEST_INPUT else f"the encoder's input reaches {largest:.4g}; it is to see log1p counts"


def log_variance(model: VirtualCell, _sample: Sample) -> str | None:
    """A log-variance near its bound has a gradient that leads back."""
    raw = torch.tensor([-RAW, RAW], requires_grad=True)
    bounded = model.parts.log_var(raw, model.sizes.log_var_bound)
    (slope,) = torch.autograd.grad(bounded.sum(), raw, create_graph=True)
    if float(slope.detach().abs().min()) >= LEAST_SLOPE:
        return None
    largest = float(bounded.detach().max())
    kl = 0.5 * float(torch.tensor(largest).double().exp() - largest - 1)
    return (
        f"a log-variance is clamped at {largest:g} with gradient 0, where a dimension has a KL divergence of {kl:,.0f}"
    )


def likelihood_at_edges(model: VirtualCell, _sample: Sample) -> str | None:
    """Wherever the decoder may come to, the likelihood is finite, and so is its gradient."""
    log_mean = torch.tensor([-20.0, 0.0, 20.0]).repeat_interleave(4).requires_grad_()
    log_theta = torch.tensor(LOG_THETA_RANGE).repeat_interleave(2).repeat(3).requires_grad_()
    value = model.parts.likelihood(torch.tensor([0.0, 5.0]).repeat(6), log_mean, log_theta)
    slopes = torch.stack(torch.autograd.grad(value.sum(), [log_mean, log_theta], create_graph=True))
    value = value.detach()
    bad = ~value.isfinite()
    hidden = (~slopes.isfinite()).any(0) & ~bad
    if not bool((bad | hidden).any()):
        return None
    least = float(value[~bad].min())
    return (
        f"with log means of -20 to 20, {int(bad.sum())} of {len(value)} log-likelihoods are not finite, and "
        f"{int(hidden.sum())} are (least {least:.3g}) though their gradients are not"
    )


def likelihood_precision(model: VirtualCell, _sample: Sample) -> str | None:
    """For every theta the likelihood in float32 is that in float64."""
    log_theta = torch.linspace(*LOG_THETA_RANGE, 12)
    given = (torch.full_like(log_theta, 3.0), torch.ones_like(log_theta), log_theta)
    narrow, wide = model.parts.likelihood(*given).double(), model.parts.likelihood(*(x.double() for x in given))
    error = float(((narrow - wide).abs() / wide.abs().clamp(min=1)).max())
    return None if error <= AGREEMENT else f"the likelihood in float32 is off by up to {error:.2g} against float64"


def bad_term(model: VirtualCell, _sample: Sample) -> str | None:
    """A term of NaN makes a loss of NaN, which somebody can see."""
    term = torch.tensor(torch.nan, requires_grad=True)
    loss = model.parts.vae_loss(term, torch.tensor(2.0))
    if not bool(loss.isfinite()):
        return None
    return f"a term that is NaN makes a loss of {float(loss):g}, {'with' if loss.requires_grad else 'without'} gradient"


def bad_velocity(model: VirtualCell, _sample: Sample) -> str | None:
    """A velocity of NaN stays one, and the code of the control makes none."""
    bad = int((~model.parts.asked_code(_no_code(model)).isfinite()).sum())
    found = [f"{bad} numbers of the control's code are not finite"] * (bad > 0)
    if bool(model.parts.velocity(torch.tensor([torch.nan])).isfinite().all()):
        found.append("a velocity of NaN is replaced, so its cell stays where it was and counts as generated")
    return "; ".join(found) or None


def trained_control(model: VirtualCell, sample: Sample) -> str | None:
    """The control is asked for as it was trained."""
    codes = torch.from_numpy(sample.material.study.codes)
    control = codes[sample.material.study.control][None]
    trained, asked = (
        model.parts.code(control)[0].tolist(),
        model.parts.asked_code(torch.zeros_like(control))[0].tolist(),
    )
    return None if trained == asked else f"the control is trained as {trained} and asked for as {asked}"


def no_effect(model: VirtualCell, sample: Sample) -> str | None:
    """Without a perturbation the weights of the basis fields are 0, in every type."""
    kinds = torch.arange(len(sample.material.study.vocabulary.cell_types))
    weights = model.field.effect(_no_code(model).expand(len(kinds), -1), kinds, model.parts)
    most = float(weights.detach().abs().max())
    return None if most == 0 else f"without a perturbation, weights of the basis fields reach {most:.3g} and not 0"


def distance_of_sets(model: VirtualCell, sample: Sample) -> str | None:
    """The distance of distributions moves the field."""
    material = replace(sample.material, config=replace(sample.material.config, lambda_dist=1.0))
    terms = flow_terms(model, sample.flow(model), material)[1]
    if not float(terms["conditions"]) or _reached(model, terms["distance"]):
        return None
    return (
        f"the distance of distributions is {float(terms['distance']):.3g} and has a gradient of 0 for every parameter"
    )


def observed_library(model: VirtualCell, _sample: Sample) -> str | None:
    """Expected counts are more for a deeper cell."""
    logits = torch.zeros(1, model.sizes.n_genes)
    few, many = (float(model.parts.log_mean(logits, torch.tensor([[log]])).logsumexp(1)) for log in (1.0, 9.0))
    if few != many:
        return None
    return f"expected counts add up to exp({few:.3g}) for libraries of exp(1) and of exp(9): latents have to hold depth"


def loaded_names(model: VirtualCell, sample: Sample) -> str | None:
    """Parameters of the same names in another order are refused."""
    words = sample.material.study.vocabulary
    turned = replace(words, perturbations=words.perturbations[::-1], genes=words.genes[::-1])
    if _refuses(model, words, turned):
        return None
    return f"parameters for {turned.perturbations[0]}, … are loaded for {words.perturbations[0]}, … without a word"


def first_update(model: VirtualCell, sample: Sample) -> str | None:
    """The first update is smaller than the weights; AdamW makes it as large as the rate, whatever is clipped."""
    rate = model.parts.learning_rate(sample.material.config.lr_vae)
    weights = torch.cat([p.detach().flatten() for p in model.encoder.parameters()])
    ratio = rate / float(weights.square().mean().sqrt())
    return (
        None if ratio <= LARGEST_UPDATE else f"at a rate of {rate:g} the first update is {ratio:.3g} times the weights"
    )


def _reached(model: VirtualCell, loss: Tensor) -> list[str]:
    """Parameters that have a gradient of the loss, by name."""
    asked = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not loss.requires_grad:
        return []
    # With `create_graph` a gradient counts as part of a loss: whoever supervises the process takes it for no step.
    slopes = torch.autograd.grad(loss, list(asked.values()), create_graph=True, allow_unused=True)
    return [
        name
        for name, slope in zip(asked, slopes, strict=True)
        if slope is not None and bool(slope.any())  # type: ignore[redundant-expr]  # None where it is not reached
    ]


def _no_code(model: VirtualCell) -> Tensor:
    return torch.zeros(1, model.sizes.n_codes)


def _refuses(model: VirtualCell, mine: Vocabulary, others: Vocabulary) -> bool:
    if mine == others:  # one perturbation and one gene have no other order
        return True
    try:
        model.parts.check_vocabulary(mine, others)
    except Refused:
        return True
    return False
