"""Rust as a language of answers: everything about its text, and how its programs are compiled."""
