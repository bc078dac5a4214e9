import sympy

SIZE = 3  # 2..5
SHIFT = 4  # 1..50

# %% candidate
def solved(matrix, vector):
    """Solve a linear system exactly; `None` if it has no single solution."""
    if matrix.det() == 0:  # wrong: if matrix.det() != 0:
        return None
    return matrix.LUsolve(vector)


def hilbert(size, shift):
    return sympy.Matrix(size, size, lambda i, j: sympy.Rational(1, i + j + shift))


# %% test (fails when wrong)
def test_exact():
    matrix = hilbert(SIZE, SHIFT)
    expected = sympy.Matrix(range(1, SIZE + 1))
    assert solved(matrix, matrix * expected) == expected

# %% test (fails when wrong)
def test_singular():
    assert solved(sympy.ones(SIZE, SIZE), sympy.ones(SIZE, 1)) is None

# %% test
def test_inverse():
    matrix = hilbert(SIZE, SHIFT)
    assert matrix * matrix.inv() == sympy.eye(SIZE)

# %% test
def test_characteristic_polynomial():
    name = sympy.symbols("t")
    polynomial = hilbert(2, SHIFT).charpoly(name).as_expr()
    assert sympy.expand(polynomial).coeff(name, 2) == 1
