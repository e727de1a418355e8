"""What the parser looks for in Markdown, in marks and in links."""

import re

from chat.citations.blocks import CELL_EDGE, Ending
from chat.citations.marks import BEGIN, MARK, MARK_LETTERS, PARTIAL_MARK

# Of no width: where a line would begin or be a block only because something was removed.
NO_BLOCK = "\u200b"
LOOK_AHEAD = 2000
LONGEST_TEXT = 1000  # of a link
LONGEST_TITLE = 300
DEEPEST = 4  # brackets within brackets
TOO_DEEP = "[" * (DEEPEST + 1)
MOST_AT_ONCE = 8000  # of a text: what is put back moves all that comes after it
CONTEXT = 6  # characters before a place that patterns look at

SCHEME = r"(?:https?://|ftp://|www\.)"
# The other slashes and dots are of addresses in the middle of a word: some renderers link those.
# All of an answer is searched by this: what rules a place out soonest comes first.
SPECIAL = re.compile(
    rf"[\[\]【［(（<`$\\\n|]|!(?=\[)|~~~|\*{{1,3}}(?=[\[【])|{BEGIN}(?:{MARK_LETTERS}|{SCHEME})"
    r"|/(?<=tp://)|/(?<=tps://)|\.(?<=www\.)",
    re.IGNORECASE,
)
PARTIAL_SCHEME = rf"{BEGIN}(?:h(?:t(?:t(?:ps?(?::/?)?)?)?)?|f(?:t(?:p(?::/?)?)?)?|w{{1,3}})"
LONGEST_TAIL = 10
TAIL = re.compile(rf"(?:!|~{{1,2}}|\*{{1,3}}|{PARTIAL_MARK}|{PARTIAL_SCHEME})?\Z", re.IGNORECASE)
# Most of what is streamed: nothing special in it, nor the beginning of it.
PLAIN = re.compile(
    r"(?! ?(?:https?|htt?|ftp?|w{2,3})\Z) ?(?:[^\W\d_]{2,}|[aeiou])|,", re.IGNORECASE
)

# Of bounded length, since a stream is waited for as long as it may be one.
_SPACE = r"(?:[^\S\n]|\n(?!\s*\n))"  # of one paragraph
_MORE, _BETWEEN = "{0,30}", rf"(?:{_SPACE}|[,;،؛、，；]){{1,8}}"
_LIST = rf"{MARK}(?:{_BETWEEN}(?:and{_SPACE}{{1,8}})?{MARK}){_MORE}"
_PARTIAL_LIST = (
    rf"(?:{MARK}{_BETWEEN}(?:and{_SPACE}{{1,8}})?){_MORE}"
    rf"(?:{PARTIAL_MARK}|{MARK}{_BETWEEN}(?:a(?:nd?)?)?)?"
)
LABELS = ("source", "sources", "see", "excerpt", "excerpts", "passage", "ref", "cf.", "siehe")
_LABEL = rf"(?:(?:{'|'.join(map(re.escape, LABELS))})(?::{_SPACE}*|{_SPACE}+))?"
_PARTIAL_LABEL = "|".join(
    sorted({re.escape(label[:end]) for label in LABELS for end in range(1, len(label) + 1)})
)
_PAGE = r"(?:†[^)）\n]{0,60})?"
PARENTHESES = re.compile(rf"[(（]{_SPACE}*{_LABEL}{_LIST}{_SPACE}*{_PAGE}[)）]", re.IGNORECASE)
PARTIAL_PARENTHESES = re.compile(
    rf"[(（]{_SPACE}*(?:(?:{_PARTIAL_LABEL}):?|{_LABEL}(?:{_PARTIAL_LIST}|{_LIST}{_SPACE}*{_PAGE}))",
    re.IGNORECASE,
)
_QUOTED_LIST = rf"{_SPACE}*[\[(【]?{_LIST}[\])】]?{_SPACE}*"
MARKS_AS_CODE = re.compile(rf"(`{{1,2}})(?!`){_QUOTED_LIST}\1(?!`)", re.IGNORECASE)
PARTIAL_MARKS_AS_CODE = re.compile(
    rf"`{{1,2}}(?:{_SPACE}*[\[(【]?{_PARTIAL_LIST}|{_QUOTED_LIST}`{{0,2}})", re.IGNORECASE
)
_ORIGIN = r"(?:†[^\]】\n`]{0,60})?"
MARKS_IN_CODE = re.compile(
    rf"\[\^?{_LIST}{_ORIGIN}\]|【{_LIST}{_ORIGIN}】|\({_LIST}\)|{MARK}", re.IGNORECASE
)
MARKS_OF_LINK = re.compile(rf"\s*(?:{MARKS_IN_CODE.pattern})", re.IGNORECASE)
# Text of a link in which nothing would be a link, a tag or a mark.
LINK_AS_IT_IS = re.compile(
    r"(?:(?!://|www\.)[^\[\]<`])*+|(?:(?!://|www\.)[^\[\]<`\\]|(?<!`)(`{1,2})[^`]+\1(?!`))*+"
)
TAIL_OF_CODE = re.compile(
    rf"(?:(?:\[\^?|【|\()(?:{_PARTIAL_LIST}|{_LIST}{_ORIGIN})|{PARTIAL_MARK}|{PARTIAL_SCHEME}|\\)?\Z",
    re.IGNORECASE,
)
CODE_STOP = re.compile(r"`+")
# In a span that may prove to be none, what would then be more than text; and pairs of backslashes,
# which are passed as they come, so that nothing waits for the end of many.
CODE_STOP_IN_DOUBT = re.compile(
    rf"`+|[\[\]【［<]|(?:\\\\)+|\\(?=[`\[\]<])|{BEGIN}{SCHEME}|\({MARK}|{MARK}", re.IGNORECASE
)
CODE_STOP_IN_ROW = re.compile(rf"{CODE_STOP_IN_DOUBT.pattern}|{CELL_EDGE.pattern}", re.IGNORECASE)

LINE = re.compile(r"[^\n]*")
OF_DELIMITER_ROW = re.compile(r"[|: \t>-]*")
LINE_LIKE_DELIMITER_ROW = re.compile(r"\n(?=([|: \t>-]++)(?:\n|\Z))")
BRACKET = re.compile(r"\\.|[\[\]\n]")
BRACKET_IN_ROW = re.compile(r"\\.|[\[\]\n|]")
ROW = re.compile(r"[ \t>]*\|")
DESTINATION = re.compile(r"\\.|[()\s<]")
ADDRESS = re.compile(r"[^\s<>\"`\\\[\]【】|。，、；！？「」（）]*")
LIKE_A_BLOCK = re.compile(r"[-+*](?=\s)|>|#{1,6}(?=\s)|`{3}|~{3}|\d{1,9}[.)](?=\s)")
FIRST_COLON = re.compile(r"\A[ \t]*:")
SEEMS_BLOCK = re.compile(r"\A([ \t]*)(?=[-+*>#=_])")
SEEMS_FENCE = re.compile(r"[ \t>]*(?:`{3,}|~{3,})[ \t]*")
TAG_OR_RULE = re.compile(r"<[^<>\n]*>|[-*_ \t]{3,}|=+")
TAG = re.compile(r"/?([A-Za-z][A-Za-z0-9-]*)(.*)", re.DOTALL)
ATTRIBUTE = r"(?i)(?:^|\s){}\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))"
AUTOLINK = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,31}:.*")
# HTML that is left as it is, where it has no attributes; and that is left out.
INLINE_TAGS = frozenset(
    [
        "b",
        "br",
        "code",
        "del",
        "em",
        "i",
        "ins",
        "kbd",
        "mark",
        "q",
        "s",
        "samp",
        "small",
        "strong",
        "sub",
        "sup",
        "u",
        "var",
        "wbr",
    ]
)
BLOCK_TAGS = frozenset(
    [
        "blockquote",
        "caption",
        "center",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "figcaption",
        "figure",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "li",
        "ol",
        "p",
        "pre",
        "section",
        "span",
        "font",
        "summary",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
    ]
)

# Where a paragraph ends, by what it stands in.
# Names that begin a block of HTML.
_HTML = (
    r"(?i:</?(?:address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|"
    r"details|dialog|dir|div|dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|"
    r"head|header|hr|html|iframe|legend|li|link|main|menu|menuitem|nav|noframes|ol|optgroup|option|"
    r"p|param|pre|script|search|section|style|summary|table|tbody|td|textarea|tfoot|th|thead|"
    r"title|tr|track|ul)(?=[\s/>])|<!(?:--|[a-z]|\[CDATA\[)|<\?)"
)
_BLOCK = rf"\n|#{{1,6}}[ \t]|`{{3}}|~{{3}}|{_HTML}|(?:[-*_=][ \t]*)+\n"
_ANY_ITEM = r"(?:[-*+]|\d{1,9}[.)])[ \t]"
_ITEM = r"(?:[-*+]|1[.)])[ \t]+[^\s]"  # that may end a paragraph which is in no list
ENDS = {
    Ending.LINE: re.compile(r"\n"),
    Ending.CELL: re.compile(rf"\n|{CELL_EDGE.pattern}"),
    Ending.PARAGRAPH: re.compile(rf"\n(?=[ \t]*\n| {{0,3}}(?:{_BLOCK}|{_ITEM}|>))"),
    Ending.QUOTE: re.compile(rf"\n(?=[ \t>]*(?:{_BLOCK}|{_ITEM})|[ \t]*{_ANY_ITEM})"),
    Ending.ITEM: re.compile(rf"\n(?=[ \t]*(?:{_BLOCK}|{_ANY_ITEM}|>))"),
    Ending.QUOTED_ITEM: re.compile(rf"\n(?=[ \t>]*(?:{_BLOCK}|{_ANY_ITEM}))"),
}
WITHIN = re.compile(r"[^\[\]【】［］\\\n]*")
BLANKS = re.compile(r"[ \t]*")
NO_SPACE = re.compile(r"\S*")
NO_ANGLE = re.compile(r"[^<>\n]*")
NO_QUOTE = {'"': re.compile(r'[^"\n]*'), "'": re.compile(r"[^'\n]*")}
MATH_EDGE = re.compile(r"(?<!\\)[$`]")
MATH_END = {"$": re.compile(r"(?<![\s\\$])\$(?![\d$])"), "$$": re.compile(r"\$\$")}
