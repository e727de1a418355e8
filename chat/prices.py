"""What tokens cost, by the prices in the setting LLM_PRICE_PER_MILLION: an estimate."""

from decimal import Decimal

type Prices = tuple[Decimal, Decimal]  # of a million tokens: as input, as output


def cost(prompt_tokens: int, completion_tokens: int, prices: Prices | None) -> Decimal | None:
    """In the currency of the prices; None where there are none."""
    if prices is None:
        return None
    of_input, of_output = prices
    return (prompt_tokens * of_input + completion_tokens * of_output) / 1_000_000
