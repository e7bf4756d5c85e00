"""
Transports without a peer, for connections that are fed by hand.
"""

import asyncio


class Wire(asyncio.Transport):
    """
    A transport without a peer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """
        Keep the bytes.
        """
        self.written += data

    def abort(self) -> None:
        """
        Record the call.
        """
        self.aborted = True

    def is_closing(self) -> bool:
        """
        Tell whether it was aborted.
        """
        return self.aborted

    def get_write_buffer_size(self) -> int:
        """
        Return 0: everything is written at once.
        """
        return 0
