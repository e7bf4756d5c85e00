"""
Calls that are refused: one for each reason of the contract.
"""
