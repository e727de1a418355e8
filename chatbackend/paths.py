"""The one table of paths: which are pages for people. All other paths belong to the API."""

HOME = "/"
ADMIN = "/admin"
LOG_IN = "/admin/login/"
# Served with all of Django's middleware: sessions, CSRF, security headers.
PAGES = (ADMIN, "/static/", "/docs", "/example/")
# Those whose errors are pages too; elsewhere an error is a problem document.
PAGES_WITH_HTML_ERRORS = ("/admin/", "/static/")

# The scripts of the readers' chat, which any page may load: their view sends the CORS header.
OPEN_TO_ALL = ("/widget.js", "/widget/")

# First words of the service's own paths. Under a path that is one of them (PUBLIC_URL), a request
# for /chat could be either a proxy's that passes the path on, or one's that takes it away.
OWN_NAMES = {
    "admin", "api", "ask", "book", "chat", "docs", "example", "favicon.ico", "health", "mcp",
    "metrics", "openapi.json", "query", "static", "v1", "widget", "widget.js",
}  # fmt: skip


def without_prefix(path: str, prefix: str) -> str:
    """The path as the service knows it, whether or not the proxy has taken `prefix` away."""
    if path == prefix:
        return HOME
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path


def is_page(path: str) -> bool:
    return path == HOME or path.startswith(PAGES)


def has_html_errors(path: str) -> bool:
    return path.startswith(PAGES_WITH_HTML_ERRORS)


def is_open_to_all(path: str) -> bool:
    return path.startswith(OPEN_TO_ALL)
