"""
Figures: counts and durations of attempts by subscription and time, made from the log.
"""
