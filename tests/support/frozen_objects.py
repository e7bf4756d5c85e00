"""
What the process has loaded by now stays until it ends, so no collection of garbage looks at it.
Imported last by the process that services are forked from.
"""

import gc

gc.collect()
gc.freeze()
