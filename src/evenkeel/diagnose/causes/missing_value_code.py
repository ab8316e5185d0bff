"""A code for "missing" was taken for a measurement.

What you see:
    An overflow in a batch whose smallest or largest entry is -9999, 1e20, 9.96921e36 or the like, while the rest is
    ordinary.
Why:
    Files mark what was not measured with a number far outside the data: -9999 in tables and grids, -32768 in 16-bit
    rasters, 1e20 and 9.96921e36 in netCDF, the largest float in others. Read without the mask, it is data.
Bad:
    x = torch.from_numpy(np.fromfile("grid.flt", "f4"))
Good:
    valid = x != -9999.0
    x = torch.where(valid, x, mean)                    # and leave invalid targets out of the loss, counted
Not this:
    A wild number that is no such code is outlier_input; NaN for "missing" is nonfinite_input; inputs that are large
    throughout are scale_mismatch; a mask of the lowest float is mask_constant_overflow. Standardising over the codes
    shifts every other value.
Source:
    netCDF's default fill values (NC_FILL_FLOAT, NC_FILL_SHORT); the CF conventions (missing_value); Esri ASCII
    grids (NODATA_value -9999).
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Leaf, Operation
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, masks, words

CODE = "EK245"
FAMILY: Family = "data"

_FILL = 9.969209968386869e36  # netCDF's default for floats
_LARGEST = 3.4028234663852886e38  # of float32
_ROUNDED_1E20 = 100000002004087734272.0  # 1e20 in float32
_LARGE_CODES = frozenset({1e20, -1e20, _ROUNDED_1E20, -_ROUNDED_1E20, _FILL, -_FILL, _LARGEST, -_LARGEST})
_SMALL_CODES = frozenset({-999.0, -9999.0, -99999.0, -32767.0, -32768.0})
_ORDINARY = 0.1  # of the code: what the other end of the range may reach


def judge(case: Case) -> Cause | None:
    """An overflow in a step whose batch has exactly such a code at one end of its range."""
    origin = evidence.born(case)
    overflow = evidence.overflow(origin) if origin is not None else None
    if origin is None or overflow is None or masks.overflowed_mask(overflow) is not None:
        return None
    found = next(((e, code) for e in case.leaves if e.kind == "batch" and (code := _code(e)) is not None), None)
    if found is None or (found[1] in _SMALL_CODES and not _is_narrow(overflow)):
        return None
    source, code = found
    samples = f"; samples {words.some(origin.samples)} lead to the bad value" if origin.samples else ""
    return Cause(
        name="missing_value_code",
        code=CODE,
        family=FAMILY,
        text=f"{words.leaf(source)} holds {code:.7g}, a usual code for a missing value, while its other end is "
        f"{number(_other_end(source, code))}; {evidence.base(origin.operation)} took it for a number and overflowed"
        f"{words.cite(origin.operation)}{samples}.",
        evidence=(words.tensor(source.stats),),
        confidence=0.84 if code in _LARGE_CODES else 0.5,
        advice=(
            "Read the fill value from the file's own description and turn it into a mask when loading; fill the gaps "
            "before any arithmetic, leave them out of means and losses, and count them."
        ),
    )


def _code(source: Leaf) -> float | None:
    """The code at one end of the range, if the other end is ordinary beside it."""
    ends = (source.stats.min, source.stats.max)
    code = next((end for end in ends if end in _LARGE_CODES or end in _SMALL_CODES), None)
    if code is None or abs(_other_end(source, code)) > _ORDINARY * abs(code):
        return None
    return code


def _other_end(source: Leaf, code: float) -> float:
    """The end of the range that is not the code; the code itself where nothing else is there."""
    low, high = source.stats.min, source.stats.max
    other = high if low == code else low
    return code if other is None else other


def _is_narrow(operation: Operation) -> bool:
    """Whether a code of some thousand suffices: for an exponential, or in a format that ends at 65,504."""
    return evidence.base(operation) in evidence.EXPONENTIALS or evidence.dtype_of(operation) == "float16"
