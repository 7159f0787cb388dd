"""What runs of the grammar have found: seed and number of the request, and what was wrong."""

FOUND: tuple[tuple[int, int, str], ...] = ()
