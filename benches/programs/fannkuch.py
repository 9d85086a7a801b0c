# Permutations of nine: integers in lists, and slices of them.
def main():
    n = 9
    count, maximum, checksum, r, k = list(range(1, n + 1)), 0, 0, n, 0
    first, perm = list(range(n)), list(range(n))
    while True:
        while r != 1:
            count[r - 1] = r
            r -= 1
        if first[0] != 0 and first[n - 1] != n - 1:
            perm[:] = first
            flips, q = 0, perm[0]
            while q:
                perm[:q + 1] = perm[q::-1]
                q = perm[0]
                flips += 1
            maximum = max(maximum, flips)
            checksum += flips if k % 2 == 0 else -flips
        while True:
            if r == n:
                return f"{checksum} {maximum}"
            first.insert(r, first.pop(0))
            count[r] -= 1
            if count[r] > 0:
                break
            r += 1
        k += 1
