"""What English words mean to each other, as far as comparing two sentences needs it.

General English as technical books write it; nothing here belongs to one book.
"""

# Carry nothing of what a sentence says. Quantities, modal verbs and order do, so they are not here.
FUNCTION_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "this",
        "that",
        "these",
        "those",
        "there",
        "here",
        "it",
        "its",
        "itself",
        "they",
        "them",
        "their",
        "theirs",
        "themselves",
        "he",
        "she",
        "his",
        "her",
        "him",
        "i",
        "me",
        "my",
        "mine",
        "we",
        "us",
        "our",
        "ours",
        "you",
        "your",
        "yours",
        "yourself",
        "one",
        "ones",
        "who",
        "whom",
        "whose",
        "which",
        "what",
        "and",
        "or",
        "as",
        "at",
        "by",
        "for",
        "from",
        "in",
        "into",
        "of",
        "on",
        "onto",
        "to",
        "with",
        "within",
        "via",
        "through",
        "than",
        "then",
        "so",
        "such",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "being",
        "am",
        "has",
        "have",
        "had",
        "having",
        "do",
        "does",
        "did",
        "doing",
        "done",
        "would",
        "could",
        "should",
        "will",
        "shall",
        "can",
        "may",
        "might",
        "if",
        "when",
        "where",
        "while",
        "because",
        "since",
        "although",
        "though",
        "but",
        "also",
        "too",
        "very",
        "quite",
        "about",
        "s",
        "t",
        "re",
        "ve",
        "ll",
        "d",
        "m",
        "example",
        "e",
        "g",
        "i",
        "ie",
        "eg",
        "etc",
        "how",
        "why",
        "yet",
        "still",
        "itself",
        "thus",
        "hence",
        "therefore",
        "both",
        "each",
        "other",
        "another",
        "own",
        "same",
        "get",
        "gets",
        "got",
        "make",
        "makes",
        "made",
        "making",
        "way",
        "ways",
        "thing",
        "things",
        "kind",
        "sort",
    ]
)

_GROUPS = """
several multiple many various numerous diverse different
use employ utilize leverage apply using
need require must necessary essential needed mandatory obligatory
allow enable permit let
create make produce generate build form construct
start begin launch initiate initial
stop end finish halt terminate
change alter modify adjust edit
convert turn transform translate map
choose select pick decide
answer reply response respond
ask request query
small compact tiny little lightweight
big large huge massive great vast immense
fast quick rapid speed accelerate
slow sluggish
check verify validate test
keep retain store save remember hold maintain
person people human man operator user someone
move motion movement
error mistake fault failure fail wrong
show display present visible visual picture image look appearance
run execute perform carry runtime
send transmit deliver transfer
receive get obtain take
contain include hold comprise
describe specify define definition state
find detect identify locate recognize localize determine discover calculate compute
give provide offer supply
usual typical common normal general ordinary often frequent convention
important crucial critical essential vital key matter
difficult hard challenging complicated complex complexity
easy simple simplify simpler straightforward
main primary chief principal
aim goal purpose intent intention vision
join connect link attach mount
part component piece module
real physical actual reality
copy replicate duplicate
repeat reproduce recreate again
imitate mimic simulate emulate resemble
simulator simulation simulate
reliable robust dependable robustness
expensive costly intensive
work operate function operational
exact precise accurate perfect
publish broadcast
listen subscribe subscriber
read parse
write log
machine robot
place location position where environment
environment surroundings world
top high highest upper
below under lower low
beginner novice newcomer new
join new later
earlier previous historical past former
skip bypass omit
suit suitable appropriate fit tailored ideal
harm damage risk hurt danger dangerous
harm critical
sequence series order
limit bound restrict constraint
single one alone individual
whole entire full complete all
assume suppose
online internet network connection
local onboard board
top-quality high-fidelity
short concise brief
long lengthy
margin inflated padding
grip grasp grab
firm force
avoid prevent eliminate spare save
reduce decrease lessen lower
increase raise grow
faster accelerate accelerated
basic fundamental foundational basics
know understand understanding knowledge learn
sense perceive perception sensor
quick real-time
balance stability stable
leg foot biped bipedal legged
unstable instability
guide steer direct
approve confirm accept agree
sure certain
handle manage process
centre center central
depend rely dependent
communicate exchange communication
share common
automatic autonomous itself autonomously automatically
remove delete clear
add append
fill populate
cause lead
behave behavior behaviour
colour color
graphics rendering rendered
powerful strong high-end
speak spoken voice speech say
text written transcribe transcription
obstacle barrier
turn orientation rotate rotation angle
stay remain kept unchanged
tune fine-tune
type kind
setting configuration configure set setup
parameter option argument
instance example
reach arrive get
return back
measure time
distance baseline separated range further
accumulate build
"""

# Leave nothing else; a passage that supports them has one of them, or a negation.
EXCLUSIVE = frozenset(
    ["only", "just", "sole", "solely", "single", "exclusively", "one", "once", "alone", "except"]
)

# What comes after them is a name.
NAMING_WORDS = frozenset({"called", "named", "termed", "dubbed"})
# A sentence that begins with one goes on about what the one before it was about.
PRONOUNS = frozenset(
    [
        "it",
        "its",
        "they",
        "them",
        "their",
        "this",
        "that",
        "these",
        "those",
        "such",
        "he",
        "she",
        "his",
        "her",
    ]
)

# Each opposite of each: what says one does not support the other.
_OPPOSITES = """
high tall | low
all every always whole | none never only some sometimes
always must required mandatory obligatory | optional optionally
before prior first earlier | after last finally final later
more higher greater larger better | less lower fewer smaller worse
increase raise grow | decrease reduce lower
fast quick rapid | slow
static fixed | dynamic
synchronous blocking | asynchronous
global | local
upper top above | lower bottom below
forward ahead | backward
left | right
parent | child
internal | external
start begin | stop end
enable allow | disable forbid prevent
success succeed | failure fail
accept allow grant | refuse reject deny forbid
never | often usually sometimes always
several many multiple | single
serial sequential | parallel concurrent
simple | complex
automatic automatically | manual manually hand
linear | angular
public | private
open | closed
minimum minimal min | maximum maximal max
serialize | deserialize
short | long
small | large big huge
hard | soft
strong | weak
possible | impossible
easy | difficult
cheap | expensive
horizontal vertical
old | new
"""

# Stand before what they negate. Some other languages' too; nothing is lost on English.
NEGATIONS = frozenset(
    [
        "no",
        "not",
        "never",
        "none",
        "nor",
        "neither",
        "without",
        "cannot",
        "nothing",
        "nobody",
        "nowhere",
        "cant",
        "dont",
        "doesnt",
        "didnt",
        "isnt",
        "arent",
        "wasnt",
        "werent",
        "wont",
        "wouldnt",
        "shouldnt",
        "couldnt",
        "mustnt",
        "neednt",
        "hasnt",
        "havent",
        "hadnt",
        "instead",
        "rather",
        "hardly",
        "nicht",
        "kein",
        "keine",
        "keinen",
        "keiner",
        "keinem",
        "nie",
        "niemals",
        "ohne",
        "weder",
        "ne",
        "pas",
        "sans",
        "jamais",
        "aucun",
        "aucune",
        "ni",
        "sin",
        "nunca",
        "ningún",
        "ninguna",
        "jamás",
        "tampoco",
        "não",
        "nem",
        "sem",
        "nenhum",
        "nenhuma",
        "non",
        "senza",
        "mai",
        "nessun",
        "nessuna",
        "niet",
        "geen",
        "nooit",
        "zonder",
        "не",
        "нет",
        "ни",
        "без",
        "никогда",
        "نہیں",
        "نہ",
        "بغیر",
        "لا",
        "ليس",
        "لم",
        "لن",
        "بدون",
    ]
)
# Turn what a sentence says as a negation does.
TURNING_WORDS = NEGATIONS | frozenset(
    [
        "all",
        "every",
        "each",
        "any",
        "some",
        "most",
        "many",
        "few",
        "more",
        "less",
        "fewer",
        "always",
        "often",
        "sometimes",
        "rarely",
        "seldom",
        "only",
        "before",
        "after",
        "first",
        "last",
        "until",
        "unless",
        "required",
        "optional",
        "high",
        "low",
        "higher",
        "lower",
        "up",
        "down",
        "increase",
        "decrease",
    ]
)

# Negate by what they mean, so that what follows may stand either way.
SOFT_NEGATIONS = frozenset(
    [
        "avoid",
        "avoids",
        "avoiding",
        "prevent",
        "prevents",
        "preventing",
        "eliminate",
        "eliminates",
        "eliminating",
        "remove",
        "removes",
        "removing",
        "fail",
        "fails",
        "failed",
        "failing",
        "unable",
        "difficult",
        "hard",
        "impossible",
        "lack",
        "lacks",
        "lacking",
        "unlike",
        "less",
        "few",
        "ignore",
        "ignores",
        "ignored",
        "limited",
        "reduce",
        "reduces",
        "reducing",
        "skip",
        "skips",
        "bypass",
        "disable",
        "disables",
        "disabled",
        "stop",
        "stops",
        "beyond",
        "otherwise",
        "only",
        "too",
        "save",
        "saves",
    ]
)
# A negation ends here at the latest.
CLAUSE_WORDS = frozenset(
    [
        "but",
        "and",
        "so",
        "because",
        "which",
        "while",
        "whereas",
        "although",
        "unless",
        "until",
        "if",
        "that",
    ]
)
NEGATING_PREFIXES = ("un", "non", "in", "im", "de", "dis", "a", "ir")

NUMBER_WORDS = {
    "zero": 0.0,
    "two": 2.0, "twice": 2.0, "double": 2.0, "dual": 2.0,
    "three": 3.0, "triple": 3.0, "third": 3.0, "thrice": 3.0,
    "four": 4.0, "fourth": 4.0, "five": 5.0, "fifth": 5.0, "six": 6.0, "sixth": 6.0,
    "seven": 7.0, "seventh": 7.0, "eight": 8.0, "eighth": 8.0, "nine": 9.0, "ninth": 9.0,
    "ten": 10.0, "tenth": 10.0, "eleven": 11.0, "twelve": 12.0, "dozen": 12.0, "thirteen": 13.0,
    "fourteen": 14.0, "fifteen": 15.0, "sixteen": 16.0, "seventeen": 17.0, "eighteen": 18.0,
    "nineteen": 19.0, "twenty": 20.0, "thirty": 30.0, "forty": 40.0, "fifty": 50.0, "sixty": 60.0,
    "seventy": 70.0, "eighty": 80.0, "ninety": 90.0, "half": 0.5, "quarter": 0.25,
}  # fmt: skip
MULTIPLIERS = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9}
# Words that hold a number of two.
IMPLIED_NUMBERS = {"biped": 2.0, "stereo": 2.0, "binocular": 2.0, "bipedal": 2.0}

# Unit, what it measures, and how many of the base unit it is.
_UNITS = """
second sec s time 1 | millisecond msec ms time .001 | microsecond us µs time .000001
minute time 60 | hour h hr time 3600 | day time 86400 | week time 604800
hz hertz frequency 1 | khz frequency 1000 | mhz frequency 1e6 | ghz frequency 1e9
metre meter m length 1 | centimetre centimeter cm length .01 | millimetre millimeter mm length .001
kilometre kilometer km length 1000 | foot feet ft length .3048 | inch length .0254
gram g mass .001 | kilogram kg mass 1 | pound lb mass .4536
byte bytes 1 | kb kilobyte bytes 1e3 | mb megabyte bytes 1e6 | gb gigabyte bytes 1e9
tb terabyte bytes 1e12 | degree deg angle 1 | radian rad angle 57.29578 | percent % share .01
watt w power 1 | volt v voltage 1 | kelvin temperature 1 | celsius temperature 1
bit bits 1 | kilobit kbit bits 1e3 | megabit mbit bits 1e6 | gigabit gbit bits 1e9
newton n force 1 | pixel px pixel 1 | fps frequency 1
"""


def _units() -> dict[str, tuple[str, float]]:
    units: dict[str, tuple[str, float]] = {}
    for line in _UNITS.replace("\n", "|").split("|"):
        *names, dimension, factor = line.split() or ["", "", "0"]
        for name in names:
            units[name] = units[f"{name}s"] = (dimension, float(factor))
    units.pop("", None)
    return units


UNITS = _units()


def synonyms() -> dict[str, frozenset[str]]:
    """Each word's groups, as it is written above."""
    found: dict[str, set[str]] = {}
    for line in _GROUPS.split("\n"):
        for word in line.split():
            found.setdefault(word, set()).add(line.split()[0] + str(len(line)))
    return {word: frozenset(groups) for word, groups in found.items()}


def opposites() -> dict[str, frozenset[str]]:
    """Each word's opposites."""
    found: dict[str, set[str]] = {}
    for line in filter(None, _OPPOSITES.split("\n")):
        sides = [side.split() for side in line.split("|")]
        for one, other in zip(sides, reversed(sides), strict=True):
            if len(sides) == 2:
                for word in one:
                    found.setdefault(word, set()).update(other)
    return {word: frozenset(words) for word, words in found.items()}
