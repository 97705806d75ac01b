/* Top k, the normalizer, entropy sums and ranks of logits, in plain loops that compilers vectorize. Part of kernels.c, compiled for each instruction
 * set.
 *
 * Shapes: x float32 [n]; top_k: indices int [k] and values float32 [k], from the largest down, k <= n.
 */
#ifndef GPTCLI_SHORTLIST_H
#define GPTCLI_SHORTLIST_H

/* exp for x <= 0 in double precision, to about one unit in the last place: 2^n times a Taylor series on
 * [-ln 2 / 2, ln 2 / 2]. Below -700 it stays at exp(-700). */
INLINE double exp_f64(double x) {
    const double shift = 0x1.8p52; /* adding it rounds to an integer, in the lowest bits */
    x = x < -700.0 ? -700.0 : x;
    const double shifted = x * 1.4426950408889634 + shift, n = shifted - shift;
    const double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
    double y = 1.0 / 479001600.0;
    y = y * r + 1.0 / 39916800.0;
    y = y * r + 1.0 / 3628800.0;
    y = y * r + 1.0 / 362880.0;
    y = y * r + 1.0 / 40320.0;
    y = y * r + 1.0 / 5040.0;
    y = y * r + 1.0 / 720.0;
    y = y * r + 1.0 / 120.0;
    y = y * r + 1.0 / 24.0;
    y = y * r + 1.0 / 6.0;
    y = y * r + 0.5;
    y = y * r + 1.0;
    y = y * r + 1.0;
    uint64_t integer, bits;
    memcpy(&integer, &shifted, sizeof integer);
    memcpy(&bits, &y, sizeof bits);
    bits += integer << 52;
    memcpy(&y, &bits, sizeof y);
    return y;
}

/* The sum of exp(x - largest), in double precision. */
static double exp_sum(const float *x, int n, float largest) {
    enum { WIDTH = 16 };
    double sum[WIDTH] = {0};
    int i = 0;
    for (; i + WIDTH <= n; i += WIDTH)
        for (int j = 0; j < WIDTH; j++) sum[j] += exp_f64((double)x[i + j] - (double)largest);
    for (; i < n; i++) sum[i % WIDTH] += exp_f64((double)x[i] - (double)largest);
    for (int half = WIDTH / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++) sum[j] += sum[j + half];
    return sum[0];
}

/* With d = x - largest: the sum of exp(d) to sums[0], and of exp(d) * d to sums[1], in double precision. */
static void entropy_sums(const float *x, int n, float largest, double *sums) {
    enum { WIDTH = 16 };
    double sum[WIDTH] = {0}, weighted[WIDTH] = {0};
    for (int start = 0; start < n; start += WIDTH) {
        double d[WIDTH];
        const int count = n - start < WIDTH ? n - start : WIDTH;
        for (int j = 0; j < count; j++) {
            d[j] = (double)x[start + j] - (double)largest;
            d[j] = d[j] < -700.0 ? -700.0 : d[j]; /* a logit of -infinity adds nothing */
        }
        for (int j = count; j < WIDTH; j++) d[j] = -700.0;
        for (int j = 0; j < WIDTH; j++) {
            const double e = exp_f64(d[j]);
            sum[j] += e, weighted[j] += e * d[j];
        }
    }
    for (int half = WIDTH / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++) sum[j] += sum[j + half], weighted[j] += weighted[j + half];
    sums[0] = sum[0], sums[1] = weighted[0];
}

/* The rank of x[at] among x [n]: 1 is the largest, and equal ones rank by index. */
static int rank_of(const float *x, int n, int at) {
    const float own = x[at];
    int32_t before = 0;
    for (int i = 0; i < n; i++) before += x[i] > own;
    for (int i = 0; i < at; i++) before += x[i] == own;
    return before + 1;
}

enum { TOP_K_BLOCK = 32 }; /* numbers that are compared at once with the smallest of the k */

/* Whether any of `count` numbers, at most TOP_K_BLOCK, is above a bound or is NaN. */
INLINE int any_above(const float *x, int count, float bound) {
    int32_t above = 0;
    if (count == TOP_K_BLOCK)
        for (int i = 0; i < TOP_K_BLOCK; i++) above |= !(x[i] <= bound);
    else
        for (int i = 0; i < count; i++) above |= !(x[i] <= bound);
    return above;
}

/* Insertion into a sorted list; among equal numbers, lower indices first. Returns 0, or -1 where a number is NaN. */
static int top_k(const float *x, int n, int k, int *indices, float *values) {
    int found = 0;
    for (int start = 0; start < n; start += TOP_K_BLOCK) {
        const int end = n - start < TOP_K_BLOCK ? n : start + TOP_K_BLOCK;
        if (found == k && !any_above(x + start, end - start, values[k - 1])) continue;
        for (int at = start; at < end; at++) {
            if (isnan(x[at])) return -1;
            if (found == k && !(x[at] > values[k - 1])) continue;
            int rank = found < k ? found++ : k - 1;
            for (; rank > 0 && values[rank - 1] < x[at]; rank--)
                values[rank] = values[rank - 1], indices[rank] = indices[rank - 1];
            values[rank] = x[at], indices[rank] = at;
        }
    }
    return 0;
}

#endif
