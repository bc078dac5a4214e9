"""Conversations: a model that answers again after a failure, and one that uses tools.

Data flows one way: `settings` and `split` say what a conversation may be; `conversation` is one
sample's state and what comes next; `feedback` and `tools` (with `reading` and `searching`) make
what the model is told; `journal` keeps every answer before anything follows from it; `driving` asks
the model until all samples are finished.
"""
