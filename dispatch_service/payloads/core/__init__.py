"""
Types, texts and amounts that the shapes and builders of all payloads use.
"""
