"""The columns of a Cypher query, for an engine that names them only where there are rows."""

import re

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/) | (?P<quoted>`(?:[^`]|``)*`)
    | (?P<string>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*") | (?P<word>\w+) | (?P<space>\s+) | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_END = {"ORDER", "SKIP", "OFFSET", "LIMIT", "UNION"}


def returned_columns(query: str) -> list[str]:
    """Names of what the query's last RETURN returns: its alias, else the expression as written.

    Empty where there is no RETURN, or it returns ``*``.
    """
    columns: list[list[tuple[str, str]]] = []
    returning, depth = False, 0
    for match in _TOKEN.finditer(query):
        kind, token = match.lastgroup or "", match.group()
        word = token.upper() if kind == "word" and depth == 0 else ""
        depth += (token in "([{") - (token in ")]}") if kind == "sign" else 0
        if word == "RETURN":
            columns, returning = [[]], True
        elif word in _END:
            returning = False
        elif returning and kind == "sign" and token == "," and depth == 0:
            columns.append([])
        elif returning and kind != "comment" and (columns[-1] or (kind != "space" and word != "DISTINCT")):
            columns[-1].append((kind, token))
    names = [_name(tokens) for tokens in columns]
    return [] if "*" in names else names


def _name(tokens: list[tuple[str, str]]) -> str:
    text = "".join(token for _, token in tokens).strip().rstrip(";").rstrip()
    solid = [(kind, token) for kind, token in tokens if kind != "space" and token != ";"]
    if len(solid) > 2 and solid[-2][0] == "word" and solid[-2][1].upper() == "AS":
        kind, alias = solid[-1]
        return alias[1:-1].replace("``", "`") if kind == "quoted" else alias
    return text
