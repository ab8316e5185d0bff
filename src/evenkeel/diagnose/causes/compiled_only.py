"""The failure needs the compiled form of the program: run eagerly, the same step is healthy.

What you see:
    A bad loss or gradient under torch.compile. Replayed as it ran, it comes back to the bit; replayed with
    torch.compiler.set_stance("force_eager"), it does not.
Why:
    A compiler may fuse, reorder and keep wider or narrower intermediates: what is rounded to half precision between
    two operations in eager mode may not be, or the reverse. An expression that is only just finite in one form
    overflows in the other. A defect of the compiler, or of a backend or a kernel of one's own, looks the same.
Bad:
    step = torch.compile(lambda x: (x.half() * 300).float() / 300)     # finite or not, as the compiler fuses it
Good:
    step = torch.compile(lambda x: x)                                  # nothing that stands at the edge of a dtype
Not this:
    A failure that the eager replay has too is explained by the operation that made it.
Source:
    pytorch#100854, #170936; the accuracy minifier of torch.compile.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.words import number

CODE = "EK297"
FAMILY: Family = "precision"


def judge(case: Case) -> Cause | None:
    """The symptom came again in compiled code only."""
    if not case.only_compiled:
        return None
    value = f" ({number(case.symptom.value)})" if case.symptom.value is not None else ""
    return Cause(
        name="compiled_only",
        code=CODE,
        family=FAMILY,
        text=(
            f"The bad {case.symptom.kind} {case.symptom.name}{value} of step {case.step} needs the compiled form: "
            "run eagerly, the same step is healthy."
        ),
        evidence=(
            "replayed as it ran, compiled: the symptom came back, the same to the bit",
            'replayed under torch.compiler.set_stance("force_eager"): the tensors that were bad are finite',
        ),
        confidence=0.95,
        advice=(
            "Leave the region uncompiled (torch.compiler.disable on the module) or compile piece by piece to find it; "
            'TORCH_LOGS="output_code" shows what was made of it, and torch._inductor.config.emulate_precision_casts '
            "rounds as eager mode does."
        ),
    )
