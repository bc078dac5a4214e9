import textwrap

def f(x):
    return textwrap.dedent(x)
# 1