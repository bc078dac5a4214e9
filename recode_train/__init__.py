"""Companion trainer: SFT, GRPO and DAPO on the tasks' training pairs, with TRL.

Prompts, extraction and similarity are those of `recode_eval`; nothing of it is written twice. The
heavy libraries (torch, transformers, trl) are imported inside of functions only.
"""
