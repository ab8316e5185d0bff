"""Fit the rational functions of ops/stirling.py, in 80 digits, and print them with their largest errors.

Interpolation in w = 1/z², or in 1/z, over (0, 1] at Chebyshev nodes, drawn towards 0 by a power. They are Stieltjes
functions, so all coefficients of rational functions come out positive and nothing cancels when they are summed.
"""

from __future__ import annotations

from collections.abc import Callable

from mpmath import cos, digamma, log, loggamma, lu_solve, matrix, mp, mpf, pi, polyval, sqrt

Function = Callable[[mpf], mpf]
GRID = 2000


def remainder(w: mpf) -> mpf:
    """z·[log Γ(z) - (z - ½)·log z + z - ½·log 2π] at z = w^(-½)."""
    z = 1 / sqrt(w)
    return z * (loggamma(z) - (z - mpf(1) / 2) * log(z) + z - log(2 * pi) / 2)


def slope(w: mpf) -> mpf:
    """-z²·d/dz of the remainder at z = w^(-½): z²·[log z - 1/(2z) - ψ(z)]."""
    z = 1 / sqrt(w)
    return z * z * (log(z) - 1 / (2 * z) - digamma(z))


def fall(t: mpf) -> mpf:
    """How much the remainder falls from 1 to z = 1/t, divided by z - 1 and t."""
    z = 1 / t
    return (1 - log(2 * pi) / 2 - t * remainder(t * t)) / (t * (z - 1))


def rational(f: Function, numerator: int, denominator: int, crowding: mpf) -> tuple[list[mpf], list[mpf]]:
    """The rational function of these degrees, through f at those nodes; ascending powers, 1 first below."""
    num_nodes = numerator + denominator + 1
    nodes = [((1 + cos(pi * (2 * k + 1) / (2 * num_nodes))) / 2) ** crowding for k in range(num_nodes)]
    rows = [[w**j for j in range(numerator + 1)] + [-f(w) * w**j for j in range(1, denominator + 1)] for w in nodes]
    solved = list(lu_solve(matrix(rows), matrix([f(w) for w in nodes])))
    return solved[: numerator + 1], [mpf(1), *solved[numerator + 1 :]]


def worst(f: Function, above: list[mpf], below: list[mpf], variable: Function, share: Function) -> mpf:
    """The largest error of share·f, which is what is added, over a grid in t = 1/z; both are functions of t."""
    grid = [mpf(k) / GRID for k in range(1, GRID)]
    pairs = ((t, variable(t)) for t in grid)
    return max(share(t) * abs(polyval(above[::-1], v) / polyval(below[::-1], v) - f(v)) for t, v in pairs)


def square(t: mpf) -> mpf:
    """The variable w."""
    return t * t


def itself(t: mpf) -> mpf:
    """The variable t."""
    return t


def beside(t: mpf) -> mpf:
    """What the fall is multiplied by: (z - 1)/z."""
    return 1 - t


# The powers are those with the smallest errors, of some between 1 and 3.
FITS = (
    ("remainder float32", remainder, (2, 3), "1.5", square, itself),
    ("fall float32", fall, (5, 0), "1.2", itself, beside),
    ("slope float32", slope, (3, 3), "1.5", square, itself),
    ("remainder float64", remainder, (7, 7), "1.5", square, itself),
    ("fall float64", fall, (7, 8), "1.75", itself, beside),
    ("slope float64", slope, (8, 8), "1.5", square, itself),
)


def main() -> None:
    """Print what stands in ops/stirling.py."""
    mp.dps = 80
    for name, f, degrees, crowding, variable, share in FITS:
        above, below = rational(f, *degrees, mpf(crowding))
        print(name, "largest error", mp.nstr(worst(f, above, below, variable, share), 3))
        for part in (above, below):
            assert len(below) == 1 or all(c > 0 for c in part)
            print("   ", ", ".join(repr(float(c)) for c in part))


if __name__ == "__main__":
    main()
