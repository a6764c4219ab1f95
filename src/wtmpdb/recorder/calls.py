# SPDX-License-Identifier: BSD-2-Clause
"""Varlink's messages (https://varlink.org/Method-Call): a JSON object each, ended by a zero byte. No I/O.

Anybody may send anything: what is no call is refused as a whole, and of a call each parameter is looked at before it is used.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, NoReturn

LONGEST = 16_384
"""The most bytes of a call, with the byte that ends it."""

_LARGEST = 2**63 - 1
_write = json.JSONEncoder(separators=(",", ":"), check_circular=False, allow_nan=False).encode


class BadMessageError(ValueError):
    """A message that is no call: whoever sends that is not worth an answer."""


class RefusedError(Exception):
    """A call that is answered by an error; ``name`` is its full name."""

    def __init__(self, name: str, **parameters: object) -> None:
        """Keep both."""
        super().__init__(name)
        self.name = name
        self.parameters = parameters


def invalid(parameter: str) -> RefusedError:
    """Return the error about a parameter."""
    return RefusedError("org.varlink.service.InvalidParameter", parameter=parameter)


def denied() -> RefusedError:
    """Return the error for who may not do that."""
    return RefusedError("org.varlink.service.PermissionDenied")


class Call:
    """A call: the interface and the name of the method, and what came with them."""

    __slots__ = ("interface", "more", "name", "oneway", "parameters")

    def __init__(self, method: str, parameters: dict[str, object], *, more: bool, oneway: bool) -> None:
        """Take the method apart."""
        self.interface, _, self.name = method.rpartition(".")
        self.parameters = parameters
        self.more = more
        self.oneway = oneway

    def take(self, **kinds: Callable[[object], Any]) -> list[Any]:
        """Return the parameters in the order of their names here, each as its kind (`number`, `text`, …) lets it through.

        Raises RefusedError for one that is of another kind, and for one that is not among these.
        """
        for name in self.parameters:
            if name not in kinds:
                raise invalid(name)
        taken = []
        for name, kind in kinds.items():
            try:
                taken.append(kind(self.parameters.get(name)))
            except ValueError:
                raise invalid(name) from None
        return taken


# Kinds of parameters


def number(value: object) -> int:
    """Let an integer of 64 bits through."""
    if type(value) is not int or not -_LARGEST <= value <= _LARGEST:
        raise ValueError
    return value


def text(most: int) -> Callable[[object], str]:
    """Let text of at most so many bytes through, and not without any."""

    def check(value: object) -> str:
        if not isinstance(value, str) or not 0 < len(value.encode("utf-8", "surrogatepass")) <= most:
            raise ValueError
        return value

    return check


def word(*words: str) -> Callable[[object], str]:
    """Let one of some words through."""

    def check(value: object) -> str:
        if value not in words:
            raise ValueError
        return str(value)

    return check


def maybe(kind: Callable[[object], Any], *, empty: object = None) -> Callable[[object], Any]:
    """Let null through too, and what is left out; so is ``empty``."""
    return lambda value: None if value is None or value == empty else kind(value)


# Messages


def parse(message: bytes) -> Call:
    """Return the call that a message makes, given without the byte that ends it. Raises BadMessageError."""
    try:
        told = json.loads(message.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadMessageError("not JSON") from error
    if not isinstance(told, dict) or not isinstance(told.get("method"), str):
        raise BadMessageError("not a call")
    parameters = told.get("parameters")
    flags = [told.get(name) for name in ("more", "oneway", "upgrade")]
    if not (parameters is None or isinstance(parameters, dict)) or not all(flag is None or isinstance(flag, bool) for flag in flags):
        raise BadMessageError("not a call")
    if flags[2]:
        raise RefusedError("org.varlink.service.InvalidParameter", parameter="upgrade")
    return Call(told["method"], parameters or {}, more=bool(flags[0]), oneway=bool(flags[1]))


def _once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Refuse an object that has a key twice: two readers could take it for two things."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _no_number(_: str) -> NoReturn:
    raise ValueError  # NaN and Infinity are Python's, not JSON's


def reply(parameters: Mapping[str, object], *, continues: bool = False) -> bytes:
    """Return the message that answers a call; with ``continues`` others follow."""
    return written({"parameters": parameters, "continues": True} if continues else {"parameters": parameters}) + b"\0"


def refusal(error: RefusedError) -> bytes:
    """Return the message that answers a call by an error."""
    return written({"error": error.name, "parameters": error.parameters}) + b"\0"


def written(told: object) -> bytes:
    """Return something as JSON, in ASCII."""
    return _write(told).encode("ascii")
