from __future__ import annotations

import math

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

from evenkeel import ops

ENDS = [0.0, 1e-12, 1e-4, 0.3, 0.999, 1 - 2**-24, 1.0]
SCALES = [0.39, 1.0, 2.0]


def drawn(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Data and noise, the same at every call."""
    generator = torch.Generator().manual_seed(0)
    x0, e = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return x0, e


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("s", SCALES)
def test_coefficients_beside_their_definition(s: float, dtype: torch.dtype) -> None:
    """In 60 digits, at both ends and between, within the 8 ulp that are stated."""
    times = torch.tensor(ENDS, dtype=dtype)
    got = ops.decoupled_preconditioning(times, s)
    with mpmath.workdps(60):
        for i, t in enumerate(mpf(v) for v in times.tolist()):
            d = (1 - t) ** 2 * mpf(s) ** 2 + t
            exact = (-(1 - t) * mpf(s) ** 2 / d, s * mp.sqrt(t / d), mp.sqrt(t) / d, (1 - t) * s / mp.sqrt(d))
            for coefficient, want in zip(got, (*exact, 1 / mp.sqrt(d)), strict=True):
                assert abs(mpf(coefficient[i].item()) - want) <= 8 * torch.finfo(dtype).eps * abs(want)


@pytest.mark.parametrize("s", [1e-30, 1.0, 1e30])
def test_both_ends_exactly(s: float) -> None:
    """Clean data answer for c alone, pure noise for e alone; a square of s would be 0 or inf in float32."""
    p = ops.decoupled_preconditioning(torch.tensor([0.0, 1.0]), s)
    assert [c[0].item() for c in p] == pytest.approx([-1.0, 0.0, 0.0, 1.0, 1 / s])
    assert [c[1].item() for c in p] == pytest.approx([0.0, s, 1.0, 0.0, 1.0])


@pytest.mark.parametrize("s", SCALES)
def test_unit_variance_is_asked_of_both_outputs(s: float) -> None:
    """At every t; with the wrong sign it is 2e4 at t = 1e-4."""
    t = torch.tensor([1e-4, 0.01, 0.1, 0.5, 0.9], dtype=torch.float64)
    p = ops.decoupled_preconditioning(t, s)
    one = torch.ones_like(t)
    # of x = (1 - t)·x0 + √t·e, so that a target's share of x0 and of e are squared apart
    fading = ((-1 - p.c_skip_fading * (1 - t)) ** 2 * s**2 + p.c_skip_fading**2 * t) / p.c_out_fading**2
    noise = ((1 - p.c_skip_noise * t.sqrt()) ** 2 + (p.c_skip_noise * (1 - t)) ** 2 * s**2) / p.c_out_noise**2
    torch.testing.assert_close(fading, one)
    torch.testing.assert_close(noise, one)
    torch.testing.assert_close(p.c_in**2 * ((1 - t) ** 2 * s**2 + t), one)
    wrong = ((-1 - (1 - t) * (1 - t)) ** 2 + (1 - t) ** 2 * t) / (t**2 / (t**2 + 1))
    assert wrong[0].sqrt().item() == pytest.approx(2e4, rel=0.01)


@given(st.floats(0, 1), st.floats(0.1, 10))
def test_one_output_gives_fading_and_noise_that_explain_the_sample(t: float, s: float) -> None:
    """The target of F puts back c = -x0 and e, at every t, the ends included; from them x0 comes without a division."""
    x0, e = drawn(4, 3)
    time = torch.tensor(t, dtype=torch.float64)
    x = ops.decoupled_noised(s * x0, e, time)
    p, f = ops.decoupled_preconditioning(time, s), ops.decoupled_target(s * x0, e, time, s)
    fading, noise = p.c_skip_fading * x + p.c_out_fading * f, p.c_skip_noise * x + p.c_out_noise * f
    torch.testing.assert_close(fading, -s * x0, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(noise, e, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(ops.x0_of_decoupled(x, fading, noise, time), s * x0, rtol=1e-12, atol=1e-13)


def test_the_target_is_a_velocity() -> None:
    """That of x0/s and e on the circle."""
    x0, e = drawn(5)
    t, s = torch.tensor(0.2, dtype=torch.float64), 0.7
    p = ops.decoupled_preconditioning(t, s)
    signal, noise = p.c_out_noise, p.c_out_fading / s
    torch.testing.assert_close(ops.decoupled_target(x0, e, t, s), ops.velocity_of(x0 / s, e, signal, noise))


@pytest.mark.parametrize("t", [0.0, 1.0])
def test_wrong_predictions_stay_as_wrong_as_they_are(t: float) -> None:
    """An error of 1 in both moves x0 by t + √t; where x_t is divided by √t or 1 - t it is infinite."""
    x0, e = drawn(4)
    time = torch.tensor(t, dtype=torch.float64)
    x = ops.decoupled_noised(x0, e, time)
    off = ops.x0_of_decoupled(x, 1 - x0, e + 1, time) - x0
    torch.testing.assert_close(off, torch.full_like(off, -t - math.sqrt(t)))
    by_division = (x - time.sqrt() * (e + 1)) / (1 - time) if t == 1 else (x + (1 - time) * (1 - x0)) / time.sqrt()
    assert not by_division.isfinite().any()


def test_velocities() -> None:
    """The slope of the sample itself, in t and in √t; only the second is finite at clean data."""
    x0, e = drawn(3)
    t = torch.tensor(0.3, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian
    torch.testing.assert_close(ops.decoupled_velocity(-x0, e, t), jacobian(lambda t: ops.decoupled_noised(x0, e, t), t))
    by_root = jacobian(lambda r: ops.decoupled_noised(x0, e, r**2), t.sqrt())
    torch.testing.assert_close(ops.decoupled_velocity_by_root(-x0, e, t.sqrt()), by_root)
    zero = torch.zeros(())
    assert torch.equal(ops.decoupled_velocity_by_root(-x0, e, zero), e)
    assert not ops.decoupled_velocity(-x0, e, zero).isfinite().any()


def test_walking_by_the_root_reaches_the_data() -> None:
    """Gaussian data have a known denoiser; 16 Heun steps in √t to t = 0 keep their variance within 1 %."""
    s = 1.0
    roots = [1 - k / 16 for k in range(17)]

    def velocity(x: torch.Tensor, at: float) -> torch.Tensor:
        root = torch.tensor(at, dtype=torch.float64)
        p = ops.decoupled_preconditioning(root**2, s)
        return ops.decoupled_velocity_by_root(p.c_skip_fading * x, p.c_skip_noise * x, root)

    end = ops.integrate(velocity, torch.ones(1, dtype=torch.float64), roots, ops.HEUN)
    assert end.item() ** 2 == pytest.approx(s**2, rel=0.01)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_narrow_dtypes_round_once(dtype: torch.dtype) -> None:
    """Every function answers in the dtype of its first argument what float32 has, rounded."""
    x0, e = (v.to(dtype) for v in drawn(4))
    t = torch.tensor(0.3, dtype=dtype)
    pairs = [
        (ops.decoupled_noised, (x0, e, t)),
        (ops.x0_of_decoupled, (x0, e, x0, t)),
        (ops.decoupled_velocity, (x0, e, t)),
        (ops.decoupled_velocity_by_root, (x0, e, t)),
    ]
    for function, arguments in pairs:
        got = function(*arguments)
        assert got.dtype == dtype
        assert torch.equal(got, function(*(a.float() for a in arguments)).to(dtype))
