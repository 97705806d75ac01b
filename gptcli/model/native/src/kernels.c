/* The kernels: every inner loop, written once over simd.h's vectors and compiled once for each instruction set, with KERNELS
 * naming the table they go into (see `kernels` in native.h, which gives the shapes of all arguments).
 *
 *   gemv.h       matrix times a few activations: decoding, bound by memory
 *   this file    the float32 gemm microkernel, which keeps a block of the product in registers (Goto and van de Geijn 2008), and
 *                the rest of a layer: norms, epilogue, rotation, softmax, attention
 *   int_gemm.h   the integer gemm microkernel
 *   quantize.h   numbers to fewer bits
 *   shortlist.h  top k and the normalizer of logits
 *
 * To add a kernel: one function here for all instruction sets, one entry in the table at the end of this file, in native.h and in
 * dispatch.c's list, and one naive reference in tests/native/reference.py, which its test compares with every copy.
 */
#include <math.h>

#include "native.h"
#include "simd.h"

#define INLINE static inline __attribute__((always_inline))

#include "shortlist.h"
#include "quantize.h"
#include "gemv.h"

INLINE void dequantize_row_of(const matrix *w, int index, int from, int count, float *out, const int kind) {
    const char *row = (const char *)w->data + (size_t)index * w->row_bytes;
    vec scale = v_set(kind == INT8 ? w->scale[index] : 1.0f);
    int k = 0;
    for (; k + LANES <= count; k += LANES) {
        vec weights = load_weights(row, from + k, kind);
        v_store(out + k, kind == INT8 ? v_mul(weights, scale) : weights);
    }
    for (; k < count; k++) out[k] = load_weight(row, from + k, kind) * (kind == INT8 ? w->scale[index] : 1.0f);
}

static void dequantize_row(const matrix *w, int index, int from, int count, float *out) {
    switch (w->kind) {
        case FLOAT32: dequantize_row_of(w, index, from, count, out, FLOAT32); return;
        case FLOAT16: dequantize_row_of(w, index, from, count, out, FLOAT16); return;
        case BFLOAT16: dequantize_row_of(w, index, from, count, out, BFLOAT16); return;
        case INT8: dequantize_row_of(w, index, from, count, out, INT8); return;
    }
    const uint8_t *row = (const uint8_t *)w->data + (size_t)index * w->row_bytes;
    const uint16_t *half = (const uint16_t *)(row + w->columns / 2) + from / GROUP;
    for (int k = 0; k < count; k += GROUP) { /* from and count are whole groups */
        const float scale = f16_to_f32(half[k / GROUP]);
        int16_t values[GROUP];
        decode_int4_group(row + (from + k) / 2, values);
        for (int i = 0; i < GROUP; i++) out[k + i] = (float)values[i] * scale;
    }
}

/* The microkernel's block: MR activations times NR rows of weights, VECTORS vectors wide. */
#if LANES == 16
enum { MR = 12, VECTORS = 2 };
#elif LANES == 8
enum { MR = 6, VECTORS = 2 };
#else
enum { MR = 4, VECTORS = 4 };
#endif
enum { NR = VECTORS * LANES };

/* gemm packs the matrix first, which a short prompt does not repay: up to so many tokens use gemv. Measured on GPT-2 small. */
enum { GEMV_LIMIT = LANES == 16 ? 48 : LANES == 1 ? 8 : 24 };
#ifdef HAVE_VNNI
enum { GEMV_LIMIT_INT8 = 72, GEMV_LIMIT_INT4 = 28 };
#else
enum { GEMV_LIMIT_INT8 = 2 * GEMV_LIMIT, GEMV_LIMIT_INT4 = 2 * GEMV_LIMIT };
#endif

/* Element (i, k) of `a` is a[i * row_stride + k * column_stride]. */
INLINE void microkernel_of(int k, const float *a, const size_t column_stride, const size_t row_stride, const float *b,
                           size_t b_stride, float *c, size_t c_stride, int m, int n, int add) {
    vec sum[MR][VECTORS];
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 4
        for (int j = 0; j < VECTORS; j++) sum[i][j] = v_zero();
    for (; k > 0; k--, a += column_stride, b += b_stride) {
        vec right[VECTORS];
#pragma GCC unroll 4
        for (int j = 0; j < VECTORS; j++) right[j] = v_load(b + j * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < MR; i++) {
            vec left = v_set(a[i * row_stride]);
#pragma GCC unroll 4
            for (int j = 0; j < VECTORS; j++) sum[i][j] = v_fma(left, right[j], sum[i][j]);
        }
    }
    float part[MR * NR]; /* at the edges of c, where a full block would be too large */
    const int full = m == MR && n == NR;
    float *out = full ? c : part;
    const size_t stride = full ? c_stride : NR;
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 4
        for (int j = 0; j < VECTORS; j++) {
            float *to = out + i * stride + j * LANES;
            v_store(to, full && add ? v_add(v_load(to), sum[i][j]) : sum[i][j]);
        }
    if (full) return;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) c[i * c_stride + j] = part[i * NR + j] + (add ? c[i * c_stride + j] : 0.0f);
}

static void microkernel(int k, const float *a, const float *b, size_t b_stride, float *c, size_t c_stride, int m, int n,
                        int add) {
    microkernel_of(k, a, MR, 1, b, b_stride, c, c_stride, m, n, add);
}

static void microkernel_unpacked(int k, const float *a, size_t a_stride, const float *b, size_t b_stride, float *c,
                                 size_t c_stride, int m, int n) {
    microkernel_of(k, a, 1, a_stride, b, b_stride, c, c_stride, m, n, 0);
}

#ifdef HAVE_VNNI
#include "int_gemm.h"
#endif

static void rms_norm(const float *x, const float *weight, const float *bias, float epsilon, int n, float *out) {
    vec sum = v_zero();
    int i = 0;
    float rest = 0;
    for (; i + LANES <= n; i += LANES) sum = v_fma(v_load(x + i), v_load(x + i), sum);
    for (; i < n; i++) rest += x[i] * x[i];
    const float factor = 1.0f / sqrtf((v_reduce_add(sum) + rest) / (float)n + epsilon);
    for (i = 0; i < n; i++) out[i] = x[i] * factor * (weight ? weight[i] : 1.0f) + (bias ? bias[i] : 0.0f);
}

static void layer_norm(const float *x, const float *weight, const float *bias, float epsilon, int n, float *out) {
    vec sum = v_zero();
    int i = 0;
    float rest = 0;
    for (; i + LANES <= n; i += LANES) sum = v_add(sum, v_load(x + i));
    for (; i < n; i++) rest += x[i];
    const float mean = (v_reduce_add(sum) + rest) / (float)n;
    sum = v_zero();
    rest = 0;
    for (i = 0; i + LANES <= n; i += LANES) {
        vec centred = v_sub(v_load(x + i), v_set(mean));
        sum = v_fma(centred, centred, sum);
    }
    for (; i < n; i++) rest += (x[i] - mean) * (x[i] - mean);
    const float factor = 1.0f / sqrtf((v_reduce_add(sum) + rest) / (float)n + epsilon);
    for (i = 0; i < n; i++) out[i] = (x[i] - mean) * factor * (weight ? weight[i] : 1.0f) + (bias ? bias[i] : 0.0f);
}

static void norm(int kind, const float *x, const float *weight, const float *bias, float epsilon, int n, float *out) {
    if (kind == LAYER_NORM) layer_norm(x, weight, bias, epsilon, n, out);
    else if (kind == RMS_NORM) rms_norm(x, weight, bias, epsilon, n, out);
    else if (out != x) memcpy(out, x, (size_t)n * sizeof *x);
}

/* x * (1 + tanh u) / 2 = x / (1 + exp(-2u)), u = sqrt(2 / pi) (x + 0.044715 x^3) (Hendrycks and Gimpel 2016). */
INLINE vec gelu_tanh(vec x) {
    vec cubed = v_mul(v_mul(x, x), x);
    vec twice = v_mul(v_set(-1.5957691216057308f), v_fma(cubed, v_set(0.044715f), x));
    return v_div(x, v_add(v_set(1.0f), v_exp(twice)));
}

/* x times the share of normally distributed numbers below it, as max(x, 0) - |x| exp(-x^2 / 2) t P(t), t = 1 / (1 + 0.3 |x|): the form of
 * Abramowitz and Stegun 1964, 7.1.26, with a polynomial of our own, fitted to be relatively exact. Within 3e-7, on either side. */
INLINE vec gelu(vec x) {
    const vec size = v_max(x, v_sub(v_zero(), x)), t = v_div(v_set(1.0f), v_fma(size, v_set(0.3f), v_set(1.0f)));
    vec p = v_set(0.037138596f);
    p = v_fma(p, t, v_set(-0.16327934f));
    p = v_fma(p, t, v_set(0.21678746f));
    p = v_fma(p, t, v_set(-0.06325761f));
    p = v_fma(p, t, v_set(0.13361242f));
    p = v_fma(p, t, v_set(0.098387100f));
    p = v_fma(p, t, v_set(0.12099787f));
    p = v_fma(p, t, v_set(0.11961343f));
    const vec power = v_exp(v_mul(v_mul(x, x), v_set(-0.5f)));
    return v_sub(v_max(v_zero(), x), v_mul(v_mul(size, power), v_mul(p, t)));
}

/* tanh x = (exp(2x) - 1) / (exp(2x) + 1). */
INLINE vec tanh_of(vec x) {
    const vec less_one = v_expm1(v_add(x, x));
    return v_div(less_one, v_add(less_one, v_set(2.0f)));
}

/* x over 1 + exp(-rate * x). */
INLINE vec swish(vec x, float rate) { return v_div(x, v_add(v_set(1.0f), v_exp(v_mul(x, v_set(-rate))))); }

/* x tanh(ln(1 + exp x)) = x n / (n + 2), n = exp(x) (exp(x) + 2) (Misra 2019). */
INLINE vec mish(vec x) {
    const vec power = v_exp(v_min(x, v_set(20.0f))), n = v_mul(power, v_add(power, v_set(2.0f)));
    return v_mul(x, v_div(n, v_add(n, v_set(2.0f))));
}

INLINE vec activate(vec x, const int activation) {
    const vec positive = v_max(v_zero(), x); /* in this order NaN stays NaN */
    switch (activation) {
        case GELU_TANH: return gelu_tanh(x);
        case GELU: return gelu(x);
        case QUICK_GELU: return swish(x, 1.702f);
        case RELU: return positive;
        case RELU2: return v_mul(positive, positive);
        case SILU: return swish(x, 1.0f);
        case MISH: return mish(x);
        case TANH: return tanh_of(x);
        default: return v_div(v_set(1.0f), v_add(v_set(1.0f), v_exp(v_sub(v_zero(), x)))); /* SIGMOID */
    }
}

INLINE vec epilogue_of(vec sums, vec bias, vec old, const int mode, const int activation) {
    const vec x = v_add(sums, bias);
    if (mode == ACTIVATE) return activate(x, activation);
    if (mode == GATED) return v_mul(old, activate(x, activation));
    return mode == ADD ? v_add(old, x) : x;
}

INLINE void epilogue_row(const float *sums, const float *bias, int n, const int mode, const int activation, float *to) {
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(to + i, epilogue_of(v_load(sums + i), bias ? v_load(bias + i) : v_zero(), v_load(to + i), mode, activation));
    if (i >= n) return;
    const size_t left = (size_t)(n - i) * sizeof *to;
    float end[3][LANES] = {{0}}; /* the last vector, padded with zeros */
    memcpy(end[0], sums + i, left);
    if (bias) memcpy(end[1], bias + i, left);
    memcpy(end[2], to + i, left);
    v_store(end[0], epilogue_of(v_load(end[0]), v_load(end[1]), v_load(end[2]), mode, activation));
    memcpy(to + i, end[0], left);
}

INLINE void epilogue_activated(const float *sums, const float *bias, int n, const int mode, int activation, float *to) {
    switch (activation) {
        case GELU_TANH: epilogue_row(sums, bias, n, mode, GELU_TANH, to); return;
        case GELU: epilogue_row(sums, bias, n, mode, GELU, to); return;
        case QUICK_GELU: epilogue_row(sums, bias, n, mode, QUICK_GELU, to); return;
        case RELU: epilogue_row(sums, bias, n, mode, RELU, to); return;
        case RELU2: epilogue_row(sums, bias, n, mode, RELU2, to); return;
        case SILU: epilogue_row(sums, bias, n, mode, SILU, to); return;
        case MISH: epilogue_row(sums, bias, n, mode, MISH, to); return;
        case TANH: epilogue_row(sums, bias, n, mode, TANH, to); return;
        default: epilogue_row(sums, bias, n, mode, SIGMOID, to); return;
    }
}

static void epilogue(const float *sums, const float *bias, int n, int mode, int activation, float *to) {
    switch (mode) {
        case STORE: epilogue_row(sums, bias, n, STORE, 0, to); return;
        case ADD: epilogue_row(sums, bias, n, ADD, 0, to); return;
        case ACTIVATE: epilogue_activated(sums, bias, n, ACTIVATE, activation, to); return;
        default: epilogue_activated(sums, bias, n, GATED, activation, to); return;
    }
}

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

/* N keys at once, `apart` keys from one another. Each product is summed in the same order however many there are. */
INLINE void attention_scores_of(const float *q, const float *keys, const int N, size_t apart, int d, float scale, float *out) {
    const float factors[4] = {scale, scale, scale, scale};
    vec sums[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    float reduced[4], rest[4] = {0};
    int i = 0;
    for (; i + LANES <= d; i += LANES) {
        const vec one = v_load(q + i);
        for (int j = 0; j < N; j++) sums[j] = v_fma(one, v_load(keys + j * apart * d + i), sums[j]);
    }
    for (; i < d; i++)
        for (int j = 0; j < N; j++) rest[j] += q[i] * keys[j * apart * d + i];
    v_reduce_add4(sums, factors, reduced);
    for (int j = 0; j < N; j++) out[j * apart] = reduced[j] + rest[j] * scale;
}

static void attention_scores(const float *q, const float *keys, int count, int d, float scale, float *out) {
    const int apart = count / 4;
    for (int s = 0; s < apart; s++) {
        for (int j = 0; j < 4; j++)
            prefetch((const char *)(keys + (size_t)(s + j * apart) * d) + PREFETCH_MIN, d * (int)sizeof *keys);
        attention_scores_of(q, keys + (size_t)s * d, 4, apart, d, scale, out + s);
    }
    for (int s = 4 * apart; s < count; s++) attention_scores_of(q, keys + (size_t)s * d, 1, 1, d, scale, out + s);
}

static void attention_mix(const float *p, const float *values, int count, int d, float factor, float *out) {
    const int apart = count / 4;
    int i = 0;
    for (; i + 4 * LANES <= d; i += 4 * LANES) {
        vec sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
        for (int s = 0; s < apart; s++)
            for (int j = 0; j < 4; j++) {
                const float *value = values + (size_t)(s + j * apart) * d + i;
                prefetch((const char *)value + PREFETCH_MIN, 4 * LANES * (int)sizeof *value);
                for (int u = 0; u < 4; u++) sum[u] = v_fma(v_set(p[s + j * apart]), v_load(value + u * LANES), sum[u]);
            }
        for (int s = 4 * apart; s < count; s++)
            for (int u = 0; u < 4; u++) sum[u] = v_fma(v_set(p[s]), v_load(values + (size_t)s * d + i + u * LANES), sum[u]);
        for (int u = 0; u < 4; u++) v_store(out + i + u * LANES, v_mul(sum[u], v_set(factor)));
    }
    for (; i + LANES <= d; i += LANES) {
        vec sum = v_zero();
        for (int s = 0; s < count; s++) sum = v_fma(v_set(p[s]), v_load(values + (size_t)s * d + i), sum);
        v_store(out + i, v_mul(sum, v_set(factor)));
    }
    for (; i < d; i++) {
        float sum = 0;
        for (int s = 0; s < count; s++) sum += p[s] * values[(size_t)s * d + i];
        out[i] = sum * factor;
    }
}

/* Four vectors at once: next to each other, or one from each quarter of the memory. */
INLINE float sum_of(const float *x, size_t n, const int mode) {
    const size_t apart = mode == READ_QUARTERS ? n / 4 : LANES, step = mode == READ_QUARTERS ? LANES : 4 * LANES;
    vec sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    const int distance = mode == READ_QUARTERS ? PREFETCH_MIN : PREFETCH_MAX;
    for (size_t i = 0; i < n / 4 / LANES; i++, x += step)
        for (int u = 0; u < 4; u++) {
            if (mode) prefetch((const char *)(x + u * apart) + distance, LANES * (int)sizeof *x);
            sum[u] = v_add(sum[u], v_load(x + u * apart));
        }
    return v_reduce_add(v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3])));
}

static float sum(const float *x, size_t n, int mode) {
    if (mode == READ_QUARTERS) return sum_of(x, n, READ_QUARTERS);
    return mode == READ_PREFETCH ? sum_of(x, n, READ_PREFETCH) : sum_of(x, n, READ_PLAIN);
}

/* The table of kernels: one entry a kernel, by name. Each has a naive reference in tests/native/reference.py. */
const kernels KERNELS = {
    .name = NAME,
    .mr = MR,
    .nr = NR,
    .gemv_limit = {[FLOAT32] = GEMV_LIMIT,
                   [FLOAT16] = GEMV_LIMIT,
                   [BFLOAT16] = GEMV_LIMIT,
                   [INT8] = GEMV_LIMIT_INT8,
                   [INT4] = GEMV_LIMIT_INT4},
    .gemv = gemv,
    .microkernel = microkernel,
    .microkernel_unpacked = microkernel_unpacked,
#ifdef HAVE_VNNI
    .split_activations = split_activations,
    .int_gemm_pack = int_gemm_pack,
    .int_microkernel = int_microkernel,
#endif
    .quantize_activations = quantize_activations,
    .quantize_row = quantize_row,
    .dequantize_row = dequantize_row,
    .norm = norm,
    .epilogue = epilogue,
    .rotate = rotate,
    .soft_cap = soft_cap,
    .add_slope = add_slope,
    .clamp = clamp,
    .softmax_numerators = softmax_numerators,
    .attention_scores = attention_scores,
    .attention_mix = attention_mix,
    .top_k = top_k,
    .exp_sum = exp_sum,
    .sum = sum,
};
