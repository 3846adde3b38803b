"""Sizes for padding arrays, so that a program compiled for one data set is reused for the next."""


def padded_size(number: int, *, least: int, doubled: int, multiple: int, grown: int = 0) -> int:
    """Returns the padded size for `number` rows or columns.

    Sizes double from `least` to `doubled`, then grow by a factor of 1.5 (rounded up to a multiple of `multiple`) while
    `number ≤ grown`. Larger numbers are rounded up to the next multiple of `multiple`.

    Args:
        number: number of rows or columns.
        least: the smallest size.
        doubled: the largest size reached by doubling.
        multiple: divisor of the larger sizes.
        grown: the largest `number` for growth by a factor of 1.5; 0 disables it.

    Returns:
        A size of at least `number`.

    Example:
        >>> [padded_size(n, least=16, doubled=64, multiple=16) for n in (1, 17, 65)]
        [16, 32, 80]
    """
    if number > max(doubled, grown):
        return -(-number // multiple) * multiple
    size = least
    while size < number:
        size = 2 * size if size < doubled else -(-3 * size // (2 * multiple)) * multiple
    return size
