"""What tokens cost, by the prices in the setting LLM_PRICE_PER_MILLION: an estimate."""

from decimal import Decimal, InvalidOperation

type Prices = tuple[Decimal, Decimal]  # of a million tokens: as input, as output


def price_pair(name: str, raw: str) -> Prices:
    """`0.40,1.60` as prices. Raises ValueError, whose sentence begins with `name`."""
    try:
        found = [Decimal(part.strip()) for part in raw.split(",")]
    except InvalidOperation:
        found = []
    if len(found) != 2 or not all(price.is_finite() and 0 <= price < 10**6 for price in found):
        raise ValueError(
            f"{name} must look like 0.40,1.60 (a million tokens' price as input, as output)."
        )
    return found[0], found[1]


def cost(prompt_tokens: int, completion_tokens: int, prices: Prices | None) -> Decimal | None:
    """In the currency of the prices; None where there are none."""
    if prices is None:
        return None
    of_input, of_output = prices
    return (prompt_tokens * of_input + completion_tokens * of_output) / 1_000_000
