/* gemv: y = x w^T for one to GEMV_MAX activations, as a decoding step needs it. Part of kernels.c, compiled for each instruction
 * set.
 *
 * Shapes:
 *   w     matrix [rows, columns] of any kind; a call computes rows first..last
 *   x     activations: float32 [m, columns], or for INT8 and INT4 their 16-bit form (see `activations` in native.h)
 *   y     float32 [m, stride]; y[i * stride + r] is the product of activation i and row r
 *   next  the memory that the same thread reads after this call, for prefetching
 *
 * A step reads every weight once a token, so it is bound by memory bandwidth. The loops therefore read several streams at once,
 * prefetch, and multiply each weight in a register with several activations. The order of summation does not depend on the number
 * of activations: a text is the same alone and in a batch.
 */
#ifndef GPTCLI_GEMV_H
#define GPTCLI_GEMV_H

enum { PREFETCH_MIN = 2048, PREFETCH_MAX = 8192 }; /* prefetch distance in bytes */

/* Into which cache, as __builtin_prefetch takes it: 3 is L1, 2 is L2. */
#ifndef PREFETCH_INTO
#define PREFETCH_INTO 3
#endif

INLINE void prefetch(const char *address, const int bytes) {
    for (int at = 0; at < bytes; at += 64) __builtin_prefetch(address + at, 0, PREFETCH_INTO);
}

/* R rows are read at once, each in its own stream: stream r is at row `row + r * row_step` and has `remaining` rows left. The
 * hardware prefetches too, but only within 4 KB pages, although in several pages at once. `distance`: how many bytes ahead the
 * loops prefetch; whole rows, unless rows are long. */
typedef struct {
    int row, row_step, remaining;
    size_t distance;
} row_streams;

/* The addresses that each stream reads and prefetches; beyond the end of a stream, it prefetches `next`. */
INLINE void stream_pointers(const matrix *w, row_streams at, const int R, prefetch_range next, const char *rows[4],
                            const char *ahead[4]) {
    const size_t row_bytes = w->row_bytes, remaining = at.remaining * row_bytes;
    for (int r = 0; r < R; r++) {
        rows[r] = (const char *)w->data + (size_t)(at.row + r * at.row_step) * row_bytes;
        ahead[r] = at.distance < remaining ? rows[r] + at.distance
                                           : next.address + next.bytes / R * r + (at.distance - remaining);
    }
}

/* Weights k to k + LANES of a row. */
INLINE vec load_weights(const void *row, int k, const int kind) {
    switch (kind) {
        case FLOAT16: return v_load_f16((const uint16_t *)row + k);
        case BFLOAT16: return v_load_bf16((const uint16_t *)row + k);
        case INT8: return v_load_i8((const int8_t *)row + k);
        default: return v_load((const float *)row + k);
    }
}

/* Weight k of a row. */
INLINE float load_weight(const void *row, int k, const int kind) {
    switch (kind) {
        case FLOAT16: return f16_to_f32(((const uint16_t *)row)[k]);
        case BFLOAT16: return bf16_to_f32(((const uint16_t *)row)[k]);
        case INT8: return ((const int8_t *)row)[k];
        default: return ((const float *)row)[k];
    }
}

/* Add up the lanes of sums[r * M + m] and multiply by the factor of row r: out[m * stride + r * row_step]. Four at a time; the
 * order of summation is the same for all. */
INLINE void store_sums(const vec sums[8], const int R, const int M, const float *factors, float *out, size_t stride,
                       int row_step) {
    for (int i = 0; i < R * M; i += 4) {
        vec four[4];
        float factor[4], reduced[4];
        for (int j = 0; j < 4; j++) {
            four[j] = i + j < R * M ? sums[i + j] : v_zero();
            factor[j] = i + j < R * M ? factors[(i + j) / M] : 0.0f;
        }
        v_reduce_add4(four, factor, reduced);
        for (int j = 0; j < 4 && i + j < R * M; j++) out[(i + j) % M * stride + (i + j) / M * row_step] = reduced[j];
    }
}

static const float ONES[4] = {1.0f, 1.0f, 1.0f, 1.0f};

/* R rows times M activations in float32. Each product is summed in U vectors. */
INLINE void gemv_float(const matrix *w, row_streams at, const float *x, float *y, size_t stride, prefetch_range next,
                       const int kind, const int R, const int M) {
    enum { U = 2 };
    const int n = w->columns, size = kind == FLOAT32 ? 4 : 2;
    const char *rows[4], *ahead[4];
    vec sum[8][U];
    stream_pointers(w, at, R, next, rows, ahead);
    for (int i = 0; i < R * M; i++)
        for (int u = 0; u < U; u++) sum[i][u] = v_zero();
    int k = 0;
    for (; k + U * LANES <= n; k += U * LANES) {
        for (int r = 0; r < R; r++) prefetch(ahead[r] + (size_t)k * size, U * LANES * size);
        for (int u = 0; u < U; u++) {
            vec weights[4];
            for (int r = 0; r < R; r++) weights[r] = load_weights(rows[r], k + u * LANES, kind);
            for (int m = 0; m < M; m++) {
                vec activation = v_load(x + (size_t)m * n + k + u * LANES);
                for (int r = 0; r < R; r++) sum[r * M + m][u] = v_fma(weights[r], activation, sum[r * M + m][u]);
            }
        }
    }
    vec both[8];
    for (int i = 0; i < R * M; i++) both[i] = v_add(sum[i][0], sum[i][1]);
    store_sums(both, R, M, ONES, y + at.row, stride, at.row_step);
    for (int r = 0; r < R && k < n; r++)
        for (int m = 0; m < M; m++) {
            float *sum = y + m * stride + at.row + r * at.row_step, total = *sum;
            for (int tail = k; tail < n; tail++) total += load_weight(rows[r], tail, kind) * x[(size_t)m * n + tail];
            *sum = total;
        }
}

/* The scales of `count` groups as float32. Up to LANES - 1 more are read and written. */
INLINE void load_group_scales(const uint16_t *half, int count, float *out) {
    for (int i = 0; i < count; i += LANES) v_store(out + i, v_load_f16(half + i));
}

/* The 32 values of an INT4 group, in units of its scale. */
INLINE void decode_int4_group(const uint8_t *group, int16_t out[GROUP]) {
    i16vec values[GROUP / (2 * LANES)];
    int4_decode(group, int4_table(), values);
    memcpy(out, values, sizeof values);
}

/* dot_int8 and dot_int4: R rows times M activations over one group of ACT_GROUP columns, in units of the activations' scale. */
#ifdef HAVE_VNNI
#include "gemv_u8s8.h"
#else
#include "gemv_s16.h"
#endif

/* R rows times M activations for INT8 and INT4: integer products of each group of columns, times the activations' scale. */
INLINE void gemv_int(const matrix *w, row_streams at, activations x, float *y, size_t stride, prefetch_range next, const int kind,
                     const int R, const int M) {
    const int groups = act_groups(w->columns);
    const char *rows[4], *ahead[4];
    float factors[4];
    vec total[8], sum[8];
    stream_pointers(w, at, R, next, rows, ahead);
    for (int r = 0; r < R; r++) factors[r] = kind == INT8 ? w->scale[at.row + r * at.row_step] : 1.0f;
    for (int i = 0; i < R * M; i++) total[i] = v_zero();
    for (int group = 0; group < groups; group++) {
        if (kind == INT8) dot_int8(rows, ahead, w->columns, group, x, R, M, sum);
        else dot_int4(rows, ahead, w->columns, group, x, R, M, sum);
        for (int i = 0; i < R * M; i++) {
            total[i] = v_fma(sum[i], v_set(x.scale[i % M * groups + group]), total[i]);
            if (kind == INT8) __asm__("" : "+m"(total[i])); /* otherwise GCC keeps it in a register, and spills one of the sums */
        }
    }
    store_sums(total, R, M, factors, y + at.row, stride, at.row_step);
}

/* How many activations are multiplied with the rows at once. */
enum { GEMV_M = LANES == 16 ? 4 : 2 };

/* R rows times activations from..from + M. */
INLINE void gemv_block(const matrix *w, row_streams at, const int R, activations x, int from, const int M, float *y,
                       size_t stride, prefetch_range next, const int kind) {
    x = activations_from(x, from, w->columns);
    y += (size_t)from * stride;
    if (kind >= INT8) gemv_int(w, at, x, y, stride, next, kind, R, M);
    else gemv_float(w, at, x.x, y, stride, next, kind, R, M);
}

/* R rows times all m activations. */
INLINE void gemv_all_activations(const matrix *w, row_streams at, const int R, activations x, int m, float *y, size_t stride,
                                 prefetch_range next, const int kind) {
    int done = 0;
    for (; m - done >= GEMV_M; done += GEMV_M) gemv_block(w, at, R, x, done, GEMV_M, y, stride, next, kind);
    if (m - done == 3) gemv_block(w, at, R, x, done, 3, y, stride, next, kind);
    else if (m - done == 2) gemv_block(w, at, R, x, done, 2, y, stride, next, kind);
    else if (m - done == 1) gemv_block(w, at, R, x, done, 1, y, stride, next, kind);
}

/* All rows: four streams for one activation, two for several, and one for the rows that are left over. */
INLINE void gemv_kind(const matrix *w, int first, int last, activations x, int m, float *y, size_t stride, prefetch_range next,
                      const int kind) {
    const int R = m == 1 ? 4 : 2, row_step = (last - first) / R;
    const size_t row = w->row_bytes, distance = row < PREFETCH_MAX ? (PREFETCH_MIN + row - 1) / row * row : PREFETCH_MAX;
    row_streams at = {first, row_step, row_step, distance};
    for (; at.remaining > 0; at.row++, at.remaining--) {
        if (m == 1) gemv_block(w, at, 4, x, 0, 1, y, stride, next, kind);
        else gemv_all_activations(w, at, 2, x, m, y, stride, next, kind);
    }
    at = (row_streams){first + R * row_step, 1, last - first - R * row_step, distance};
    for (; at.remaining > 0; at.row++, at.remaining--) gemv_all_activations(w, at, 1, x, m, y, stride, next, kind);
}

static void gemv(const matrix *w, int first, int last, activations x, int m, float *y, size_t stride, prefetch_range next) {
    switch (w->kind) {
        case FLOAT32: gemv_kind(w, first, last, x, m, y, stride, next, FLOAT32); break;
        case FLOAT16: gemv_kind(w, first, last, x, m, y, stride, next, FLOAT16); break;
        case BFLOAT16: gemv_kind(w, first, last, x, m, y, stride, next, BFLOAT16); break;
        case INT8: gemv_kind(w, first, last, x, m, y, stride, next, INT8); break;
        default: gemv_kind(w, first, last, x, m, y, stride, next, INT4); break;
    }
}

#endif
