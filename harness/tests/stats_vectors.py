#!/usr/bin/env python3
"""Writes stats_vectors.h, the golden vectors of stats_test.c: scipy, numpy and R compute what hzb must.

Needs python3-scipy and r-base-core; nothing else of hzb does, so the result is kept:
    /usr/bin/python3 harness/tests/stats_vectors.py > harness/tests/stats_vectors.h
"""
import itertools
import random
import subprocess

import numpy
import scipy
from scipy import stats

LEVEL = 0.95


def walsh_median(d):
    d = numpy.asarray(d)
    i, j = numpy.triu_indices(len(d))
    return float(numpy.median((d[i] + d[j]) / 2))


def signed_ranks(d):
    d = numpy.array([x for x in d if x != 0])
    return numpy.sign(d) * stats.rankdata(abs(d)) if len(d) else d


def wilcoxon(d):
    """scipy's exact p where it has one; with ties, all 2^n signs of scipy's ranks."""
    ranks = signed_ranks(d)
    if len(ranks) == 0:
        return 1.0
    sizes = abs(ranks)
    if len(set(sizes)) == len(sizes):
        return float(stats.wilcoxon([x for x in d if x != 0], mode="exact").pvalue)
    if len(ranks) > 18:
        return None
    low = min(ranks[ranks > 0].sum(), -ranks[ranks < 0].sum())
    signs = numpy.array(list(itertools.product([0, 1], repeat=len(sizes))))
    return min(1.0, 2 * float((signs @ sizes <= low).mean()))


def r(expression):
    out = subprocess.run(["Rscript", "-e", f"cat(format({expression}, digits=17), sep='\\n')"],
                         check=True, capture_output=True, text=True).stdout
    return [float(x) for x in out.split()]


def interval(d):
    """wilcox.test's own exact interval; with ties or zeros, for which it has none, the same order statistics by hand."""
    if len(d) < 6:
        return [None, None]
    if len({abs(x) for x in d}) == len(d) and 0 not in d:
        return r(f"wilcox.test({r_vector(d)}, conf.int=TRUE, exact=TRUE, conf.level={LEVEL})$conf.int")
    return r(f"local({{d <- {r_vector(d)}; n <- length(d); m <- outer(d, d, '+') / 2; m <- sort(m[!lower.tri(m)]);"
             f" q <- max(1, qsignrank({(1 - LEVEL) / 2}, n)); c(m[q], m[length(m) + 1 - q])}})")


def r_vector(values):
    return "c(" + ",".join("NA" if v is None else repr(float(v)) for v in values) + ")"


def c_array(values):
    return ", ".join("NAN" if v is None else repr(float(v)) for v in values)


def samples():
    rng = random.Random(20240901)
    yield [0.25]
    yield [0.0]
    yield [0.0, 0.0, 0.0]
    yield [-0.5, 0.125]
    yield [1.0, 2.0, 3.0]
    yield [0.01, -0.01, 0.01, 0.01, 0.02]
    yield [0.0, 0.03, 0.03, -0.01, 0.0, 0.02, 0.05]
    yield [-0.25] * 12
    yield [rng.choice([-3, -2, -1, 0, 1, 2, 4]) / 64 for _ in range(18)]
    for n, shift in ((6, 0.02), (10, 0.0), (15, -0.03), (25, 0.01), (40, 0.006)):
        yield [rng.gauss(shift, 0.03) for _ in range(n)]
    yield [rng.expovariate(40) - 0.02 for _ in range(50)]


def main():
    print("/* Made by stats_vectors.py with scipy", scipy.__version__ + ", numpy",
          numpy.__version__, "and", subprocess.run(
              ["Rscript", "-e", "cat(R.version.string)"], capture_output=True, text=True).stdout + "; not by hand. */")
    print("/* clang-format off */")
    print(f"static const double golden_level = {LEVEL};")
    rows = []
    for index, d in enumerate(samples()):
        median = r(f"median({r_vector(d)})")[0]
        p = wilcoxon(d)
        lo, hi = interval(d)
        print(f"static const double golden_d{index}[] = {{{c_array(d)}}};")
        rows.append(f"    {{golden_d{index}, {len(d)}, {c_array([median, walsh_median(d), p, lo, hi])}}},")
    print("static const struct {\n    const double *d;\n    unsigned n;\n    double median, hl, p, lo, hi;\n} golden[] = {")
    print("\n".join(rows) + "\n};")
    for index, p in enumerate(([0.01], [0.04, 0.01, 0.03, 0.005], [0.02, 0.02, 0.5, 0.9, 0.001, 0.02],
                               [0.2, None, 0.01, 0.3], [1.0, 1.0, 0.6])):
        adjusted = r(f"p.adjust({r_vector(p).replace('NA', 'NA_real_')}, 'holm')") if None not in p else None
        if adjusted is None:
            known = iter(r(f"p.adjust({r_vector([v for v in p if v is not None])}, 'holm')"))
            adjusted = [None if v is None else next(known) for v in p]
        print(f"static const double golden_p{index}[] = {{{c_array(p)}}};")
        print(f"static const double golden_holm{index}[] = {{{c_array(adjusted)}}};")


main()
