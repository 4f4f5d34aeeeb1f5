"""What a column is called, and what its name says: that it identifies a row, that it identifies what rows belong to, or that it
counts time."""

from __future__ import annotations

import re

CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""Characters that end lines, reorder or hide text, as part of a class of a regular expression."""
_CONTROL = re.compile(f"[{CONTROL}]+")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SURE_ID_WORDS = frozenset({"id", "ids", "uuid", "guid", "rowid", "userid", "customerid"})
_ID_WORDS = _SURE_ID_WORDS | {"key", "nbr", "idx", "index", "unnamed"}
_LAST_ID_WORDS = frozenset({"number", "no", "num", "hash"})
_ENTITIES = frozenset(
    {
        "patient", "subject", "user", "customer", "client", "household", "session", "device", "person",
        "member", "account", "participant", "student", "donor", "speaker", "employee", "driver", "machine",
        "engine", "worker", "player", "animal", "pid", "uid", "sid", "cid",
    }
)  # fmt: skip
_RECORDS = frozenset(
    {
        "batch", "booking", "case", "claim", "contract", "invoice", "loan", "lot", "order", "passport", "policy", "receipt",
        "serial", "ticket", "transaction", "trip", "visit",
    }
)  # fmt: skip
_NUMBER_WORDS = frozenset({"number", "no", "num", "nbr"})
_COUNT_WORDS = frozenset({"num", "n", "nr", "number", "count"})
_TIME = re.compile(r"year|date|month|week|day|hour|time", re.IGNORECASE)


def tidy_name(name: object) -> str:
    """Return a name without white space around it, and with a space for every run of line ends and other control characters: a
    name stands in messages, notes and terminals, and must not pose as anything else there."""
    return _CONTROL.sub(" ", str(name)).strip()


def name_parts(name: str) -> list[str]:
    """Cut a column name into lower-case words: `customerID` and `customer_id` give the same."""
    return [part.lower() for part in _PARTS.findall(name)]


def id_name(name: str) -> bool:
    """Whether a name may be that of an identifier. `key`, `index` and `number` are in the names of measurements, too
    (`air_quality_index`), so it only counts for columns without repeats."""
    parts = name_parts(name)
    return bool(parts) and (not _ID_WORDS.isdisjoint(parts) or parts[-1] in _LAST_ID_WORDS)


def identifies(name: str) -> bool:
    """Whether a name is that of an identifier although its values repeat: `user_id`, `sample_no`, `invoice_key`; not
    `number_of_rooms`, `week_number`, `air_quality_index`."""
    parts = name_parts(name)
    if not _SURE_ID_WORDS.isdisjoint(parts):
        return True
    if not id_name(name) or parts[0] in _COUNT_WORDS or time_name(name):
        return False
    numbered = len(parts) > 1 and parts[-1] in _NUMBER_WORDS
    return numbered or not (_ENTITIES | _RECORDS).isdisjoint(parts)


def names_entity(name: str) -> bool:
    """Whether a name is that of a person or thing (`patient`, `user_id`), not of something counted (`num_user`)."""
    parts = name_parts(name)
    if not parts or parts[0] in _COUNT_WORDS:
        return False
    return parts[-1] in _ENTITIES or (id_name(name) and not _ENTITIES.isdisjoint(parts))


def time_name(name: str) -> bool:
    """Whether a name is that of a date or a part of one."""
    return _TIME.search(name) is not None
