"""
Published forms of the payload contracts, generated from the typed definitions: schema files
beside the stubs, pages of `docs/payloads`, and a bundle for other tools.
"""
