"""Coefficients of diffusion models at a noise level or a time."""

from __future__ import annotations

import math

import torch
from mpmath import mp
from torch import Tensor
from ulps import Row, elementwise_points

from evenkeel import ops

SIGMA_DATA = 0.39


def edm(sigma: object) -> list:
    s = mp.mpf(SIGMA_DATA)
    total = sigma**2 + s**2
    return [s**2 / total, sigma * s / mp.sqrt(total), 1 / mp.sqrt(total), mp.log(sigma) / 4]


def naive_edm(sigma: Tensor) -> Tensor:
    total = sigma**2 + SIGMA_DATA**2
    made = (SIGMA_DATA**2 / total, sigma * SIGMA_DATA / total.sqrt(), 1 / total.sqrt(), sigma.log() / 4)
    return torch.stack(made, -1)


def decoupled(t: object) -> list:
    s = mp.mpf(SIGMA_DATA)
    total = (1 - t) ** 2 * s**2 + t
    root = mp.sqrt(total)
    return [-(1 - t) * s**2 / total, s * mp.sqrt(t / total), mp.sqrt(t) / total, (1 - t) * s / root, 1 / root]


def naive_decoupled(t: Tensor) -> Tensor:
    s = SIGMA_DATA
    total = (1 - t) ** 2 * s**2 + t
    root = total.sqrt()
    made = (-(1 - t) * s**2 / total, s * (t / total).sqrt(), t.sqrt() / total, (1 - t) * s / root, 1 / root)
    return torch.stack(made, -1)


ROWS = [
    Row(
        "edm_preconditioning",
        lambda sigma: torch.stack(ops.edm_preconditioning(sigma, SIGMA_DATA), -1),
        edm,
        elementwise_points(0.0, math.inf, without=(0.0, math.inf)),
        1,
        6,
        {"naive, with squares": naive_edm},
    ),
    Row(
        "decoupled_preconditioning",
        lambda t: torch.stack(ops.decoupled_preconditioning(t, SIGMA_DATA), -1),
        decoupled,
        elementwise_points(0.0, 1.0, 1.0),
        1,
        8,
        {"naive, with squares": naive_decoupled},
    ),
]
