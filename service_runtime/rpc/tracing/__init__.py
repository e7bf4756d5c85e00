"""
Places in traces, and the spans that a tracer takes.
"""
