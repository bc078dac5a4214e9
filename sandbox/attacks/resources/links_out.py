"""Leaves symbolic links to places outside, for a clean-up that follows them, and loops of links.

Expect: not passed
"""

import os

import bait

targets = ["/", "/etc", "/usr/lib", "/dev", "..", ".", bait.FOLDER, os.path.dirname(bait.FOLDER)]
for number, target in enumerate(targets):
    os.symlink(target, f"link{number}")
    os.makedirs(f"folder{number}/inner")
    os.symlink(target, f"folder{number}/inner/recode-attack")
os.symlink("b", "a")
os.symlink("a", "b")
