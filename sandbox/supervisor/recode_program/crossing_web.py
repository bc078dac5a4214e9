"""The types of werkzeug that cross between processes: requests and headers.

A server's interface (WSGI) hands a dictionary to an application, and werkzeug's test client has put
its own request into it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from recode_program.crossing import register

if TYPE_CHECKING:
    from recode_program.crossing import Decoder, Encoder

_ITSELF = "werkzeug.request"
"""Under this name a request's dictionary holds the request."""


def bind(wrappers: Any) -> None:
    """Register them; `wrappers` is the loaded module werkzeug.wrappers."""
    request = wrappers.Request
    headers = sys.modules["werkzeug.datastructures"].Headers

    def encode_request(encoder: Encoder, value: Any) -> Any:
        facts = {key: one for key, one in value.environ.items() if key != _ITSELF}
        return encoder.seen(value) or ["wz.r", encoder.encode(facts)]

    def decode_request(decoder: Decoder, form: Any) -> Any:
        fill = decoder.reserve()
        facts = decoder.decode(form)
        if type(facts) is not dict:
            raise ValueError("no dictionary where one belongs")
        return fill(request(facts, populate_request=False))

    def encode_headers(encoder: Encoder, value: Any) -> Any:
        return encoder.seen(value) or ["wz.h", encoder.encode(list(value))]

    def decode_headers(decoder: Decoder, form: Any) -> Any:
        made = decoder.add(headers())
        for name, text in decoder.decode(form):
            if type(name) is not str or type(text) is not str:
                raise ValueError("no header where one belongs")
            made.add(name, text)
        return made

    register([request], encode_request, wz_r=decode_request)
    register([headers], encode_headers, wz_h=decode_headers)
