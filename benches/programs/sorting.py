# Numbers, texts and keys of a function, sorted, and counted in a dict.
def main():
    state, numbers = 42, []
    for _ in range(60000):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        numbers.append(state)
    texts = [str(n) for n in numbers]
    counts = {}
    for n in numbers:
        counts[n % 1009] = counts.get(n % 1009, 0) + 1
    ordered = sorted(numbers), sorted(texts), sorted(numbers, key=lambda n: -n), sorted(counts.items(), key=lambda pair: (pair[1], pair[0]))
    return f"{ordered[0][7]} {ordered[1][7]} {ordered[2][7]} {ordered[3][7]}"
