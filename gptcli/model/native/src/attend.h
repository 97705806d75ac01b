/* The kernels of attention for one head: rotation, caps and slopes, softmax, scores and weighted sums of values. Part of
 * kernels.c, compiled for each instruction set.
 *
 * Shapes: q is float32 [d]; a row of keys or values [d], in float32 or, with `half`, in half precision; p and scores [count]; x [n].
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

static void add_slope(float *x, int n, float slope) {
    for (int i = 0; i < n; i++) x[i] -= slope * (float)(n - 1 - i);
}

static void clamp(float *x, int n, float limit) {
    for (int i = 0; i < n; i++) x[i] = x[i] > limit ? limit : x[i] < -limit ? -limit : x[i];
}

static float softmax_numerators(float *x, int n) {
    vec maxima = v_set(x[0]);
    int i = 0;
    for (; i + LANES <= n; i += LANES) maxima = v_max(maxima, v_load(x + i));
    float largest = v_reduce_max(maxima);
    for (; i < n; i++) largest = x[i] > largest ? x[i] : largest;
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

/* Scores of N keys at once, from row `first` on and `apart` rows from one another. The order of summation does not depend on
 * their number. */
INLINE void attention_scores_of(const float *q, const void *keys, const int half, size_t first, const int N, size_t apart, int d,
                                float scale, float *out) {
    const size_t width = (size_t)d;
    const float factors[4] = {scale, scale, scale, scale};
    vec sums[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    float reduced[4], rest[4] = {0};
    int i = 0;
    for (; i + LANES <= d; i += LANES) {
        const vec one = v_load(q + i);
        for (int j = 0; j < N; j++) sums[j] = v_fma(one, load_cached(keys, (first + j * apart) * width + i, half), sums[j]);
    }
    for (; i < d; i++)
        for (int j = 0; j < N; j++) rest[j] += q[i] * cached(keys, (first + j * apart) * width + i, half);
    v_reduce_add4(sums, factors, reduced);
    for (int j = 0; j < N; j++) out[j * apart] = reduced[j] + rest[j] * scale;
}

INLINE void all_scores(const float *q, const void *keys, const int half, int count, int d, float scale, float *out) {
    const int apart = count / 4;
    for (int s = 0; s < apart; s++) {
        for (int j = 0; j < 4; j++) prefetch_cached(keys, (size_t)(s + j * apart) * d, d, half);
        attention_scores_of(q, keys, half, (size_t)s, 4, apart, d, scale, out + s);
    }
    for (int s = 4 * apart; s < count; s++) attention_scores_of(q, keys, half, (size_t)s, 1, 1, d, scale, out + s);
}

static void attention_scores(const float *q, const void *keys, int half, int count, int d, float scale, float *out) {
    if (half) all_scores(q, keys, 1, count, d, scale, out);
    else all_scores(q, keys, 0, count, d, scale, out);
}

/* U vectors of columns at once, from column `from` on. The order of summation of a column does not depend on the others. */
INLINE void attention_mix_of(const float *p, const void *values, const int half, size_t from, size_t stride, int count,
                             const int U, float factor, float *out) {
    const int apart = count / 4;
    vec sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    for (int s = 0; s < apart; s++)
        for (int j = 0; j < 4; j++) {
            const size_t at = (size_t)(s + j * apart) * stride + from;
            prefetch_cached(values, at, U * LANES, half);
            for (int u = 0; u < U; u++)
                sum[u] = v_fma(v_set(p[s + j * apart]), load_cached(values, at + u * LANES, half), sum[u]);
        }
    for (int s = 4 * apart; s < count; s++)
        for (int u = 0; u < U; u++)
            sum[u] = v_fma(v_set(p[s]), load_cached(values, (size_t)s * stride + from + u * LANES, half), sum[u]);
    for (int u = 0; u < U; u++) v_store(out + u * LANES, v_mul(sum[u], v_set(factor)));
}

INLINE void all_mixed(const float *p, const void *values, const int half, size_t stride, int count, int d, float factor,
                      float *out) {
    const int apart = count / 4;
    int i = 0;
    for (; i + 4 * LANES <= d; i += 4 * LANES) attention_mix_of(p, values, half, i, stride, count, 4, factor, out + i);
    for (; i + 2 * LANES <= d; i += 2 * LANES) attention_mix_of(p, values, half, i, stride, count, 2, factor, out + i);
    for (; i + LANES <= d; i += LANES) attention_mix_of(p, values, half, i, stride, count, 1, factor, out + i);
    for (; i < d; i++) {
        float sum = 0;
        for (int s = 0; s < apart; s++)
            for (int j = 0; j < 4; j++) sum = fmaf(p[s + j * apart], cached(values, (s + j * apart) * stride + i, half), sum);
        for (int s = 4 * apart; s < count; s++) sum = fmaf(p[s], cached(values, s * stride + i, half), sum);
        out[i] = sum * factor;
    }
}

static void attention_mix(const float *p, const void *values, int half, size_t stride, int count, int d, float factor,
                          float *out) {
    if (half) all_mixed(p, values, 1, stride, count, d, factor, out);
    else all_mixed(p, values, 0, stride, count, d, factor, out);
}

#endif
