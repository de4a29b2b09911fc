"""What mkdocs needs to know of us: how to colour the IR of the documentation.

Pygments has no lexer for MLIR. It looks for one under the name after the fence, so this one is
put into its table when the site is built.
"""

from typing import Any, ClassVar

from pygments import token
from pygments.lexer import RegexLexer, words
from pygments.lexers import LEXERS, _lexer_cache  # pyright: ignore[reportPrivateUsage]


class MlirLexer(RegexLexer):
    """Values, symbols, operations, types, numbers, strings and comments; nothing is parsed."""

    name = "MLIR"
    aliases: ClassVar[list[str]] = ["mlir"]
    filenames: ClassVar[list[str]] = ["*.mlir"]
    tokens: ClassVar[dict[str, list[tuple[Any, object]]]] = {
        "root": [
            (r"//.*|…", token.Comment.Single),
            (r'"[^"]*"', token.String),
            (r"%[\w$.-]+", token.Name.Variable),
            (r"@[\w$.-]+", token.Name.Function),
            (r"\b(?:builtin|func|pico|kernel|buffer|loop|arith|math)\.\w+", token.Keyword),
            (r"\b(?:tensor|memref|vector)<[^>]*>", token.Keyword.Type),
            (r"\b(?:index|[fi](?:1|8|16|32|64))\b", token.Keyword.Type),
            (
                words(
                    ("absorbs", "along", "as", "attributes", "at", "carry", "clip", "else", "init",
                     "mapping", "pad", "reads", "step", "to", "writes", "floordiv", "mod", "min"),
                    prefix=r"\b", suffix=r"\b",
                ),
                token.Keyword.Reserved,
            ),
            (r"-?\b(?:0x[0-9A-Fa-f]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?)\b", token.Number),
            (r"\s+", token.Whitespace),
            (r"\w+|.", token.Text),
        ]
    }  # fmt: skip


def on_config(config: object) -> None:
    """Called by mkdocs before it builds: make the lexer known."""
    LEXERS["MlirLexer"] = (__name__, MlirLexer.name, ("mlir",), ("*.mlir",), ())
    _lexer_cache[MlirLexer.name] = MlirLexer
