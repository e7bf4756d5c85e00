"""
Numbers and flags that may be unstated: a fact that nobody stated is None, not 0.
"""

from google.protobuf.message import Message


def optional_number(message: Message, field: str) -> int | None:
    """
    Return the number in *field* of *message*; None if it is unset.
    """
    number: int = getattr(message, field)
    # What is not 0 is set: no need to ask.
    return number if number or message.HasField(field) else None


def optional_flag(message: Message, field: str) -> bool | None:
    """
    Return the flag in *field* of *message*; None if it is unset.
    """
    flag: bool = getattr(message, field)
    return flag if flag or message.HasField(field) else None
