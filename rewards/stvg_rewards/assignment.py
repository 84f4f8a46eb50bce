"""One-to-one matching of rows and columns with the largest sum (Kuhn-Munkres, with potentials; cubic time)."""

import math
from collections.abc import Sequence


def best_assignment(gains: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Return the (row, column) pairs of a matching with the largest sum of gains, sorted by row.

    There are min(rows, columns) pairs.

    The result is exact; a test compares it with scipy's linear_sum_assignment.

    Args:
        gains: rows of equal length; all numbers are finite.

    >>> best_assignment([[0.9, 0.8], [0.8, 0.1]])  # 0.8 + 0.8 beats 0.9 + 0.1
    [(0, 1), (1, 0)]
    >>> best_assignment([[0.1, 0.2, 0.3]]), best_assignment([])
    ([(0, 2)], [])
    """
    if not gains or not gains[0]:
        return []
    if len(gains) > len(gains[0]):
        turned = best_assignment([list(column) for column in zip(*gains, strict=True)])
        return sorted((row, column) for column, row in turned)
    num_rows, num_columns = len(gains), len(gains[0])
    # Shortest augmenting paths over costs; index 0 stands for "none" on both sides.
    row_price, column_price = [0.0] * (num_rows + 1), [0.0] * (num_columns + 1)
    row_of = [0] * (num_columns + 1)
    for row in range(1, num_rows + 1):
        row_of[0], column = row, 0
        shortest, before, done = [math.inf] * (num_columns + 1), [0] * (num_columns + 1), [False] * (num_columns + 1)
        while True:
            done[column] = True
            current, step, following = row_of[column], math.inf, 0
            for other in range(1, num_columns + 1):
                if done[other]:
                    continue
                reduced = -gains[current - 1][other - 1] - row_price[current] - column_price[other]
                if reduced < shortest[other]:
                    shortest[other], before[other] = reduced, column
                if shortest[other] < step:
                    step, following = shortest[other], other
            for other in range(num_columns + 1):
                if done[other]:
                    row_price[row_of[other]] += step
                    column_price[other] -= step
                else:
                    shortest[other] -= step
            column = following
            if row_of[column] == 0:
                break
        while column:
            row_of[column] = row_of[before[column]]
            column = before[column]
    return sorted((row_of[column] - 1, column - 1) for column in range(1, num_columns + 1) if row_of[column])
