"""
What both servers run on: the database, the key ring, the settings, the logs.
Nothing here knows what a webhook is.
"""
