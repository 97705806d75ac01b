/* The inner loops, compiled once for each instruction set with KERNELS naming the table that they go into.
 *
 * Decoding reads every weight once a token: it is bound by memory, so the loops ask for what comes next AHEAD bytes early,
 * and several activations share what was read. Prompts are bound by arithmetic: `tile` keeps a block of the product in
 * registers (Goto and van de Geijn 2008).
 */
#include <math.h>

#include "native.h"
#include "simd.h"

#define INLINE static inline __attribute__((always_inline))
#define AHEAD 8192

#include "choose.h"
#include "round.h"

/* LANES weights from place k of a row. */
INLINE vec weights(const void *row, int k, const int kind) {
    switch (kind) {
        case FLOAT16: return v_half((const uint16_t *)row + k);
        case BFLOAT16: return v_brain((const uint16_t *)row + k);
        case INT8: return v_int8((const int8_t *)row + k);
        default: return v_load((const float *)row + k);
    }
}

INLINE float weight(const void *row, int k, const int kind) {
    switch (kind) {
        case FLOAT16: return float_of_half(((const uint16_t *)row)[k]);
        case BFLOAT16: return float_of_brain(((const uint16_t *)row)[k]);
        case INT8: return ((const int8_t *)row)[k];
        default: return ((const float *)row)[k];
    }
}

INLINE void fetch_ahead(const char *place, const int bytes) {
    for (int at = 0; at < bytes; at += 64) __builtin_prefetch(place + at + AHEAD, 0, 3);
}

/* R rows times M activations: every product of both, each summed in U vectors. */
INLINE void block_of(const matrix *w, int row, const float *x, float *y, size_t stride, const int kind, const int R,
                     const int M) {
    enum { U = 2 };
    const int n = w->columns, size = kind == FLOAT32 ? 4 : 2;
    const char *place[2];
    vec sum[2][4][U];
    for (int r = 0; r < R; r++) place[r] = (const char *)w->data + (size_t)(row + r) * w->row_bytes;
    for (int r = 0; r < R; r++)
        for (int m = 0; m < M; m++)
            for (int u = 0; u < U; u++) sum[r][m][u] = v_zero();
    int k = 0;
    for (; k + U * LANES <= n; k += U * LANES) {
        for (int r = 0; r < R; r++) fetch_ahead(place[r] + (size_t)k * size, U * LANES * size);
        for (int u = 0; u < U; u++) {
            vec read[2];
            for (int r = 0; r < R; r++) read[r] = weights(place[r], k + u * LANES, kind);
            for (int m = 0; m < M; m++) {
                vec active = v_load(x + (size_t)m * n + k + u * LANES);
                for (int r = 0; r < R; r++) sum[r][m][u] = v_fma(read[r], active, sum[r][m][u]);
            }
        }
    }
    for (int r = 0; r < R; r++) {
        for (int m = 0; m < M; m++) {
            float total = v_sum(v_add(sum[r][m][0], sum[r][m][1]));
            for (int tail = k; tail < n; tail++) total += weight(place[r], tail, kind) * x[(size_t)m * n + tail];
            y[m * stride + row + r] = total;
        }
    }
}

/* The same for 8-bit weights. A row's last vectors may reach into the next one, where the activations are zero. */
INLINE void bytes_of(const matrix *w, int row, activations x, float *y, size_t stride, const int R, const int M) {
    enum { U = 2 };
    const int n = w->columns, longer = short_columns(n), parts = spans(n);
    const int8_t *place[2];
    vec total[2][4];
    for (int r = 0; r < R; r++) place[r] = (const int8_t *)w->data + (size_t)(row + r) * w->row_bytes;
    for (int r = 0; r < R; r++)
        for (int m = 0; m < M; m++) total[r][m] = v_zero();
    for (int part = 0; part < parts; part++) {
        const int end = (part + 1) * SPAN < longer ? (part + 1) * SPAN : longer;
        longs sum[2][4][U];
        for (int r = 0; r < R; r++)
            for (int m = 0; m < M; m++)
                for (int u = 0; u < U; u++) sum[r][m][u] = w_zero();
        for (int k = part * SPAN; k < end; k += 2 * U * LANES) {
            for (int r = 0; r < R; r++) fetch_ahead((const char *)place[r] + k, 2 * U * LANES);
            for (int u = 0; u < U; u++) {
                shorts read[2];
                for (int r = 0; r < R; r++) read[r] = w_int8(place[r] + k + 2 * u * LANES);
                for (int m = 0; m < M; m++) {
                    const shorts active = w_load(x.whole + (size_t)m * longer + k + 2 * u * LANES);
                    for (int r = 0; r < R; r++) sum[r][m][u] = w_dot(read[r], active, sum[r][m][u]);
                }
            }
        }
        for (int r = 0; r < R; r++)
            for (int m = 0; m < M; m++) {
                const vec both = v_add(w_float(sum[r][m][0]), w_float(sum[r][m][1]));
                total[r][m] = v_fma(both, v_set(x.step[m * parts + part]), total[r][m]);
            }
    }
    for (int r = 0; r < R; r++)
        for (int m = 0; m < M; m++) y[m * stride + row + r] = v_sum(total[r][m]) * w->scale[row + r];
}

/* The scales of some groups in a row, as float32; up to LANES - 1 more than `count` are read and written. */
INLINE void scales_of(const uint16_t *half, int count, float *out) {
    for (int i = 0; i < count; i += LANES) v_store(out + i, v_half(half + i));
}

/* And for 4-bit weights, whose columns come in whole groups. */
INLINE void groups_of(const matrix *w, int row, activations x, float *y, size_t stride, const int R, const int M) {
    enum { EACH = GROUP / (2 * LANES), GROUPS = SPAN / GROUP };
    const int n = w->columns, longer = short_columns(n), parts = spans(n);
    const uint8_t *place[2];
    vec total[2][4];
    for (int r = 0; r < R; r++) place[r] = (const uint8_t *)w->data + (size_t)(row + r) * w->row_bytes;
    for (int r = 0; r < R; r++)
        for (int m = 0; m < M; m++) total[r][m] = v_zero();
    for (int part = 0; part < parts; part++) {
        const int start = part * SPAN, end = start + SPAN < n ? start + SPAN : n;
        float scale[2][GROUPS + LANES];
        vec sum[2][4];
        for (int r = 0; r < R; r++)
            scales_of((const uint16_t *)(place[r] + n / 2) + start / GROUP, (end - start) / GROUP, scale[r]);
        for (int r = 0; r < R; r++)
            for (int m = 0; m < M; m++) sum[r][m] = v_zero();
        for (int k = start; k < end; k += GROUP)
            for (int r = 0; r < R; r++) {
                shorts level[EACH];
                const vec by = v_set(scale[r][(k - start) / GROUP]);
                __builtin_prefetch(place[r] + k / 2 + AHEAD, 0, 3);
                w_levels(place[r] + k / 2, w_table(), level);
                for (int m = 0; m < M; m++) {
                    const int16_t *active = x.whole + (size_t)m * longer + k;
                    longs products = w_zero();
                    for (int u = 0; u < EACH; u++) products = w_dot(level[u], w_load(active + 2 * u * LANES), products);
                    sum[r][m] = v_fma(w_float(products), by, sum[r][m]);
                }
            }
        for (int r = 0; r < R; r++)
            for (int m = 0; m < M; m++) total[r][m] = v_fma(sum[r][m], v_set(x.step[m * parts + part]), total[r][m]);
    }
    for (int r = 0; r < R; r++)
        for (int m = 0; m < M; m++) y[m * stride + row + r] = v_sum(total[r][m]);
}

/* Activations multiplied with the rows at a time. Each product is summed in the same order however many there are, so that a
 * text comes out the same alone and in a batch. */
enum { SIDE = LANES == 16 ? 4 : 2 };

INLINE void some_rows(const matrix *w, int row, const int R, activations x, int m, float *y, size_t stride, const int kind) {
    int done = 0;
#define BLOCK(M)                                                                                                  \
    (kind == INT4   ? groups_of(w, row, from_place(x, done, w->columns), y + done * stride, stride, R, M)              \
     : kind == INT8 ? bytes_of(w, row, from_place(x, done, w->columns), y + done * stride, stride, R, M)               \
                    : block_of(w, row, x.x + (size_t)done * w->columns, y + done * stride, stride, kind, R, M))
    for (; m - done >= SIDE; done += SIDE) BLOCK(SIDE);
    if (m - done == 3) BLOCK(3);
    else if (m - done == 2) BLOCK(2);
    else if (m - done == 1) BLOCK(1);
#undef BLOCK
}

INLINE void rows_of(const matrix *w, int first, int last, activations x, int m, float *y, size_t stride, const int kind) {
    int row = first;
    for (; row + 2 <= last; row += 2) some_rows(w, row, 2, x, m, y, stride, kind);
    if (row < last) some_rows(w, row, 1, x, m, y, stride, kind);
}

static void rows(const matrix *w, int first, int last, activations x, int m, float *y, size_t stride) {
    switch (w->kind) {
        case FLOAT32: rows_of(w, first, last, x, m, y, stride, FLOAT32); break;
        case FLOAT16: rows_of(w, first, last, x, m, y, stride, FLOAT16); break;
        case BFLOAT16: rows_of(w, first, last, x, m, y, stride, BFLOAT16); break;
        case INT8: rows_of(w, first, last, x, m, y, stride, INT8); break;
        default: rows_of(w, first, last, x, m, y, stride, INT4); break;
    }
}

INLINE void row_of(const matrix *w, int index, int from, int count, float *out, const int kind) {
    const char *place = (const char *)w->data + (size_t)index * w->row_bytes;
    vec scale = v_set(kind == INT8 ? w->scale[index] : 1.0f);
    int k = 0;
    for (; k + LANES <= count; k += LANES) {
        vec read = weights(place, from + k, kind);
        v_store(out + k, kind == INT8 ? v_mul(read, scale) : read);
    }
    for (; k < count; k++) out[k] = weight(place, from + k, kind) * (kind == INT8 ? w->scale[index] : 1.0f);
}

static void row(const matrix *w, int index, int from, int count, float *out) {
    switch (w->kind) {
        case FLOAT32: row_of(w, index, from, count, out, FLOAT32); return;
        case FLOAT16: row_of(w, index, from, count, out, FLOAT16); return;
        case BFLOAT16: row_of(w, index, from, count, out, BFLOAT16); return;
        case INT8: row_of(w, index, from, count, out, INT8); return;
    }
    const uint8_t *place = (const uint8_t *)w->data + (size_t)index * w->row_bytes;
    const uint16_t *half = (const uint16_t *)(place + w->columns / 2) + from / GROUP;
    for (int k = 0; k < count; k += GROUP) { /* from and count are whole groups */
        const float scale = float_of_half(half[k / GROUP]);
        for (int i = 0; i < GROUP / 2; i++) {
            const uint8_t pair = place[(from + k) / 2 + i];
            out[k + i] = (float)LEVELS[pair & 15] * scale;
            out[k + i + GROUP / 2] = (float)LEVELS[pair >> 4] * scale;
        }
    }
}

#if LANES == 16
enum { TALL = 12, VECTORS = 2 };
#elif LANES == 8
enum { TALL = 6, VECTORS = 2 };
#else
enum { TALL = 4, VECTORS = 4 };
#endif
enum { WIDE = VECTORS * LANES };
/* A matrix has to be packed for tiles, which a short prompt does not repay: measured on GPT-2 small. */
enum { FEW = LANES == 16 ? 48 : LANES == 1 ? 8 : 24, FEW_WHOLE = 2 * FEW };

static void tile(int k, const float *a, const float *b, size_t b_stride, float *c, size_t c_stride, int m, int n, int add) {
    vec sum[TALL][VECTORS];
#pragma GCC unroll 16
    for (int i = 0; i < TALL; i++)
#pragma GCC unroll 4
        for (int j = 0; j < VECTORS; j++) sum[i][j] = v_zero();
    for (; k > 0; k--, a += TALL, b += b_stride) {
        vec right[VECTORS];
#pragma GCC unroll 4
        for (int j = 0; j < VECTORS; j++) right[j] = v_load(b + j * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < TALL; i++) {
            vec left = v_set(a[i]);
#pragma GCC unroll 4
            for (int j = 0; j < VECTORS; j++) sum[i][j] = v_fma(left, right[j], sum[i][j]);
        }
    }
    float part[TALL * WIDE];
    const int whole = m == TALL && n == WIDE;
    float *out = whole ? c : part;
    const size_t stride = whole ? c_stride : WIDE;
#pragma GCC unroll 16
    for (int i = 0; i < TALL; i++)
#pragma GCC unroll 4
        for (int j = 0; j < VECTORS; j++) {
            float *to = out + i * stride + j * LANES;
            v_store(to, whole && add ? v_add(v_load(to), sum[i][j]) : sum[i][j]);
        }
    if (whole) return;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) c[i * c_stride + j] = part[i * WIDE + j] + (add ? c[i * c_stride + j] : 0.0f);
}

static void norm(const float *x, const float *scale, const float *bias, float epsilon, int n, float *out) {
    vec sum = v_zero();
    int i = 0;
    float rest = 0;
    for (; i + LANES <= n; i += LANES) sum = v_add(sum, v_load(x + i));
    for (; i < n; i++) rest += x[i];
    const float mean = (v_sum(sum) + rest) / (float)n;
    sum = v_zero();
    rest = 0;
    for (i = 0; i + LANES <= n; i += LANES) {
        vec centred = v_sub(v_load(x + i), v_set(mean));
        sum = v_fma(centred, centred, sum);
    }
    for (; i < n; i++) rest += (x[i] - mean) * (x[i] - mean);
    const float factor = 1.0f / sqrtf((v_sum(sum) + rest) / (float)n + epsilon);
    for (i = 0; i < n; i++) out[i] = (x[i] - mean) * factor * (scale ? scale[i] : 1.0f) + (bias ? bias[i] : 0.0f);
}

/* x * (1 + tanh u) / 2 = x / (1 + exp(-2u)), u = sqrt(2 / pi) (x + 0.044715 x^3) (Hendrycks and Gimpel 2016). */
INLINE vec gelu_tanh(vec x) {
    vec cubed = v_mul(v_mul(x, x), x);
    vec twice = v_mul(v_set(-1.5957691216057308f), v_fma(cubed, v_set(0.044715f), x));
    return v_div(x, v_add(v_set(1.0f), v_exp(twice)));
}

static void activate(int which, int n, float *x) {
    int i = 0;
    if (which == GELU) {
        for (; i < n; i++) x[i] = 0.5f * x[i] * (1.0f + erff(x[i] * 0.70710678118654752f));
    } else if (which == RELU) {
        for (; i < n; i++) x[i] = x[i] > 0 ? x[i] : 0;
    } else {
        for (; i + LANES <= n; i += LANES) v_store(x + i, gelu_tanh(v_load(x + i)));
        if (i < n) {
            float padded[LANES] = {0};
            memcpy(padded, x + i, (size_t)(n - i) * sizeof *x);
            v_store(padded, gelu_tanh(v_load(padded)));
            memcpy(x + i, padded, (size_t)(n - i) * sizeof *x);
        }
    }
}

static float softmax(float *x, int n) {
    vec most = v_set(x[0]);
    int i = 0;
    for (; i + LANES <= n; i += LANES) most = v_max(most, v_load(x + i));
    float largest = v_largest(most);
    for (; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    vec sum = v_zero();
    float rest = 0;
    for (i = 0; i + LANES <= n; i += LANES) {
        vec power = v_exp(v_sub(v_load(x + i), v_set(largest)));
        v_store(x + i, power);
        sum = v_add(sum, power);
    }
    for (; i < n; i++) rest += x[i] = expf(x[i] - largest);
    return v_sum(sum) + rest;
}

static void scores(const float *q, const float *keys, int count, int d, float scale, float *out) {
    for (int s = 0; s < count; s++, keys += d) {
        vec sum = v_zero();
        float rest = 0;
        int i = 0;
        for (; i + LANES <= d; i += LANES) sum = v_fma(v_load(q + i), v_load(keys + i), sum);
        for (; i < d; i++) rest += q[i] * keys[i];
        out[s] = (v_sum(sum) + rest) * scale;
    }
}

static void mix(const float *p, const float *values, int count, int d, float factor, float *out) {
    int i = 0;
    for (; i + 4 * LANES <= d; i += 4 * LANES) {
        vec sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
        for (int s = 0; s < count; s++)
            for (int u = 0; u < 4; u++) sum[u] = v_fma(v_set(p[s]), v_load(values + (size_t)s * d + i + u * LANES), sum[u]);
        for (int u = 0; u < 4; u++) v_store(out + i + u * LANES, v_mul(sum[u], v_set(factor)));
    }
    for (; i < d; i++) {
        float sum = 0;
        for (int s = 0; s < count; s++) sum += p[s] * values[(size_t)s * d + i];
        out[i] = sum * factor;
    }
}

INLINE float sum_of(const float *x, size_t n, const int early) {
    vec sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    for (size_t i = 0; i < n; i += 4 * LANES) {
        if (early) fetch_ahead((const char *)(x + i), 4 * LANES * (int)sizeof *x);
        for (int u = 0; u < 4; u++) sum[u] = v_add(sum[u], v_load(x + i + u * LANES));
    }
    return v_sum(v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3])));
}

static float sum(const float *x, size_t n, int early) { return early ? sum_of(x, n, 1) : sum_of(x, n, 0); }

const kernels KERNELS = {NAME, rows, shorten, row, tile, TALL, WIDE, FEW, FEW_WHOLE, norm, activate, softmax, scores, mix, quantize, largest_of, exp_sum, sum, NULL, NULL, NULL};
