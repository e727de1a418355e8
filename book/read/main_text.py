"""Which part of a page is the book's text, without what its generator puts around and between."""

from selectolax.lexbor import LexborHTMLParser, LexborNode

from book.read.html import tag_of

# The text alone, as generators mark it; the more particular ones first.
MAINS = (
    ".theme-doc-markdown",  # Docusaurus
    "article.md-content__inner",  # Material for MkDocs
    "article.bd-article",  # Jupyter Book, and others on pydata's theme
    ".vp-doc",  # VitePress
    "section.markdown-section",  # HonKit, GitBook
    "[itemprop=articleBody]",  # Read the Docs
)
# As HTML marks it. Lists of articles (of a blog) are not the text of one.
USUAL_MAINS = ("main article", "article", "[role=main]", "main", "#main-content", "#content")

NOISE = (
    "script:not([type^='math/tex'])", "style", "template", "noscript", "iframe", "object", "svg",
    "canvas", "audio", "video", "dialog", "nav", "search", "select", "textarea",
    "button:not([role=tab])", "input:not([type=checkbox])", "link", "meta", "book-chat",
    "[role=navigation]", "[role=search]", "[role=banner]", "[role=contentinfo]", "[role=dialog]",
    "[aria-hidden=true]", "[hidden]:not([role=tabpanel])",
    "[style*='display:none']", "[style*='display: none']",
    # Links of a heading to itself
    ".hash-link", ".headerlink", ".header-anchor", ".anchor-link", ".heading-anchor",
    ".heading-link", ".anchorjs-link", ".sl-anchor-link",
    # Edit, source, report, last update
    "[rel~=edit]", "[class*=edit-this-page]", "[class*=edit-link]", ".md-content__button",
    ".md-source-file", ".md-feedback", ".theme-last-updated", ".theme-doc-footer", ".viewcode-link",
    ".viewcode-back", ".article-header-buttons", ".bd-header-article",
    # Where one is, and what comes next
    "[class*=breadcrumbs]", "[class*=pagination]", "[class*=prev-next]", ".prev-next-area",
    ".related-pages", ".nav-chapters", ".nav-wide-wrapper", ".theme-doc-version-badge",
    ".theme-doc-version-banner", ".back-to-top", ".skip-link", ".skip-to-content",
    # Tables of contents
    ".theme-doc-toc-mobile", ".theme-doc-toc-desktop", ".table-of-contents", ".toctree-wrapper",
    ".toc-wrapper", ".page-toc", "div.toc", "div.contents", "div.sphinxsidebar", ".onlyprint",
    "#toc", "#TOC",
    # What copies code, or would run it
    ".copybtn", ".copy-btn", ".copy-button", ".clipboard-copy", ".md-clipboard", ".md-code__nav",
    ".code-copy", "pre > .buttons", ".boring",
    # Consent to cookies
    "#onetrust-consent-sdk", "#CookieConsent", "#cookie-banner", "#cookie-notice",
    "[class*=cookie-banner]", "[class*=cookie-consent]", "[class*=cookieconsent]",
    "[class*=cookie-notice]", "[class*=CookieConsent]", ".md-consent",
)  # fmt: skip
AROUND_THE_TEXT = "body > header:not(:has(h1)), body > footer, body > aside, div > footer"


def main_text(document: LexborHTMLParser) -> LexborNode | None:
    """The element that holds the text, cleaned in place; None: there is none."""
    found = _marked(document)
    if found is None:
        for node in document.css(AROUND_THE_TEXT):
            node.decompose()
        found = document.body
    if found is None:
        return None
    for node in found.css(", ".join(NOISE)):
        if node.mem_id != found.mem_id and not _holds_the_title(node):
            node.decompose()
    return found


def _marked(document: LexborHTMLParser) -> LexborNode | None:
    for selector in (*MAINS, *USUAL_MAINS):
        found = [node for node in document.css(selector) if tag_of(node) != "body"]
        if len(found) == 1 and found[0].text(strip=True):
            return found[0]
    return None


def _holds_the_title(node: LexborNode) -> bool:
    """Some themes put the page's title among what is around it."""
    return tag_of(node) in ("div", "header") and node.css_first("h1") is not None
