"""
The contract of the webhooks: generated stubs, the wire around them, the rules that both services
enforce, and what both servers run on.
"""
