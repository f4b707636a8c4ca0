"""Kubernetes quantities: only as much arithmetic as a resource factor needs."""

import re
from decimal import Decimal

_QUANTITY = re.compile(r"([+-]?[0-9]*\.?[0-9]+|[0-9]+\.)([eE][+-]?[0-9]+|[a-zA-Z]*)")


def times(quantity: object, factor: int) -> object:
    """That quantity, so many times.  What is none is left for the API server to refuse."""
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        return quantity
    number = Decimal(match[1]) * factor
    return f"{number.normalize():f}{match[2]}"
