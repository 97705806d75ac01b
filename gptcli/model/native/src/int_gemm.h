/* A prompt's products with 8- and 4-bit weights in whole numbers: part of kernels.c, on processors that multiply pairs of 16 bits
 * and add them up in one instruction (HAVE_VNNI), which is twice the work of a float32's. */
#ifndef GPTCLI_INT_GEMM_H
#define GPTCLI_INT_GEMM_H

enum { PIECE = 64, EXACT = 512 }; /* columns packed at once; and so many products of 16 and 8 bits fit into 32 bits together */

/* PIECE columns of a row from `start` on as whole numbers, and what they are worth; columns and rows that are not there stay. */
INLINE void whole_line(const matrix *w, int row, int j, int start, int16_t *line, float *scales) {
    const char *place = (const char *)w->data + (size_t)row * w->row_bytes;
    const int there = w->columns - start < PIECE ? w->columns - start : PIECE;
    if (w->kind == INT8) {
        for (int k = 0; k < there; k++) line[k] = ((const int8_t *)place)[start + k];
        scales[j] = w->scale[row];
        return;
    }
    for (int k = 0; k < there; k += GROUP) {
        decode_int4_group((const uint8_t *)place + (start + k) / 2, line + k);
        const int group = (start + k) / GROUP;
        scales[(size_t)group * NR + j] = f16_to_f32(((const uint16_t *)(place + w->columns / 2))[group]);
    }
}

/* Up to NR rows as pairs of neighbours, [columns / 2][NR], and behind them what a sum is worth: INT8 [NR], INT4 [group]
 * [NR]. Zero where there is nothing. */
static void int_gemm_pack(const matrix *w, int first, int count, float *to) {
    const int longer = padded_columns(w->columns);
    float *scales = to + (size_t)longer / 2 * NR;
    memset(scales, 0, (w->kind == INT4 ? (size_t)longer / GROUP : 1) * NR * sizeof *scales);
    for (int start = 0; start < longer; start += PIECE)
        for (int j = 0; j < NR; j += 4) {
            int16_t line[4][PIECE] = {{0}};
            for (int i = 0; i < 4 && j + i < count; i++) whole_line(w, first + j + i, j + i, start, line[i], scales);
            for (int pair = 0; pair < PIECE / 2; pair += 4) { /* four pairs of four rows, turned */
                __m128i x[4];
                for (int i = 0; i < 4; i++) x[i] = _mm_loadu_si128((const __m128i *)(line[i] + 2 * pair));
                const __m128i a = _mm_unpacklo_epi32(x[0], x[1]), b = _mm_unpacklo_epi32(x[2], x[3]);
                const __m128i c = _mm_unpackhi_epi32(x[0], x[1]), d = _mm_unpackhi_epi32(x[2], x[3]);
                float *place = to + ((size_t)start / 2 + pair) * NR + j;
                _mm_storeu_si128((__m128i *)place, _mm_unpacklo_epi64(a, b));
                _mm_storeu_si128((__m128i *)(place + NR), _mm_unpackhi_epi64(a, b));
                _mm_storeu_si128((__m128i *)(place + 2 * NR), _mm_unpacklo_epi64(c, d));
                _mm_storeu_si128((__m128i *)(place + 3 * NR), _mm_unpackhi_epi64(c, d));
            }
        }
}

INLINE void int_microkernel_of(const matrix *w, const float *packed, const int16_t *a, const float *step, float *sums, const int kind) {
    const int longer = padded_columns(w->columns), parts = act_groups(w->columns), most = kind == INT4 ? GROUP : EXACT;
    const float *scales = packed + (size_t)longer / 2 * NR;
    for (int i = 0; i < MR * NR; i++) sums[i] = 0;
    for (int start = 0; start < longer; start += most) {
        const int end = start + most < longer ? start + most : longer;
        i32vec sum[MR][VECTORS];
#pragma GCC unroll 16
        for (int i = 0; i < MR; i++)
#pragma GCC unroll 4
            for (int j = 0; j < VECTORS; j++) sum[i][j] = i32_zero();
        for (int k = start; k < end; k += 2) {
            i16vec right[VECTORS];
#pragma GCC unroll 4
            for (int j = 0; j < VECTORS; j++) right[j] = i16_load((const int16_t *)(packed + (size_t)k / 2 * NR + j * LANES));
#pragma GCC unroll 16
            for (int i = 0; i < MR; i++) {
                int32_t pair;
                memcpy(&pair, a + (size_t)i * longer + k, sizeof pair);
#pragma GCC unroll 4
                for (int j = 0; j < VECTORS; j++) sum[i][j] = i16_dot(i16_broadcast_pair(pair), right[j], sum[i][j]);
            }
        }
#pragma GCC unroll 16
        for (int i = 0; i < MR; i++) {
            const vec one = v_set(step[i * parts + start / ACT_GROUP]);
#pragma GCC unroll 4
            for (int j = 0; j < VECTORS; j++) {
                const vec worth = v_mul(one, v_load(scales + (kind == INT4 ? (size_t)start / GROUP * NR : 0) + j * LANES));
                float *to = sums + i * NR + j * LANES;
                v_store(to, v_fma(i32_to_f32(sum[i][j]), worth, v_load(to)));
            }
        }
    }
}

/* MR activations (`a` and `step` as in `activations`) times the NR rows that were packed: sums [MR][NR]. */
static void int_microkernel(const matrix *w, const float *packed, const int16_t *a, const float *step, float *sums) {
    if (w->kind == INT4) int_microkernel_of(w, packed, a, step, sums, INT4);
    else int_microkernel_of(w, packed, a, step, sums, INT8);
}

#endif
