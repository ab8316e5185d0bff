"""Fit the rational functions of ops/stirling.py, in 80 digits, and print them with their largest errors.

Interpolation in w = 1/z² over (0, 1] at Chebyshev nodes, drawn towards 0 by their power 1.5. It is a Stieltjes
function of z², so all coefficients come out positive and nothing cancels when they are summed.
"""

from __future__ import annotations

from collections.abc import Callable

from mpmath import cos, digamma, log, loggamma, lu_solve, matrix, mp, mpf, pi, polyval, sqrt

Function = Callable[[mpf], mpf]
GRID = 2000
CROWDING = mpf(3) / 2  # of 1, 1.5, 2 and 3 the one with the smallest errors


def remainder(w: mpf) -> mpf:
    """z·[log Γ(z) - (z - ½)·log z + z - ½·log 2π] at z = w^(-½)."""
    z = 1 / sqrt(w)
    return z * (loggamma(z) - (z - mpf(1) / 2) * log(z) + z - log(2 * pi) / 2)


def slope(w: mpf) -> mpf:
    """-z²·d/dz of the remainder at z = w^(-½): z²·[log z - 1/(2z) - ψ(z)]."""
    z = 1 / sqrt(w)
    return z * z * (log(z) - 1 / (2 * z) - digamma(z))


def rational(f: Function, numerator: int, denominator: int) -> tuple[list[mpf], list[mpf]]:
    """The rational function of these degrees, through f at those nodes; ascending powers, 1 first below."""
    num_nodes = numerator + denominator + 1
    nodes = [((1 + cos(pi * (2 * k + 1) / (2 * num_nodes))) / 2) ** CROWDING for k in range(num_nodes)]
    rows = [[w**j for j in range(numerator + 1)] + [-f(w) * w**j for j in range(1, denominator + 1)] for w in nodes]
    solved = list(lu_solve(matrix(rows), matrix([f(w) for w in nodes])))
    return solved[: numerator + 1], [mpf(1), *solved[numerator + 1 :]]


def worst(f: Function, above: list[mpf], below: list[mpf]) -> mpf:
    """The largest error of w^½·f(w), which is what is added, over a grid in z^-1."""
    grid = [mpf(k) / GRID for k in range(1, GRID + 1)]
    return max(t * abs(polyval(above[::-1], t * t) / polyval(below[::-1], t * t) - f(t * t)) for t in grid)


def main() -> None:
    """Print what stands in ops/stirling.py."""
    mp.dps = 80
    for name, f, degrees in (
        ("remainder float32", remainder, (2, 3)),
        ("slope float32", slope, (3, 3)),
        ("remainder float64", remainder, (7, 7)),
        ("slope float64", slope, (8, 8)),
    ):
        above, below = rational(f, *degrees)
        print(name, "largest error", mp.nstr(worst(f, above, below), 3))
        for part in (above, below):
            assert all(c > 0 for c in part)
            print("   ", ", ".join(repr(float(c)) for c in part))


if __name__ == "__main__":
    main()
