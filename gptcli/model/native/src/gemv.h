/* A few activations times many rows: what a step does with every matrix. Part of kernels.c, compiled for each instruction set.
 *
 * Decoding reads every weight once a token: it is bound by memory, so the loops read in several places at once and ask for
 * what comes next early, and several activations share what was read. Each product is summed in the same order however many
 * there are, so that a text comes out the same alone and in a batch.
 */
#ifndef GPTCLI_GEMV_H
#define GPTCLI_GEMV_H

enum { PREFETCH_MIN = 2048, PREFETCH_MAX = 8192 }; /* bytes: at least so early, and at most */

INLINE void prefetch(const char *place, const int bytes) {
    for (int at = 0; at < bytes; at += 64) __builtin_prefetch(place + at, 0, 3);
}

/* Rows at once, each the first of `left` in a stretch of its own, whose beginnings are `apart` rows from one another: processors
 * read ahead by themselves, but only within a page of 4 KB, and that in several pages at once. What is read is asked for `early`
 * bytes before, in whole rows unless they are long. */
typedef struct { int row, apart, left; size_t early; } row_streams;

/* Those rows, and where that is asked for which comes some rows behind each: in what is read next, behind a stretch's end. */
INLINE void stream_pointers(const matrix *w, row_streams at, const int R, prefetch_range then, const char *place[4], const char *ahead[4]) {
    const size_t row = w->row_bytes, left = at.left * row;
    for (int r = 0; r < R; r++) {
        place[r] = (const char *)w->data + (size_t)(at.row + r * at.apart) * row;
        ahead[r] = at.early < left ? place[r] + at.early : then.place + then.bytes / R * r + (at.early - left);
    }
}

/* LANES weights from place k of a row. */
INLINE vec weights(const void *row, int k, const int kind) {
    switch (kind) {
        case FLOAT16: return v_load_f16((const uint16_t *)row + k);
        case BFLOAT16: return v_load_bf16((const uint16_t *)row + k);
        case INT8: return v_load_i8((const int8_t *)row + k);
        default: return v_load((const float *)row + k);
    }
}

INLINE float weight(const void *row, int k, const int kind) {
    switch (kind) {
        case FLOAT16: return f16_to_f32(((const uint16_t *)row)[k]);
        case BFLOAT16: return bf16_to_f32(((const uint16_t *)row)[k]);
        case INT8: return ((const int8_t *)row)[k];
        default: return ((const float *)row)[k];
    }
}

/* What the lanes of vectors come to, of R rows times M activations, times each row's factor: out[m * stride + r * apart]. However
 * many there are, each is summed in the same order. */
INLINE void store_sums(const vec sums[8], const int R, const int M, const float *by, float *out, size_t stride, int apart) {
    for (int i = 0; i < R * M; i += 4) {
        vec four[4];
        float factor[4], found[4];
        for (int j = 0; j < 4; j++) {
            four[j] = i + j < R * M ? sums[i + j] : v_zero();
            factor[j] = i + j < R * M ? by[(i + j) / M] : 0.0f;
        }
        v_reduce_add4(four, factor, found);
        for (int j = 0; j < 4 && i + j < R * M; j++) out[(i + j) % M * stride + (i + j) / M * apart] = found[j];
    }
}

static const float ONES[4] = {1.0f, 1.0f, 1.0f, 1.0f};

/* R rows times M activations: every product of both, each summed in U vectors. */
INLINE void gemv_float(const matrix *w, row_streams at, const float *x, float *y, size_t stride, prefetch_range then, const int kind,
                       const int R, const int M) {
    enum { U = 2 };
    const int n = w->columns, size = kind == FLOAT32 ? 4 : 2;
    const char *place[4], *ahead[4];
    vec sum[8][U];
    stream_pointers(w, at, R, then, place, ahead);
    for (int i = 0; i < R * M; i++)
        for (int u = 0; u < U; u++) sum[i][u] = v_zero();
    int k = 0;
    for (; k + U * LANES <= n; k += U * LANES) {
        for (int r = 0; r < R; r++) prefetch(ahead[r] + (size_t)k * size, U * LANES * size);
        for (int u = 0; u < U; u++) {
            vec read[4];
            for (int r = 0; r < R; r++) read[r] = weights(place[r], k + u * LANES, kind);
            for (int m = 0; m < M; m++) {
                vec active = v_load(x + (size_t)m * n + k + u * LANES);
                for (int r = 0; r < R; r++) sum[r * M + m][u] = v_fma(read[r], active, sum[r * M + m][u]);
            }
        }
    }
    vec both[8];
    for (int i = 0; i < R * M; i++) both[i] = v_add(sum[i][0], sum[i][1]);
    store_sums(both, R, M, ONES, y + at.row, stride, at.apart);
    for (int r = 0; r < R && k < n; r++)
        for (int m = 0; m < M; m++) {
            float *sum = y + m * stride + at.row + r * at.apart, total = *sum;
            for (int tail = k; tail < n; tail++) total += weight(place[r], tail, kind) * x[(size_t)m * n + tail];
            *sum = total;
        }
}

/* The scales of some groups in a row, as float32; up to LANES - 1 more than `count` are read and written. */
INLINE void load_group_scales(const uint16_t *half, int count, float *out) {
    for (int i = 0; i < count; i += LANES) v_store(out + i, v_load_f16(half + i));
}

/* The levels of a group of 4-bit weights, one after another. */
INLINE void decode_int4_group(const uint8_t *group, int16_t out[GROUP]) {
    i16vec level[GROUP / (2 * LANES)];
    int4_decode(group, int4_table(), level);
    memcpy(out, level, sizeof level);
}

/* What a span of some rows comes to with some activations, in their steps: dot_int8 and dot_int4. */
#ifdef HAVE_VNNI
#include "gemv_u8s8.h"
#else
#include "gemv_s16.h"
#endif

/* The same for 8- and 4-bit weights: their products with a span's activations, which are whole numbers, times its step. */
INLINE void gemv_int(const matrix *w, row_streams at, activations x, float *y, size_t stride, prefetch_range then, const int kind,
                     const int R, const int M) {
    const int parts = act_groups(w->columns);
    const char *place[4], *ahead[4];
    float by[4];
    vec total[8], sum[8];
    stream_pointers(w, at, R, then, place, ahead);
    for (int r = 0; r < R; r++) by[r] = kind == INT8 ? w->scale[at.row + r * at.apart] : 1.0f;
    for (int i = 0; i < R * M; i++) total[i] = v_zero();
    for (int part = 0; part < parts; part++) {
        if (kind == INT8) dot_int8(place, ahead, w->columns, part, x, R, M, sum);
        else dot_int4(place, ahead, w->columns, part, x, R, M, sum);
        for (int i = 0; i < R * M; i++) {
            total[i] = v_fma(sum[i], v_set(x.step[i % M * parts + part]), total[i]);
            if (kind == INT8) __asm__("" : "+m"(total[i])); /* or GCC keeps it in a register, and one of the sums in memory */
        }
    }
    store_sums(total, R, M, by, y + at.row, stride, at.apart);
}

/* Activations multiplied with the rows at a time. */
enum { SIDE = LANES == 16 ? 4 : 2 };

/* R rows times M of the activations, from one on. */
INLINE void gemv_block(const matrix *w, row_streams at, const int R, activations x, int from, const int M, float *y, size_t stride,
                       prefetch_range then, const int kind) {
    x = activations_from(x, from, w->columns);
    y += (size_t)from * stride;
    if (kind >= INT8) gemv_int(w, at, x, y, stride, then, kind, R, M);
    else gemv_float(w, at, x.x, y, stride, then, kind, R, M);
}

INLINE void gemv_activations(const matrix *w, row_streams at, const int R, activations x, int m, float *y, size_t stride, prefetch_range then,
                      const int kind) {
    int done = 0;
    for (; m - done >= SIDE; done += SIDE) gemv_block(w, at, R, x, done, SIDE, y, stride, then, kind);
    if (m - done == 3) gemv_block(w, at, R, x, done, 3, y, stride, then, kind);
    else if (m - done == 2) gemv_block(w, at, R, x, done, 2, y, stride, then, kind);
    else if (m - done == 1) gemv_block(w, at, R, x, done, 1, y, stride, then, kind);
}

INLINE void gemv_kind(const matrix *w, int first, int last, activations x, int m, float *y, size_t stride, prefetch_range then,
                    const int kind) {
    const int R = m == 1 ? 4 : 2, apart = (last - first) / R;
    const size_t row = w->row_bytes, early = row < PREFETCH_MAX ? (PREFETCH_MIN + row - 1) / row * row : PREFETCH_MAX;
    row_streams at = {first, apart, apart, early};
    for (; at.left > 0; at.row++, at.left--) {
        if (m == 1) gemv_block(w, at, 4, x, 0, 1, y, stride, then, kind);
        else gemv_activations(w, at, 2, x, m, y, stride, then, kind);
    }
    at = (row_streams){first + R * apart, 1, last - first - R * apart, early};
    for (; at.left > 0; at.row++, at.left--) gemv_activations(w, at, 1, x, m, y, stride, then, kind);
}

static void rows(const matrix *w, int first, int last, activations x, int m, float *y, size_t stride, prefetch_range then) {
    switch (w->kind) {
        case FLOAT32: gemv_kind(w, first, last, x, m, y, stride, then, FLOAT32); break;
        case FLOAT16: gemv_kind(w, first, last, x, m, y, stride, then, FLOAT16); break;
        case BFLOAT16: gemv_kind(w, first, last, x, m, y, stride, then, BFLOAT16); break;
        case INT8: gemv_kind(w, first, last, x, m, y, stride, then, INT8); break;
        default: gemv_kind(w, first, last, x, m, y, stride, then, INT4); break;
    }
}

#endif
