"""What a text fragment highlights in Chromium, read from the pixels of the page."""

import re
from base64 import b64encode

from playwright.sync_api import BrowserContext, Page

# In a colour that nothing else has.
STYLE = "::target-text { background: #f0f !important; color: #000 !important }"
# From the first pixel of that colour to the last one, in the order of reading.
EXTENT = """async (picture) => {
    const image = new Image()
    image.src = picture
    await image.decode()
    const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d")
    canvas.drawImage(image, 0, 0)
    const { data } = canvas.getImageData(0, 0, image.width, image.height)
    const found = []
    for (let at = 0; at < data.length; at += 4)
        if (data[at] === 255 && data[at + 1] === 0 && data[at + 2] === 255)
            found.push([(at / 4) % image.width, Math.floor(at / 4 / image.width)])
    if (!found.length) return null
    const [top, bottom] = [found[0][1], found.at(-1)[1]]
    const first = found.filter(([, y]) => y < top + 4).map(([x]) => x)
    const last = found.filter(([, y]) => y > bottom - 4).map(([x]) => x)
    return [Math.min(...first), top, Math.max(...last), bottom]
}"""
WORDS = """([left, top, right, bottom]) => {
    const start = document.caretRangeFromPoint(left + 1, top + 5)
    const end = document.caretRangeFromPoint(right, bottom - 5)
    const range = document.createRange()
    range.setStart(start.startContainer, start.startOffset)
    range.setEnd(end.startContainer, end.startOffset)
    return range.toString()
}"""


def highlighted(page: Page, eye: Page, url: str) -> str:
    """The words that are highlighted in view at this address; `eye` is another page."""
    page.goto("about:blank")
    page.goto(url)
    page.add_style_tag(content=STYLE)
    picture = b64encode(page.screenshot()).decode()
    extent = eye.evaluate(EXTENT, f"data:image/png;base64,{picture}")
    return page.evaluate(WORDS, extent) if extent else ""


def pages(context: BrowserContext) -> tuple[Page, Page]:
    return context.new_page(), context.new_page()


def is_of(words: str, quote: str) -> bool:
    """Whether they are a quote's (Markdown): its first and last ones, or all of few."""
    shown, meant = _letters(words), _letters(_without_marks(quote))
    ends_alike = shown[:2] == meant[:2] and shown[-2:] == meant[-2:]
    return bool(shown) and (ends_alike or "".join(shown) == "".join(meant))


def _without_marks(quote: str) -> str:
    return re.sub(r"\]\([^)]*\)|\[\^[^\]]*\]:?|\\", " ", quote)


def _letters(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())
