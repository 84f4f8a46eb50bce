"""Which option, A to H, a free-text answer names: by Video-MME-v2's own rule, and by whole letters only."""

from __future__ import annotations

import re

_LEADS = re.compile(
    r"Final Answer:|The (?:best|correct) answer is|The answer(?: is)?|The (?:best|correct) option is|"
    r"Best (?:answer|option):|Answer:|Option:"
)

# What makes a capital letter an option: nothing of a word beside it, no other option joined to it ("A or B"); for A,
# which is an article too, a mark or a word after it that no noun phrase begins with.
_OPEN = r"[\s*_`\"'(\[{$\\]{0,8}(?:text\{|boxed\{|mathrm\{)?(?<![A-Za-z0-9])"
_JOINED = r"(?!\W{0,2}\s*(?:and|or|/|&|,(?=\s*\(?[A-H]\)?\s*(?:,|and|or|$)))\s*(?:and\s|or\s)?\(?[A-H](?!\w))"
_ENDS_A = r"(?=\s*(?:[.,;:!?)\]}*_`\"'<$|/]|\Z|\n|[-\u2013\u2014]\s|(?:because|since|as|and|due|for|based|but|is)\b))"
_LETTER = rf"(?:(?P<rest>[B-H])(?![\w'\u2019-])|(?P<a>A)(?![\w'\u2019]|-\w){_ENDS_A}){_JOINED}"
_STOP = r"(?=\s*(?:[.,;:!?)\]}*_`\"'<]|\Z|\n|because\b|since\b|as\b|is\b))"

_SURELY = r"(?:(?:clearly|definitely|probably|most likely|likely|therefore|thus|indeed|actually)\s+){0,3}"
_STATED = re.compile(
    rf"(?i:\b(?:answer|option|choice)\b(?:\s+(?:here|to\s+(?:this|the)\s+question))?(?:\*\*|__)?\s*"
    rf"(?:is|would\s+be|should\s+be|must\s+be|[:=\uff1a])(?:\s*:)?[\s*_]*"
    rf"(?:not\s+\W?[a-h]\W?,?\s+but\s+(?:rather\s+)?)?{_SURELY}(?:(?:option|choice|letter)\s+)?){_OPEN}{_LETTER}"
)
_CALLED_RIGHT = re.compile(
    rf"{_OPEN}{_LETTER}[)\]*_.:]*\s+(?i:is\s+(?:clearly\s+)?(?:the\s+)?(?:correct|right|best|most\s+\w+)\b(?!\s+than))"
)
_CHOSEN = re.compile(
    rf"(?i:\b(?:choose|pick|select|go(?:ing)?\s+with|i(?:'d|\s+would)?\s+say|i\s+think|i\s+believe|it(?:'s|\s+is|\s+must\s+be)"
    rf"|therefore|thus|hence|so)[,:]?\s+(?:it(?:'s|\s+is)\s+)?{_SURELY}(?:(?:option|choice|answer)\s+)?){_OPEN}{_LETTER}"
    rf"[)\]}}*_`\"']*{_STOP}"
)
_ALONE = re.compile(r"[\W_]*(?:(?:option|choice)\s+)?[\W_]*([A-Ha-h])[\W_]*", re.IGNORECASE)
_BOXED = re.compile(r"(?:boxed|<answer>)\W{0,6}(?:text\{|option\s)?\W{0,6}([A-Ha-h])(?!\w)", re.IGNORECASE)
_FIRST = re.compile(
    rf"[\s*_`\"'(\[]*([A-H])(?:\s*[)\].:]|\*\*|,\s+(?i:because|since|as)\b|\s+(?i:because|since)\b){_JOINED}"
)
_MARKED = re.compile(
    r"(?:(?i:\b(?:option|choice)\s+)[*_(\[]*(?P<named>[A-H])(?![\w'\u2019-])|[(\[*](?P<mark>[A-H])[)\]*])"
)
_RUN = re.compile(r"([^\w\s])\1{3,}")
_LINE = re.compile(r"^[^A-Za-z0-9\n]*([A-H])[^A-Za-z0-9\n]*$", re.MULTILINE)


def official_letter(text: str) -> str:
    """Return the option by the benchmark's rule: the first capital A to H after the reasoning and stock phrases.

    It takes letters out of words ("Considering ..." is C), and an unclosed think block counts as the answer.

    >>> [official_letter(text) for text in ("B", "<think>A?</think>Final Answer: C.", "Considering it, D", "none")]
    ['B', 'C', 'C', '']
    """
    match = re.search("[A-H]", _LEADS.sub("", text.rpartition("</think>")[2]))
    return match[0] if match else ""


def option_letter(text: str) -> str:
    """Return the option that an answer names, or "" where it names none or several.

    A letter inside a word, the article "A" and an unclosed think block are no answer. What states an answer ("the
    answer is D") is taken before what only mentions options, and the last statement before the first.

    >>> [option_letter(text) for text in ("(B) a dog", "Considering it, the best option is D.", "A man walks.", "b")]
    ['B', 'D', '', 'B']
    """
    answer = text.rpartition("</think>")[2]
    if "<think>" in answer:
        return ""
    # Long runs say nothing, and repetition is how models fail: the patterns stay linear.
    answer = "\n".join(" ".join(line.split()) for line in answer.splitlines() if line.strip())
    answer = _RUN.sub(r"\1\1\1", answer)
    if len(answer) < 40 and (match := _ALONE.fullmatch(answer)):
        return match[1].upper()
    if boxed := _BOXED.findall(answer):
        return str(boxed[-1]).upper()
    for pattern in (_STATED, _CALLED_RIGHT):
        if matches := list(pattern.finditer(answer)):
            return str(matches[-1]["rest"] or matches[-1]["a"])
    if match := _FIRST.match(answer):
        return match[1]
    if matches := list(_CHOSEN.finditer(answer)):
        return str(matches[-1]["rest"] or matches[-1]["a"])
    for letters in (
        set(_LINE.findall(answer)),
        {match["named"] or match["mark"] for match in _MARKED.finditer(answer)},
    ):
        if letters:
            return letters.pop() if len(letters) == 1 else ""
    return ""
