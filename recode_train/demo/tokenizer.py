"""The demonstration's tokenizer: a fixed vocabulary of words, syllables, signs and a few phrases.

The words are those of the templates; names fall into their syllables, the same ones wherever a name
stands, so that copying a name is copying two tokens.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from recode_eval.scoring.extraction import ANSWER, END_ANSWER, END_THINK, THINK
from recode_train.demo import rows

if TYPE_CHECKING:
    from collections.abc import Iterable

PAD, EOS, UNKNOWN = "<pad>", "<eos>", "<unk>"
_PHRASES: Final = (
    "The note says what changed in", "These lines change:", "This program needs no change.",
    THINK, END_THINK, ANSWER, END_ANSWER, "```python", "```", "    ", "\n",
)  # fmt: skip
_SIGNS: Final = " .,:()=+-0123456789"
_NAME: Final = re.compile(r"[a-z]+")


def vocabulary() -> list[str]:
    """Return the tokens in the order of their ids."""
    words = sorted(_words())
    spaced = [f" {word}" for word in words]
    return [PAD, EOS, UNKNOWN, *_PHRASES, *_SIGNS, *words, *spaced, *rows.SYLLABLES]


def make_tokenizer() -> Any:
    """Return the tokenizer; a text made of the templates comes back from its ids unchanged."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = "|".join(sorted(_words(), key=len, reverse=True))
    syllables = "|".join(rows.SYLLABLES)
    pattern = rf"{_alternatives(_PHRASES)}| ?(?:{words})(?![a-z])|(?:{syllables})|."
    inner = Tokenizer(
        models.WordLevel(
            {token: number for number, token in enumerate(vocabulary())}, unk_token=UNKNOWN
        )
    )
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    inner.decoder = decoders.Fuse()
    tokenizer_class: Any = PreTrainedTokenizerFast  # typed in some releases only
    return tokenizer_class(
        tokenizer_object=inner,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def _words() -> set[str]:
    """Return every word that the templates write, other than names."""
    words = {rows.ENTRY_POINT, *rows.ITEMS, *rows.NUMBERS, *rows.RESULTS, "no", "note"}
    for template in rows.templates():
        words.update(_NAME.findall(re.sub(r"{\w+}", " ", template)))
    return words


def _alternatives(texts: Iterable[str]) -> str:
    return "|".join(re.escape(text).replace("\\ ", " ") for text in texts)
