"""Sizes that arrays are padded to, so that programs compiled for one data set serve the next."""


def padded_size(number: int, *, least: int, doubled: int, multiple: int, grown: int = 0) -> int:
    """The size that `number` rows or columns are padded to.

    Sizes double from `least` to `doubled`, grow by a factor of 1.5 (rounded up to a multiple) for a `number` up to `grown`, and
    are the next multiple of `multiple` beyond.

    Args:
        number: of rows or columns.
        least: the smallest size.
        doubled: the largest power-of-two step.
        multiple: that larger sizes are multiples of.
        grown: up to which number sizes grow by a factor; 0 for no such sizes.

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
