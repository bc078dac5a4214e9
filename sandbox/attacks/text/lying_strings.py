"""Fails with messages that are no strings, or strings that lie about their length and content.

Expect: not passed
"""


class Text(str):
    def __len__(self):
        return -1

    def encode(self, *arguments):
        return b"P" * 100

    def __getitem__(self, index):
        return Text("passed")

    def __add__(self, other):
        raise BaseException


class Odd(Exception):
    def __str__(self):
        return Text("passed") if self.args[0] % 2 else 7


def answer(question):
    raise Odd(question)
