"""
What is counted of the kernel's table of connections.
"""

from __future__ import annotations

from service_runtime.observability.open_connections import count_established

# Columns of `/proc/net/tcp`: number, local and remote address in hexadecimal, state. 01 is an
# established connection, 06 one that waits for its end, 0A a listener.
TABLE = b"""\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:C383 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:C383 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 2
  12: 0100007F:9C40 0100007F:C383 01 00000000:00000000 00:00000000 00000000     0        0 3
 113: 0100007F:C383 0100007F:9C42 06 00000000:00000000 00:00000000 00000000     0        0 4
1114: 0100007F:C383 0100007F:9C44 01 00000000:00000000 00:00000000 00000000     0        0 5
"""
TABLE6 = (
    b"  0: 00000000000000000000000001000000:0050"
    b" 00000000000000000000000001000000:C383 01 00000000:00000000\n"
)


def test_established_connections_of_the_port_are_counted() -> None:
    """
    Listeners, other states and other ports do not count.
    """
    assert count_established(TABLE, 0xC383) == 2
    assert count_established(TABLE, 0x9C40) == 1
    assert count_established(TABLE, 1) == 0
    assert count_established(TABLE6, 0x0050) == 1
