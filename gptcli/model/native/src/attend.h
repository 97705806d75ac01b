/* The kernels of attention for the queries of one key head: rotation, caps and slopes, softmax, scores and weighted sums of
 * values. Part of kernels.c, compiled for each instruction set.
 *
 * Shapes: q is float32 [queries][d]; a row of keys or values [d], in float32 or, with `half`, in half precision; p and scores
 * [queries][count]; x [n].
 */
#ifndef GPTCLI_ATTEND_H
#define GPTCLI_ATTEND_H

static void rotate(float *x, const float *turns, int half, int interleaved) {
    const float *cosine = turns, *sine = turns + half;
    if (interleaved)
        for (int i = 0; i < half; i++) {
            const float a = x[2 * i], b = x[2 * i + 1];
            x[2 * i] = a * cosine[i] - b * sine[i], x[2 * i + 1] = b * cosine[i] + a * sine[i];
        }
    else
        for (int i = 0; i < half; i++) {
            const float a = x[i], b = x[half + i];
            x[i] = a * cosine[i] - b * sine[i], x[half + i] = b * cosine[i] + a * sine[i];
        }
}

INLINE vec capped(vec x, float factor, float cap) {
    x = v_mul(x, v_set(factor));
    return cap > 0 ? v_mul(tanh_of(v_div(x, v_set(cap))), v_set(cap)) : x;
}

static void soft_cap(float *x, int n, float factor, float cap) {
    int i = 0;
    for (; i + LANES <= n; i += LANES) v_store(x + i, capped(v_load(x + i), factor, cap));
    if (i >= n) return;
    float end[LANES] = {0};
    memcpy(end, x + i, (size_t)(n - i) * sizeof *x);
    v_store(end, capped(v_load(end), factor, cap));
    memcpy(x + i, end, (size_t)(n - i) * sizeof *x);
}

static void add_slope(float *x, int n, float slope, int distance) {
    for (int i = 0; i < n; i++) x[i] -= slope * (float)(distance + n - 1 - i);
}

static void clamp(float *x, int n, float limit) {
    for (int i = 0; i < n; i++) x[i] = x[i] > limit ? limit : x[i] < -limit ? -limit : x[i];
}

static float softmax_numerators(float *x, int n, float *most) {
    vec maxima = v_set(x[0]);
    int i = 0;
    for (; i + LANES <= n; i += LANES) maxima = v_max(maxima, v_load(x + i));
    float largest = v_reduce_max(maxima);
    for (; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    *most = largest;
    vec sum = v_zero();
    float rest = 0;
    for (i = 0; i + LANES <= n; i += LANES) {
        vec power = v_exp(v_sub(v_load(x + i), v_set(largest)));
        v_store(x + i, power);
        sum = v_add(sum, power);
    }
    if (i < n) {
        float end[LANES];
        for (int j = 0; j < LANES; j++) end[j] = i + j < n ? x[i + j] : largest;
        v_store(end, v_exp(v_sub(v_load(end), v_set(largest))));
        for (int j = 0; i < n; i++, j++) rest += x[i] = end[j];
    }
    return v_reduce_add(sum) + rest;
}

/* Numbers of the cache from index `at` on. */
INLINE vec load_cached(const void *cache, size_t at, const int half) {
    return half ? v_load_f16((const uint16_t *)cache + at) : v_load((const float *)cache + at);
}
INLINE float cached(const void *cache, size_t at, const int half) {
    return half ? f16_to_f32(((const uint16_t *)cache)[at]) : ((const float *)cache)[at];
}
INLINE void prefetch_cached(const void *cache, size_t at, int count, const int half) {
    const int size = half ? 2 : 4;
    prefetch((const char *)cache + at * (size_t)size + PREFETCH_MIN, count * size);
}

/* How many queries of a group read a key or value together, and how many vectors of sums each has then: all sums stay in
 * registers. In WebAssembly, code that a page carries counts for more than a group's speed. */
#ifdef __wasm__
enum { TOGETHER = 1, COLUMNS = 4 };
#else
enum { TOGETHER = LANES == 16 ? 4 : 2, COLUMNS = 4 };
#endif

/* What the last columns, less than a vector, add to the score of a key. */
INLINE float last_columns(const float *q, const void *keys, const int half, size_t at, int from, int d) {
    float sum = 0;
    for (int i = from; i < d; i++) sum += q[i] * cached(keys, at + i, half);
    return sum;
}

/* Scores of N keys at once with Q queries, from row `first` on and `apart` rows from one another. The order of summation does not
 * depend on their numbers. */
INLINE void scores_of(const float *q, const int Q, const void *keys, const int half, int first, const int N, int apart, int d,
                      float scale, float *out, size_t stride) {
    const size_t width = (size_t)d, at = (size_t)first * width;
    const float factors[4] = {scale, scale, scale, scale};
    vec sums[TOGETHER][4];
#pragma GCC unroll 4
    for (int g = 0; g < Q; g++)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) sums[g][j] = v_zero();
    int i = 0;
    for (; i + LANES <= d; i += LANES) {
        vec key[4];
#pragma GCC unroll 4
        for (int j = 0; j < N; j++) key[j] = load_cached(keys, at + j * apart * width + i, half);
#pragma GCC unroll 4
        for (int g = 0; g < Q; g++) {
            const vec query = v_load(q + g * width + i);
#pragma GCC unroll 4
            for (int j = 0; j < N; j++) sums[g][j] = v_fma(query, key[j], sums[g][j]);
        }
    }
#pragma GCC unroll 4
    for (int g = 0; g < Q; g++) {
        float reduced[4], *to = out + g * stride + first;
        v_reduce_add4(sums[g], factors, reduced);
        for (int j = 0; j < N; j++) to[j * apart] = reduced[j];
        for (int j = 0; j < N && i < d; j++)
            to[j * apart] += last_columns(q + g * width, keys, half, at + j * apart * width, i, d) * scale;
    }
}

/* N keys with all queries. */
INLINE void group_scores(const float *q, int queries, const void *keys, const int half, int first, const int N, int apart, int d,
                         float scale, float *out, size_t stride) {
    for (; queries >= TOGETHER; queries -= TOGETHER, q += TOGETHER * (size_t)d, out += TOGETHER * stride)
        scores_of(q, TOGETHER, keys, half, first, N, apart, d, scale, out, stride);
    if (TOGETHER > 1 && queries == 1) scores_of(q, 1, keys, half, first, N, apart, d, scale, out, stride);
#if LANES == 16
    if (queries == 2) scores_of(q, 2, keys, half, first, N, apart, d, scale, out, stride);
    if (queries == 3) scores_of(q, 3, keys, half, first, N, apart, d, scale, out, stride);
#endif
}

INLINE void all_scores(const float *q, int queries, const void *keys, const int half, int count, int d, float scale, float *out,
                       size_t stride) {
    const int quarter = count / 4;
    for (int s = 0; s < quarter; s++) {
        for (int j = 0; j < 4; j++) prefetch_cached(keys, (size_t)(s + j * quarter) * d, d, half);
        group_scores(q, queries, keys, half, s, 4, quarter, d, scale, out, stride);
    }
    for (int s = 4 * quarter; s < count; s++) group_scores(q, queries, keys, half, s, 1, 1, d, scale, out, stride);
}

static void attention_scores(const float *q, int queries, const void *keys, int half, int count, int d, float scale, float *out,
                             size_t stride) {
    if (half) all_scores(q, queries, keys, 1, count, d, scale, out, stride);
    else all_scores(q, queries, keys, 0, count, d, scale, out, stride);
}

/* Of `count` rows the one that is read at `step`: in turn from each quarter, then the rest. */
INLINE size_t row_at(int step, int count) {
    const int quarter = count / 4;
    return (size_t)(step < 4 * quarter ? step / 4 + step % 4 * quarter : step);
}

/* U vectors of columns at once with Q queries, from column `from` on. The order of summation of a column does not depend on their
 * numbers. */
INLINE void mix_of(const float *p, size_t stride, const int Q, const void *values, const int half, int from, int count, int d,
                   const int U, float *out, size_t apart) {
    vec sums[TOGETHER][2 * COLUMNS];
#pragma GCC unroll 4
    for (int g = 0; g < Q; g++)
#pragma GCC unroll 8
        for (int u = 0; u < U; u++) sums[g][u] = v_zero();
    for (int step = 0; step < count; step++) {
        const size_t row = row_at(step, count), at = row * (size_t)d + from;
        vec value[2 * COLUMNS];
        prefetch_cached(values, at, U * LANES, half);
#pragma GCC unroll 8
        for (int u = 0; u < U; u++) value[u] = load_cached(values, at + u * LANES, half);
#pragma GCC unroll 4
        for (int g = 0; g < Q; g++) {
            const vec weight = v_set(p[g * stride + row]);
#pragma GCC unroll 8
            for (int u = 0; u < U; u++) sums[g][u] = v_fma(weight, value[u], sums[g][u]);
        }
    }
#pragma GCC unroll 4
    for (int g = 0; g < Q; g++)
#pragma GCC unroll 8
        for (int u = 0; u < U; u++) v_store(out + g * apart + from + u * LANES, sums[g][u]);
}

/* All columns with Q queries. */
INLINE void mix_columns(const float *p, size_t stride, const int Q, const void *values, const int half, int count, int d,
                        float *out, size_t apart) {
    int i = 0;
    for (; 2 * Q <= TOGETHER && i + 2 * COLUMNS * LANES <= d; i += 2 * COLUMNS * LANES)
        mix_of(p, stride, Q, values, half, i, count, d, 2 * COLUMNS, out, apart);
    for (; i + COLUMNS * LANES <= d; i += COLUMNS * LANES) mix_of(p, stride, Q, values, half, i, count, d, COLUMNS, out, apart);
    for (; i + 2 * LANES <= d; i += 2 * LANES) mix_of(p, stride, Q, values, half, i, count, d, 2, out, apart);
    for (; i + LANES <= d; i += LANES) mix_of(p, stride, Q, values, half, i, count, d, 1, out, apart);
    for (; i < d; i++)
        for (int g = 0; g < Q; g++) {
            float sum = 0;
            for (int step = 0; step < count; step++) {
                const size_t row = row_at(step, count);
                sum = fmaf(p[g * stride + row], cached(values, row * (size_t)d + i, half), sum);
            }
            out[g * apart + i] = sum;
        }
}

INLINE void group_mix(const float *p, size_t stride, int queries, const void *values, const int half, int count, int d,
                      float *out, size_t apart) {
    for (; queries >= TOGETHER; queries -= TOGETHER, p += TOGETHER * stride, out += TOGETHER * apart)
        mix_columns(p, stride, TOGETHER, values, half, count, d, out, apart);
    if (TOGETHER > 1 && queries == 1) mix_columns(p, stride, 1, values, half, count, d, out, apart);
#if LANES == 16
    if (queries == 2) mix_columns(p, stride, 2, values, half, count, d, out, apart);
    if (queries == 3) mix_columns(p, stride, 3, values, half, count, d, out, apart);
#endif
}

static void attention_mix(const float *p, size_t stride, int queries, const void *values, int half, int count, int d, float *out,
                          size_t apart) {
    if (half) group_mix(p, stride, queries, values, 1, count, d, out, apart);
    else group_mix(p, stride, queries, values, 0, count, d, out, apart);
}

#endif
