/* The kernels: all inner loops, written once with simd.h's vectors and compiled once for each instruction set. KERNELS is the
 * name of the table that they are in (see `kernels` in native.h, which gives the shapes of all arguments).
 *
 *   gemv.h       matrix times a few activations: decoding, bound by memory
 *   this file    the float32 gemm microkernel, which keeps a block of the product in registers (Goto and van de Geijn 2008), and
 *                norms
 *   int_gemm.h   the integer gemm microkernel
 *   epilogue.h   bias, activation functions, and the output of a linear layer
 *   attend.h     rotation, caps, softmax, scores and weighted sums of values
 *   quantize.h   quantization
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
    for (int k = 0; k < count; k += GROUP) { /* from and count are multiples of a group */
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

/* gemm packs the matrix first, which does not pay for a short prompt: up to so many tokens use gemv. Measured on GPT-2 small. */
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
    float part[MR * NR]; /* at the edges of c, where a full block would exceed it */
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

#include "epilogue.h"
#include "attend.h"

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

/* The table of kernels: one entry for each, by name. Each has a naive reference in tests/native/reference.py. */
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
    .entropy_sums = entropy_sums,
    .rank_of = rank_of,
    .sum = sum,
};
