"""The chat stays in the page, once, whatever client-side routers and frameworks do to the page."""

import json
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.helpers.reader import ANSWER, PASSAGE, answered, is_focused, ready, replies, say
from tests.helpers.scripted_model import Reply
from tests.helpers.server import CHECKOUT

NODE_MODULES = CHECKOUT / "node_modules"
OPENER = "Ask the book"
HELD = Reply("One two three four.", hold_after=2)
CHAT = "document.querySelector('book-chat')"


def opened(page):
    page.get_by_role("button", name=OPENER).click()
    return page


def is_alive(page, model):
    """There is one chat, it answers once, and its shortcut is heard once."""
    page.wait_for_timeout(200)  # a second instance would have time to appear
    expect(page.locator("book-chat")).to_have_count(1)
    if not page.get_by_role("dialog").is_visible():
        opened(page)
    model.says(ANSWER)
    before = len(model.requests)
    count = replies(page).count()

    say(page, "Is it alive?")
    expect(replies(page)).to_have_count(count + 1)
    expect(replies(page).last).to_have_text(ANSWER)
    assert len(model.requests) == before + 1
    expect(page.locator(".line .send")).to_be_visible()
    page.keyboard.press("Alt+Shift+KeyA")
    expect(page.get_by_role("dialog")).to_be_hidden()
    opener = page.locator(".opener")
    assert opener.evaluate("each => getComputedStyle(each).position") == "fixed"
    opener.evaluate("each => each.blur()")
    page.keyboard.press("Alt+Shift+KeyA")
    expect(page.get_by_role("dialog")).to_be_visible()


# Taken out of the page ----------------------------------------------------------------------
REMOVALS = {
    "removed": f"{CHAT}.remove()",
    "a copy is added": f"document.body.append({CHAT}.cloneNode(true), {CHAT}.cloneNode(true))",
    "body replaced by its copy": "document.body.replaceWith(document.body.cloneNode(true))",
    "body read from its own HTML": "document.body.innerHTML = document.body.innerHTML + ''",
    "body's HTML replaced": "document.body.innerHTML = '<p>Another page.</p>'",
    "body replaced": "document.body = document.createElement('body')",
    "body replaced later": """{
      const next = document.createElement("body");
      document.body.remove();
      setTimeout(() => document.documentElement.append(next), 300);
    }""",
    "body replaced in a view transition": """await document.startViewTransition(() => {
      const html = document.documentElement.outerHTML;
      const next = new DOMParser().parseFromString(html, "text/html");
      document.body.replaceWith(next.body);
    }).finished""",
    "document's HTML replaced": """{
      const root = document.documentElement;
      root.innerHTML = "<head><title>Two</title></head><body><p>Another page.</p></body>";
    }""",
    "document replaced": """{
      const root = document.documentElement;
      document.replaceChild(root.cloneNode(true), root);
    }""",
    "document written anew": """{
      document.open();
      document.write("<!doctype html><title>Two</title><p>Another page.</p>");
      document.close();
    }""",
    "taken to another document": f"""{{
      const other = document.implementation.createHTMLDocument("other");
      other.body.append(other.adoptNode({CHAT}));
    }}""",
    "hidden in a template": f"""{{
      const template = document.createElement("template");
      template.content.append({CHAT});
      document.body.append(template);
    }}""",
}


@pytest.mark.parametrize("removal", REMOVALS.values(), ids=REMOVALS.keys())
def test_the_chat_puts_itself_back_and_goes_on(open_book, model, removal):
    model.says(HELD)
    page = opened(open_book(head=""))
    say(page, "Count!")
    expect(replies(page)).to_have_text("One two")
    page.keyboard.type("half a thought")

    page.evaluate(f"async () => {{ {removal} }}")

    expect(page.locator("book-chat")).to_have_count(1)
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.get_by_label("Your question")).to_have_value("half a thought")
    assert is_focused(page, "Your question")
    model.release()
    expect(replies(page)).to_have_text(HELD.text)
    page.get_by_label("Your question").fill("")
    is_alive(page, model)


def test_on_a_phone_the_panel_is_still_all_there_is(open_book, model):
    page = opened(open_book(viewport={"width": 390, "height": 780}))

    page.evaluate("document.body.replaceWith(document.body.cloneNode(true))")

    expect(page.locator("book-chat")).to_have_count(1)
    assert page.locator("dialog").evaluate("each => each.matches(':modal')")
    is_alive(page, model)


def test_a_closed_chat_stays_closed_and_leaves_the_focus_where_it_is(open_book):
    page = open_book()
    page.get_by_label("Notes").focus()

    page.evaluate(f"{CHAT}.remove()")

    expect(page.locator("book-chat")).to_have_count(1)
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert page.evaluate("document.activeElement.localName") == "textarea"


def test_the_reader_s_place_in_a_long_conversation_is_kept(open_book, model):
    model.says(Reply("A long answer.\n\n" * 60))
    page = opened(open_book())
    say(page, "Tell me everything.")
    answered(page)
    scroller = page.locator(".scroller")
    scroller.evaluate("each => { each.scrollTop = 300 }")
    page.wait_for_timeout(100)

    page.evaluate("document.body.replaceWith(document.body.cloneNode(true))")

    expect(page.locator("book-chat")).to_have_count(1)
    assert scroller.evaluate("each => each.scrollTop") == 300


def test_the_page_of_our_own_puts_the_chat_back_into_its_place(chat_page):
    page = chat_page()

    page.evaluate(f"{CHAT}.remove()")

    expect(page.locator("main book-chat")).to_have_count(1)
    say(page, "What is a node?")
    expect(replies(page)).to_have_text(ANSWER)


FIGHT = """() => {
  window.removals = 0;
  new MutationObserver(() => {
    const chat = document.querySelector("book-chat");
    if (chat) removals += 1;
    chat?.remove();
  }).observe(document, { childList: true, subtree: true });
  document.querySelector("book-chat").remove();
}"""


def test_a_page_that_never_lets_it_in_stays_usable(open_book):
    page = open_book(head="")

    page.evaluate(FIGHT)
    page.wait_for_timeout(1000)

    assert page.evaluate("removals") < 50
    page.get_by_role("link", name="Chapter 2").click()
    ready(page)


# Clones and a second script -----------------------------------------------------------------
def test_a_page_saved_with_a_dead_chat_in_it_gets_a_living_one(open_book, model):
    page = open_book(head="", body="<book-chat class='right'></book-chat><p>A saved page.</p>")

    is_alive(page, model)


SCRIPT = """(attributes) => new Promise((resolve) => {
  const script = document.createElement("script");
  script.onload = () => resolve();
  Object.assign(script, attributes);
  document.head.append(script);
})"""


def test_a_new_release_of_the_script_leaves_the_chat_that_is_there(open_book, reading, model):
    """After a deployment client-side routers load the new script into the old page."""
    page = open_book(head="")
    page.evaluate(f"{CHAT}.remove()")
    page.evaluate(
        """async (address) => {
          const loader = await (await fetch(`${address}/widget.js`)).text();
          const path = loader.match(/\\/widget\\/[^"]+book-chat.js/)[0];
          const release = path.replace(/widget\\/[^/]+/, "widget/another");
          const { mount } = await import(address + release);
          mount({}, { messageChars: 100, passageChars: 100 }, address);
          mount({}, { messageChars: 100, passageChars: 100 }, address);
        }""",
        reading.base_url,
    )

    is_alive(page, model)


# How the script arrives ---------------------------------------------------------------------
LOADS = {
    "a module": '<script type="module" src="{url}"></script>',
    "an async module with settings": '<script type="module" async src="{url}" {settings}></script>',
    "a module that imports it": '<script type="module">import "{url}";</script>',
    "a dynamic import": "<script>import('{url}');</script>",
    "fetched and evaluated": "<script>fetch('{url}').then((r) => r.text()).then(eval);</script>",
    "fetched and made a function": """<script>
      fetch("{url}").then((r) => r.text()).then((text) => new Function(text)());</script>""",
    "evaluated by another script, with its tag": """
      <script type="text/plain" src="{url}" {settings}></script>
      <script>fetch("{url}").then((r) => r.text()).then((text) => (0, eval)(text));</script>""",
    "an inline script of its text": """<script>fetch("{url}").then((r) => r.text()).then((text) => {
      const script = document.createElement("script");
      script.text = text;
      document.head.append(script);
      script.remove();
    });</script>""",
    "inserted and taken out": """<script>{
      const script = document.createElement("script");
      script.src = "{url}";
      script.onload = () => script.remove();
      document.head.append(script);
    }</script>""",
    "with a query": '<script src="{url}?v=2#x" {settings}></script>',
    "in the body, twice": '<script src="{url}" {settings}></script><script src="{url}"></script>',
    "as a module and as a script": """<script src="{url}" {settings}></script>
      <script type="module" src="{url}"></script>""",
    "beside another widget.js": """<script type="text/plain" src="/assets/widget.js"></script>
      <script type="text/plain" src="/widget.js"></script>
      <script type="module" src="{url}" {settings}></script>""",
    "evaluated beside another widget.js": """<script src="/assets/widget.js"></script>
      <script>fetch("{url}").then((r) => r.text()).then(eval);</script>""",
    "under a base address": """<base href="http://127.0.0.1:9/nowhere/">
      <script type="module" src="{url}" {settings}></script>""",
}


@pytest.mark.parametrize("where", ["head", "body"])
@pytest.mark.parametrize("tags", LOADS.values(), ids=LOADS.keys())
def test_the_script_works_however_it_is_loaded(visit, book, reading, model, tags, where):
    model.says(ANSWER)
    settings = 'data-title="Ask me"'
    html = tags.replace("{url}", f"{reading.base_url}/widget.js").replace("{settings}", settings)
    page = bare_page(visit, book, **{where: html})

    ready(page)
    name = "Ask me" if "{settings}" in tags else OPENER
    page.get_by_role("button", name=name).click()
    say(page, "What is a node?")

    expect(replies(page)).to_have_text(ANSWER)
    expect(page.locator("book-chat")).to_have_count(1)


def bare_page(visit, book, head="", body="", name="bare"):
    (book.folder / "assets").mkdir(exist_ok=True)
    (book.folder / "assets" / "widget.js").write_text("// of the book's own")
    (book.folder / f"{name}.html").write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f'<link rel="icon" href="data:,">{head}</head>'
        f"<body><main><p>{PASSAGE}</p></main>{body}</body></html>"
    )
    page = visit()
    page.goto(f"{book.url}/{name}.html")
    return page


def test_a_page_in_a_frame_has_its_own_chat(visit, book, reading, model):
    model.says(ANSWER)
    inner = book.write(reading.base_url, head="")
    page = bare_page(visit, book, body=f'<iframe src="{inner}" width=800 height=600></iframe>')
    frame = page.frame_locator("iframe")

    frame.get_by_role("button", name=OPENER).click()
    frame.get_by_label("Your question").fill("What is a node?")
    frame.get_by_label("Your question").press("Enter")

    expect(frame.locator(".message.assistant .text")).to_have_text(ANSWER)


# Real routers and frameworks ----------------------------------------------------------------
def npm_file(name):
    file = NODE_MODULES / name
    if not file.exists():
        pytest.skip(f"{name} is missing (npm ci)")
    return file


@pytest.fixture
def site(book, reading, visit):
    """Opens the first of two pages that link to each other and use files of npm's packages."""

    def opening(*scripts, chat_in="head", settings=""):
        chat = f'<script src="{reading.base_url}/widget.js" defer {settings}></script>'
        loaded = "".join(f'<script src="{publish(book, script)}"></script>' for script in scripts)
        head = loaded + (chat if chat_in == "head" else "")
        for name, other in (("first", "second"), ("second", "first")):
            (book.folder / f"{name}.html").write_text(
                f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
                f'<link rel="icon" href="data:,">{head}</head><body hx-boost="true">'
                f'<h1>The {name} page</h1><a href="{other}.html">On</a>'
                f"{chat if chat_in == 'body' else ''}</body></html>"
            )
        page = visit()
        page.goto(f"{book.url}/first.html")
        page.evaluate("window.isFirst = true")
        return ready(page)

    return opening


def publish(book, name):
    target = book.folder / name.replace("/", "-")
    shutil.copy(npm_file(name), target)
    return f"/{target.name}"


ROUTERS = ["@hotwired/turbo/dist/turbo.es2017-umd.js", "htmx.org/dist/htmx.min.js"]


@pytest.mark.parametrize("chat_in", ["head", "body"])
@pytest.mark.parametrize("router", ROUTERS, ids=["turbo", "htmx"])
def test_a_client_side_router_keeps_one_living_chat(site, model, router, chat_in):
    page = opened(site(router, chat_in=chat_in))
    model.says(ANSWER)
    say(page, "What is a node?")
    answered(page)

    for follow, heading in (
        (lambda: page.get_by_role("link", name="On").click(), "The second page"),
        (page.go_back, "The first page"),
        (page.go_forward, "The second page"),
        (lambda: page.get_by_role("link", name="On").click(), "The first page"),
    ):
        follow()
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        assert page.evaluate("window.isFirst")  # no page was loaded anew
        is_alive(page, model)
    expect(page.locator(".message.user").first).to_have_text(re.compile("What is a node?"))


def test_a_question_asked_from_the_next_page_names_that_page(site, model, reading):
    page = opened(site(ROUTERS[0]))
    page.get_by_role("link", name="On").click()
    expect(page.get_by_role("heading", name="The second page")).to_be_visible()
    model.says(ANSWER)
    asked = []
    page.on("request", lambda request: asked.append(request.post_data_json or {}))

    say(page, "Where am I?")
    answered(page)

    (address,) = [body["page_url"] for body in asked if "page_url" in body]
    assert address == page.url
    assert page.url.endswith("second.html")


REACT_18 = [
    "react-18/umd/react.production.min.js",
    "react-dom-18/umd/react-dom.production.min.js",
]
REACT_19 = {
    "react": "react/cjs/react.production.js",
    "react-dom": "react-dom/cjs/react-dom.production.js",
    "react-dom/client": "react-dom/cjs/react-dom-client.production.js",
    "scheduler": "scheduler/cjs/scheduler.production.js",
}
BUNDLE = """(() => {
  const sources = {%s};
  const made = {};
  const require = (name) => {
    if (made[name]) return made[name].exports;
    made[name] = { exports: {} };
    sources[name](made[name], made[name].exports, require);
    return made[name].exports;
  };
  Object.assign(window, { React: require("react"), ReactDOM: require("react-dom/client") });
})();"""
HYDRATE = """() => {
  const e = React.createElement;
  const head = e("head", null, e("meta", { charSet: "utf-8" }), e("title", null, "React"),
    e("link", { rel: "icon", href: "data:," }));
  const onRecoverableError = () => (window.recovered = true);
  function Page() {
    const [count, setCount] = React.useState(0);
    window.rerender = () => setCount(count + 1);
    const body = e("body", null, e("main", null, `React's page ${count}`));
    return e("html", { lang: "en" }, head, body);
  }
  ReactDOM.hydrateRoot(document, e(Page), { onRecoverableError });
}"""


def react_19(book):
    """React's own files have no build for browsers since version 19."""
    sources = ",".join(
        f"{json.dumps(name)}: (module, exports, require) => {{ {npm_file(path).read_text()} }}"
        for name, path in REACT_19.items()
    )
    Path(book.folder / "react-19.js").write_text(BUNDLE % sources)
    return ["/react-19.js"]


@pytest.mark.parametrize("version", [18, 19])
def test_react_recovering_from_a_hydration_mismatch_leaves_the_chat_alive(
    visit, book, reading, model, version
):
    files = react_19(book) if version == 19 else [publish(book, name) for name in REACT_18]
    scripts = "".join(f'<script src="{file}"></script>' for file in files)
    chat = f'<script src="{reading.base_url}/widget.js" defer></script>'
    page = bare_page(visit, book, head=scripts + chat)
    opened(ready(page))
    model.says(HELD)
    say(page, "Count!")
    expect(replies(page)).to_have_text("One two")

    page.evaluate(HYDRATE)
    expect(page.locator("main")).to_have_text("React's page 0")
    assert page.evaluate("window.recovered")
    page.evaluate("rerender()")
    expect(page.locator("main")).to_have_text("React's page 1")

    model.release()
    expect(replies(page)).to_have_text(HELD.text)
    is_alive(page, model)
