/* The integer gemm microkernel for prompts with INT8 and INT4 weights, on processors with VNNI: vpdpwssd multiplies pairs of
 * 16-bit numbers and adds both products to a 32-bit sum, twice the work of a float32 multiply-add. Part of kernels.c.
 *
 * Shapes:
 *   int_gemm_pack     rows first..first + count (at most NR) of w -> packed: weights as int16 pairs of neighbouring columns,
 *                     [padded_columns(columns) / 2][NR][2], followed by the scales, float32 [NR] (INT8) or [group][NR] (INT4);
 *                     padded with zeros
 *   int_microkernel   q int16 [MR, padded_columns(columns)], scale float32 [MR, act_groups(columns)] (see `activations`), packed
 *                     -> sums float32 [MR, NR]
 */
#ifndef GPTCLI_INT_GEMM_H
#define GPTCLI_INT_GEMM_H

/* Columns that are packed at once; and how many products of 16 and 8 bits a 32-bit sum holds. */
enum { PACK_COLUMNS = 64, INT32_COLUMNS = 512 };

/* Convert PACK_COLUMNS columns of a row, from `start` on, to int16, with their scales (column j of `scales`). Elements beyond the
 * end of the row are not written. */
INLINE void unpack_row_int16(const matrix *w, int row, int j, int start, int16_t *line, float *scales) {
    const char *data = (const char *)w->data + (size_t)row * w->row_bytes;
    const int count = w->columns - start < PACK_COLUMNS ? w->columns - start : PACK_COLUMNS;
    if (w->kind == INT8) {
        for (int k = 0; k < count; k++) line[k] = ((const int8_t *)data)[start + k];
        scales[j] = w->scale[row];
        return;
    }
    for (int k = 0; k < count; k += GROUP) {
        decode_int4_group((const uint8_t *)data + (start + k) / 2, line + k);
        const int group = (start + k) / GROUP;
        scales[(size_t)group * NR + j] = f16_to_f32(((const uint16_t *)(data + w->columns / 2))[group]);
    }
}

static void int_gemm_pack(const matrix *w, int first, int count, float *packed) {
    const int padded = padded_columns(w->columns);
    float *scales = packed + (size_t)padded / 2 * NR;
    memset(scales, 0, (w->kind == INT4 ? (size_t)padded / GROUP : 1) * NR * sizeof *scales);
    for (int start = 0; start < padded; start += PACK_COLUMNS)
        for (int j = 0; j < NR; j += 4) {
            int16_t line[4][PACK_COLUMNS] = {{0}};
            for (int i = 0; i < 4 && j + i < count; i++) unpack_row_int16(w, first + j + i, j + i, start, line[i], scales);
            for (int pair = 0; pair < PACK_COLUMNS / 2; pair += 4) { /* transpose four pairs of four rows */
                __m128i x[4];
                for (int i = 0; i < 4; i++) x[i] = _mm_loadu_si128((const __m128i *)(line[i] + 2 * pair));
                const __m128i a = _mm_unpacklo_epi32(x[0], x[1]), b = _mm_unpacklo_epi32(x[2], x[3]);
                const __m128i c = _mm_unpackhi_epi32(x[0], x[1]), d = _mm_unpackhi_epi32(x[2], x[3]);
                float *to = packed + ((size_t)start / 2 + pair) * NR + j;
                _mm_storeu_si128((__m128i *)to, _mm_unpacklo_epi64(a, b));
                _mm_storeu_si128((__m128i *)(to + NR), _mm_unpackhi_epi64(a, b));
                _mm_storeu_si128((__m128i *)(to + 2 * NR), _mm_unpacklo_epi64(c, d));
                _mm_storeu_si128((__m128i *)(to + 3 * NR), _mm_unpackhi_epi64(c, d));
            }
        }
}

/* Integer sums over the columns that share a scale (INT4), or as many as 32 bits hold (INT8), times both scales. */
INLINE void int_microkernel_of(const matrix *w, const float *packed, const int16_t *q, const float *scale, float *sums,
                               const int kind) {
    const int padded = padded_columns(w->columns), groups = act_groups(w->columns), kc = kind == INT4 ? GROUP : INT32_COLUMNS;
    const float *scales = packed + (size_t)padded / 2 * NR;
    for (int i = 0; i < MR * NR; i++) sums[i] = 0;
    for (int start = 0; start < padded; start += kc) {
        const int end = start + kc < padded ? start + kc : padded;
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
                memcpy(&pair, q + (size_t)i * padded + k, sizeof pair);
#pragma GCC unroll 4
                for (int j = 0; j < VECTORS; j++) sum[i][j] = i16_dot(i16_set_pair(pair), right[j], sum[i][j]);
            }
        }
#pragma GCC unroll 16
        for (int i = 0; i < MR; i++) {
            const vec act_scale = v_set(scale[i * groups + start / ACT_GROUP]);
#pragma GCC unroll 4
            for (int j = 0; j < VECTORS; j++) {
                const float *weight_scale = scales + (kind == INT4 ? (size_t)start / GROUP * NR : 0) + j * LANES;
                float *to = sums + i * NR + j * LANES;
                v_store(to, v_fma(i32_to_f32(sum[i][j]), v_mul(act_scale, v_load(weight_scale)), v_load(to)));
            }
        }
    }
}

static void int_microkernel(const matrix *w, const float *packed, const int16_t *q, const float *scale, float *sums) {
    if (w->kind == INT4) int_microkernel_of(w, packed, q, scale, sums, INT4);
    else int_microkernel_of(w, packed, q, scale, sums, INT8);
}

#endif
