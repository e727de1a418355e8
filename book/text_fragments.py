"""Stand-in."""


def with_fragment(url: str, quote: str, section: str) -> str:
    return f"{url}:~:text={quote[:10]}"
