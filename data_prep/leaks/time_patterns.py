"""How moments are said: the patterns of `leaks/times.py`, which says what each match means."""

from __future__ import annotations

import re

CLIP = r"(?:clip|video|footage|sequence|recording|film|shot|scene|segment|movie|timeline|excerpt|take)"

NUM = r"\d{1,6}(?:\.\d+)?"
HEDGE = (
    r"(?:(?:about|around|roughly|approximately|approx\.?|circa|ca\.|exactly|precisely|just|right|nearly|almost|some"
    r"|maybe|perhaps|only|the|~|\u2248|say)\s*){0,6}"
)
UNIT = r"(?:seconds?|secs?\b\.?|s)(?![\w'])"
JOIN = r"(?:-|to|through|thru|until|till|and|or|up to|,|&|/)"
NOT_MORE = r"(?!\d|:\d|\.\d|-?\s*years?|\s*-?\s*year|%|\s*(?:percent|per cent)|(?:st|nd|rd|th)\b)"
# What may follow a number that stands for a moment without a unit: an end, or a word that cannot be what it counts.
BARE = (
    r"(?![\d:%/x]|\.\d)(?=\s*(?:[.,;!?)\]\"]|$|-\s|\b(?:and|or|to|until|till|through|the|he|she|it|they|we|his"
    r"|her|their|when|where"
    r"|while|as|before|after|with|then|but|so|because|which|that|this|there|on|in|a|an|is|was|of the)\b))"
)

NOT_OF_THE_CLIP = [
    # ages and decades
    r"\b\d+(?:\s*(?:-|to|or)\s*\d+)?[ -]*years?\b(?:[ -]*olds?\b)?|\b(?:aged?|ages) (?:of )?(?:about"
    r" )?\d+(?:\s*(?:-|to|and)\s*\d+)?",
    r"\b(?:in )?(?:his|her|their|its|the|early|mid|late)[ -](?:early |mid[ -]?|late )?(?:19|20)?[1-9]0'?s\b(?!"
    r" mark)|\b(?:19|20)\d0'?s\b",
    # scores, times of day, ratios
    r"\b(?:score|scored|scoreboard|ratio|result|(?:clock|watch|display|sign|timer|screen)(?: [a-z]+){0,3}?"
    r" (?:says?|shows?|reads?|displays?|showing|reading|saying|at)|tally|odds|leads?|leading|wins?|won|beats?"
    r"|trails?|lost|bible|train|bus|flight)s?\W+(?:[a-z]+\W+){0,4}?\"?\d+(?:\s*[:-]\s*\d+)+\"?",
    r"\d+\s*[:-]\s*\d+\s*(?:am\b|pm\b|a\.m|p\.m|o'clock|lead|win|victory|loss|draw|formation|score|ahead|down"
    r"|up\b|aspect|ratio|format)",
    r"\b\d{1,2}\s*(?:am|pm|a\.m\.?|p\.m\.?|o'clock)(?!\w)|\b\d+-\d+-\d+\b|\b24/7\b|\b(?:16:9|4:3|21:9)\b",
    # a number that names something
    r"\b(?:number|(?<!second )(?<!seconds )no\.|numbered|jersey|shirt|bib|lane|gate|bus|route|channel|room|floor"
    r"|level|platform|table|seat|player|page|size"
    r"|track|row|column|door|chapter|highway|interstate|exit|car|person|man|woman|dog|object|candidate|region"
    r"|step|point|option)s?\s*(?:number\s*)?[#-]?\s*\d+\b(?!\s*(?:s|seconds?)\b)",
]
HARMLESS = [re.compile(pattern) for pattern in NOT_OF_THE_CLIP]
QUOTED_SIGN = re.compile(
    r'\b(?:says?|reads?|reading|saying|shows?|showing|labell?ed|written|word|words|text|titled)\W*"[^"]{0,60}"'
)

CLOCK = r"(?:\d{1,2}:)?\d{1,2}:[0-5]\d(?:\.\d+)?"
CLOCKS = re.compile(rf"(?<![\d:.\w])({CLOCK})(?:\s*(?:-|to|and|until|through)\s*({CLOCK}))?(?![\d:])")
LABELLED = re.compile(
    rf"\b(?:(?:seconds?|secs?\.?)(?:\s+(?:number|index|mark|no\.))?|time\s?-?(?:stamp|code|index|step)s?|at time"
    rf"|frames?(?:\s+(?:number|index|no\.))?)"
    rf"\s*(?:#|=|\u2248|:|of|is|are|were|at|from|between)?\s*{HEDGE}({NUM}){NOT_MORE}(?:\s*{UNIT})?"
    rf"((?:\s*(?:,\s*)?{JOIN}\s*(?:{HEDGE})(?:seconds?|secs?|frames?)?\s*#?{NUM}{NOT_MORE}(?:\s*{UNIT})?)*)"
    r"(?!\s+(?:people|persons?|men|women|players?|dogs?|cars?|children|kids|balls?|others?)\b)"
)
ASSIGNED = re.compile(
    rf"(?<![a-z])(?:t_?[01]?|time|(?:start|end|begin|onset|offset|first|last)(?:[_ ]?(?:time|second|sec"
    rf"|s))?)\"?\s*(?:=|\u2248|:|\+|~)\s*{HEDGE}({NUM}){NOT_MORE}"
)
INTERVAL = re.compile(
    rf"\b(?:interval|window|span|segment|range|period|event)\"?\s*(?:of|from|is|was|covers|runs|spans|at|in"
    rf"|between|(?:should|would|must|could|may|might|can) be|lies|:|=)*\s*{HEDGE}[\[(]?\s*({NUM})\s*(?:{UNIT})?\s*"
    rf"(?:-|to|,|and|through|until)\s*({NUM}){NOT_MORE}(?!\s+(?!(?:second|sec)s?\b)[a-z])"
)
ORDINALS = re.compile(
    rf"\b(\d+)(?:st|nd|rd|th)((?:[\s,]*(?:,|and|or|to|through|-|until|till)\s*(?:the\s*)?\d+(?:st|nd|rd"
    rf"|th)){{0,20}})\s*-?\s*(?:{UNIT}|frames?\b)"
)
ORDINALS_WITH_SECOND = re.compile(
    r"\b(?:in|at|by|until|during|from|the|and|to) second (?:to|and|through|or) (?:the )?(\d+)(?:rd|th) seconds?\b"
    r"|\bsecond second\b"
)
MINUTE = re.compile(
    r"\b(?:in|at|during|by|from|until|around|about)? ?minute (?:number |#)?(\d+)\b(?!\s*(?:and|,|:)? ?\d)"
)
NTH_MINUTE = re.compile(
    r"\b(?:in|during|within|by|at|until) the (?:very )?(first|second|last|final|\d+(?:st|nd|rd|th)) minute\b(?!"
    r" of (?:play|stoppage))"
)
MINUTES = rf"(?:(?P<min>{NUM}|a|half a)\s*-?\s*(?:minutes?\b|mins?\b|m(?=\s?\d))\s*(?:and\s+|,\s*)?)"
RANGE = re.compile(
    rf"(?P<word>\bbetween\s+|\bfrom\s+)?{HEDGE}(?<![\w.:])(?P<a>{NUM})\s*-?(?:{UNIT})?\s*(?P<join>-|to|until"
    rf"|till|through|thru|and|or|up to)\s*{HEDGE}(?P<b>{NUM})[\s-]*(?P<unit>{UNIT})"
)
QUANTITY = re.compile(
    rf"(?<![\w.:/])(?:{MINUTES}(?:(?P<s1>{NUM})\s*-?\s*{UNIT})?|(?P<s2>{NUM}|a(?= second|"
    rf" sec))(?P<gap>\s*-?\s*)(?P<unit>{UNIT}))"
)
FIRST_N = re.compile(
    rf"\b(?P<which>first|opening|initial|starting|last|final|closing|ending) {HEDGE}(?P<n>{NUM}|few|couple of"
    rf"|several|handful of)(?:\s*(?:-|to|or)\s*(?P<m>{NUM}))?[\s-]*(?P<unit>{UNIT}|minutes?|mins?|frames?)"
)
FIRST_N_BARE = re.compile(
    rf"\b(?:in|during|within|only) the (?P<which>first|last|final) {HEDGE}(?P<n>{NUM})(?=\s*(?:[.,;!?)]|$))"
)
VAGUE = re.compile(r"\b(?:a )?(?P<n>few|couple(?: of)?|several|handful of) (?:seconds?|secs?|moments) (?=in(?:to)?\b)")
EVENT_AT = re.compile(
    rf"\b(?:starts?|starting|started|begins?|beginning|began|ends?|ending|ended|stops?|stopped|stopping"
    rf"|finish(?:es|ed|ing)?|happens?|occurs?|occurring"
    rf"|takes place|onset|offset|commences?|concludes?|resumes?|peaks?)\s+(?:(?:at|around|about|near|by|from|is"
    rf"|in)\s+)+{HEDGE}({NUM}){BARE}"
)
BARE_RANGE = re.compile(
    rf"\b(from|between|during|within|at|in|spans?|covers?|spanning|covering)\s+{HEDGE}({NUM})\s*(-|to|and|until|till|through"
    rf"|thru)\s*{HEDGE}({NUM}){BARE}"
)
AT_BARE = re.compile(rf"\b(?:at|@)\s+(?:around |about |roughly |approximately |t |time )?({NUM}){BARE}")
NO_MOMENT_BEFORE = re.compile(
    r"\b(?:scores?|scored|floors?|levels?|lanes?|points?|prices?|temperature|gr(?:ew|ows?)|rises?|rose|counts?"
    r"|counting|numbers?|ages?|aged"
    r"|looks?|looking|laughs?|stares?|aims?|smiles?|waves?|shoots?|children|people|group of|size|speed|sits|table"
    r"|gate|house|ranked|rated|valued)\W+(?:[a-z]+\W+){0,3}$"
)
DURATION_BEFORE = re.compile(
    r"\b(?:for|lasts?|lasted|lasting|takes?|took|taking|spends?|spent|spending|waits?|waited|waiting|pauses?"
    r"|paused|holds?|held|every|each|per|under|needs?|needed|requires?|uses?|has|have|had|gives?|gets?|wins?|leads?|loses?|over"
    r"|than|least|most|within|total of|duration of|length of|period of|span of|pause of|gap of|rest of|worth of"
    r"|another|additional|extra|whole|entire|full"
    r"|stays?|stands|sits|keeps|all|in)\s+(?:it |them |him |her |still |on |there |up |down |to |a |an |full "
    r"|another |further |of )*" + HEDGE + r"$"
)
LASTS_BEFORE = re.compile(r"\b(?:lasts?|lasted|lasting|duration(?: is| of|:)?|takes?)\s+(?:for )?" + HEDGE + r"$")
CLIP_LASTS_BEFORE = re.compile(rf"\b{CLIP} (?:itself )?(?:is|was|lasts|lasted|runs|takes)\s+(?:for )?" + HEDGE + r"$")
POINT_BEFORE = re.compile(
    r"(?:\b(?:at|by|until|till|to|from|since|after|before|past|near|around|between|starting|beginning"
    r"|ending|reaching|approaching|mark|and|or|through)|@|\("
    r"|(?:^|[.,;:!?(-]|\b(?:happens?|occurs?|starts?|begins?|ends?|seen|visible|comes?)) ?about)\s*" + HEDGE + r"$"
)
NOUN_AFTER = re.compile(
    r"\s*-?\s*(?:pause|gap|clip|video|delay|break|burst|stretch of|interval between|long|of |rest|warning|penalty"
    r"|shot|film|sequence)\b"
)
MARK_AFTER = re.compile(r"\s*-?\s*(?:mark|point|timestamp|position|line)s?\b")
IN_AFTER = re.compile(
    rf"\s*(?:in(?:to)?(?:\s*(?:[,.;:!)]|$)|\s+(?:the |this )?{CLIP}\b|\s+(?:he|she|it|they|we|you|when|as|while"
    rf"|and|where|after|the \w+ (?:is|are|starts|begins|walks|runs))\b)"
    rf"|through (?:the |this )?{CLIP}\b|(?:have |has |had )?(?:elapsed|passed|gone by)\b|onwards?\b|of runtime"
    rf"|:(?!\d)|of (?:the |this )?{CLIP}\b|from (?:the )?(?:start|beginning))"
)
RELATIVE_AFTER = re.compile(
    r"\s*(?:later|after|before|earlier|ago|apart|prior|previously|sooner|ahead|behind|long|longer|or so (?:later"
    r"|after|before)|beforehand|afterwards?)\b"
)
CLIP_STARTS = rf"(?:after|from when|since|once) (?:the|this) {CLIP} (?:starts|begins|opens|has (?:started|begun))\b"
CLIP_ENDS = (
    rf"(?:before|until) (?:the|this) {CLIP} (?:ends|finishes|stops|is over|runs out|cuts|fades)\b"
    r"|(?:left|remain(?:s|ing)?|to go)\b"
)
FROM_START = re.compile(
    rf"\s*{CLIP_STARTS}|\s*(?:after|from|past|since|following) (?:the )?(?:very )?(?:start|beginning|opening"
    rf"|first frame)\b(?! of (?!(?:the |this )?{CLIP}))"
)
FROM_END = re.compile(
    rf"\s*(?:{CLIP_ENDS})|\s*(?:before|from|prior to|to) (?:the )?(?:very )?(?:end|finish|close|last frame)\b(?!"
    rf" of (?!(?:the |this )?{CLIP}))"
)
PART_NOUN = re.compile(r"\s*-?\s*(?:window|interval|range|mark|span|segment|portion|part|section)s?\b")
