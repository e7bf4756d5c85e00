"""
The hand-written half of the wire: what a server and a client of the contract
both need beside the generated stubs.
"""
