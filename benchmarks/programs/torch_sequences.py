import torch

COUNT = 6  # 3..30
LONGEST = 15  # 6..60

# %% candidate
def padded(sequences, fill=0.0):
    """Stack sequences of several lengths into one tensor; also return which entries are real."""
    longest = max(len(s) for s in sequences)
    result = torch.full((len(sequences), longest), fill)
    mask = torch.zeros(len(sequences), longest, dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        result[row, : len(sequence)] = torch.as_tensor(sequence)
        mask[row, : len(sequence)] = True
    return result, mask


def masked_mean(values, mask):
    """Return the mean of the real entries of each row."""
    return (values * mask).sum(1) / mask.sum(1)  # wrong: return values.mean(1)


def sequences(count, longest):
    return [[float(i * j % 7) for j in range(1 + (i * 5 + longest) % longest)] for i in range(count)]


# %% test (fails when wrong)
def test_means():
    given = sequences(COUNT, LONGEST)
    expected = torch.tensor([sum(s) / len(s) for s in given])
    assert torch.allclose(masked_mean(*padded(given, fill=9.0)), expected)

# %% test
def test_mask():
    given = sequences(COUNT, LONGEST)
    assert padded(given)[1].sum(1).tolist() == [len(s) for s in given]

# %% test
def test_round_trip():
    given = sequences(COUNT, LONGEST)
    values, mask = padded(given)
    assert [row[m].tolist() for row, m in zip(values, mask, strict=True)] == given

# %% test
def test_fill():
    values, mask = padded([[1.0], [1.0] * COUNT], fill=5.0)
    assert (values[~mask] == 5.0).all()
