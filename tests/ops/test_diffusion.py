from __future__ import annotations

import math

import mpmath
import pytest
import torch
from mpmath import mp, mpf

from evenkeel import ops
from evenkeel.core.errors import UsageError

SCHEDULES = {
    "linear": ops.linear_schedule(1000),
    "cosine": ops.cosine_schedule(1000),
    "fine cosine": ops.cosine_schedule(100_000),
}
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())


def test_the_cosine_beside_its_definition() -> None:
    """In 60 digits, at the beginning where 1 - ratio would cancel, and at the end where the bound holds."""
    schedule = ops.cosine_schedule(1000)
    with mpmath.workdps(60):

        def bar(t: int) -> mpf:
            return mp.cos((mpf(t) / 1000 + mpf("0.008")) / mpf("1.008") * mp.pi / 2) ** 2

        for step in (0, 1, 500, 900, 990, 998):
            exact = bar(step + 1) / bar(0)
            assert schedule.log_alpha_bar[step].item() == pytest.approx(float(mp.log(exact)), rel=1e-12)
            assert schedule.noise[step].item() == pytest.approx(float(mp.sqrt(1 - exact)), rel=1e-12)
            assert schedule.log_snr[step].item() == pytest.approx(
                float(mp.log(exact / (1 - exact))), rel=1e-12, abs=1e-12
            )
        first = 1 - (mp.cos((mpf("1e-5") + mpf("0.008")) / mpf("1.008") * mp.pi / 2) ** 2) / bar(0)
        fine = -torch.expm1(ops.cosine_schedule(100_000).log_alpha_bar[0]).item()
        assert fine == pytest.approx(float(first), rel=1e-13)
    assert 1 / schedule.signal[999].item() == pytest.approx(64_166, rel=1e-4)


@every_schedule
def test_tables(schedule: ops.NoiseSchedule) -> None:
    """Float64, falling, and signal² + noise² = 1 to the last bits."""
    assert schedule.signal.dtype == torch.float64
    assert (schedule.log_snr.diff() < 0).all()
    torch.testing.assert_close(
        schedule.signal**2 + schedule.noise**2, torch.ones_like(schedule.signal), rtol=1e-15, atol=0
    )
    assert schedule.log_snr.isfinite().all()


def test_one_minus_alpha_bar_would_cancel() -> None:
    """A first beta of 1e-12: the noise is 1e-6 to all digits, √(1 - ᾱ) only to four."""
    schedule = ops.schedule_of_betas(torch.tensor([1e-12, 0.5], dtype=torch.float64))
    assert schedule.noise[0].item() == pytest.approx(1e-6, rel=1e-14)
    assert math.sqrt(1 - math.exp(schedule.log_alpha_bar[0].item())) != pytest.approx(1e-6, rel=1e-6)


def test_no_signal_left() -> None:
    """A last beta of 1: velocities convert with finite numbers, epsilon does not and says so."""
    schedule = ops.schedule_of_betas(torch.tensor([0.1, 1.0]))
    assert schedule.signal.tolist()[1] == 0
    assert schedule.noise.tolist()[1] == 1
    assert schedule.log_snr.tolist()[1] == -math.inf
    x0, e = torch.randn(2, 4, 3, dtype=torch.float64)
    for step in (0, 1):
        a, s = schedule.signal[step], schedule.noise[step]
        x, v = ops.noised(x0, e, a, s), ops.velocity_of(x0, e, a, s)
        torch.testing.assert_close(ops.x0_of_velocity(x, v, a, s), x0)
        torch.testing.assert_close(ops.epsilon_of_velocity(x, v, a, s), e)
    assert not ops.x0_of_epsilon(x, e, a, s).isfinite().any()
    assert not ops.velocity_of_epsilon(x, e, a, s).isfinite().any()


def test_conversions_agree_in_between() -> None:
    """Away from the ends every way leads to the same; at a clean end data give no velocity."""
    x0, e = torch.randn(2, 4, 3, dtype=torch.float64)
    a, s = torch.tensor(0.6, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64)
    x, v = ops.noised(x0, e, a, s), ops.velocity_of(x0, e, a, s)
    torch.testing.assert_close(ops.velocity_of_x0(x, x0, a, s), v)
    torch.testing.assert_close(ops.velocity_of_epsilon(x, e, a, s), v)
    torch.testing.assert_close(ops.x0_of_epsilon(x, e, a, s), x0)
    assert not ops.velocity_of_x0(x0, x0, torch.tensor(1.0), torch.tensor(0.0)).isfinite().any()
    half = ops.noised(x0.half(), e.half(), a, s)
    assert half.dtype == torch.float16


def test_entries_for_a_batch() -> None:
    """They are shaped to multiply the batch, and rounded once."""
    schedule = ops.linear_schedule(10)
    like = torch.zeros(3, 2, 5, dtype=torch.bfloat16)
    entries = schedule.at(schedule.noise, torch.tensor([0, 9, 4]), like)
    assert entries.shape == (3, 1, 1)
    assert torch.equal(entries.flatten(), schedule.noise[[0, 9, 4]].bfloat16())
    assert schedule.to("cpu").noise.equal(schedule.noise)


@pytest.mark.parametrize("betas", [[0.0, 0.1], [0.1, 1.0, 0.1], [-0.1], [math.nan], [1.1], []])
def test_betas_that_are_none(betas: list[float]) -> None:
    """Nothing outside (0, 1) passes, and a 1 at the end only."""
    with pytest.raises(UsageError, match="numbers in"):
        ops.schedule_of_betas(torch.tensor(betas))


def test_karras_sigmas() -> None:
    """Both ends to the bit, falling, evenly in the seventh root."""
    sigmas = ops.karras_sigmas(18)
    assert sigmas[0] == 80
    assert sigmas[-1] == 0.002
    steps = sigmas.pow(1 / 7).diff()
    torch.testing.assert_close(steps, steps[0].expand(17), rtol=1e-12, atol=0)
    for arguments in ((1,), (5, 0.0), (5, 2.0, 1.0)):
        with pytest.raises(UsageError, match="noise levels"):
            ops.karras_sigmas(*arguments)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_preconditioning_at_both_ends(dtype: torch.dtype) -> None:
    """Finite for every sigma of the dtype above 0; σ² alone would overflow or underflow."""
    info = torch.finfo(dtype)
    sigma = torch.tensor([info.tiny, 1e-30, 0.5, 1e30, info.max / 4], dtype=dtype)
    p = ops.edm_preconditioning(sigma, 0.5)
    assert all(c.isfinite().all() for c in p)
    torch.testing.assert_close(p.c_in, 1 / torch.hypot(sigma, torch.tensor(0.5, dtype=dtype)))
    assert p.c_skip[:2].tolist() == [1.0, 1.0]
    assert p.c_skip[2].item() == pytest.approx(0.5)
    assert p.c_out[3:].tolist() == [0.5, 0.5]
    assert p.c_out[:2].tolist() == pytest.approx(sigma[:2].tolist())
    assert p.c_noise[2].item() == pytest.approx(0.25 * math.log(0.5))
    at_zero = ops.edm_preconditioning(torch.tensor(0.0, dtype=dtype), 0.5)
    assert [c.item() for c in at_zero] == [1.0, 0.0, 2.0, -math.inf]


def test_preconditioning_asks_for_unit_variance() -> None:
    """Of a linear denoiser's target: (x0 - c_skip·x) / c_out has variance 1 for Gaussian data."""
    sigma = torch.tensor([0.01, 0.5, 20.0], dtype=torch.float64)
    p = ops.edm_preconditioning(sigma, 0.5)
    variance = ((1 - p.c_skip) ** 2 * 0.25 + p.c_skip**2 * sigma**2) / p.c_out**2
    torch.testing.assert_close(variance, torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(p.c_in**2 * (sigma**2 + 0.25), torch.ones(3, dtype=torch.float64))
