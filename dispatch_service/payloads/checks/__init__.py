"""
Validation of published events.

`events` is the entry. It first calls the generated functions of `fast_path`, which only recognise
valid events; `messages` then finds every fault. Both apply the `rules` of single values.
"""
