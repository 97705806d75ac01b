/* The inner loops of gemv for INT8 and INT4 weights without VNNI: weights are widened to 16 bits and multiplied with 16-bit
 * activations. Part of gemv.h.
 *
 * Shapes:
 *   rows     R pointers to rows of weights (INT8: one byte a column; INT4: groups of 16 bytes, followed by the scales)
 *   ahead    R addresses to prefetch from
 *   group    index of the group of ACT_GROUP columns
 *   x        activations [M]; x.q is [M, padded_columns(columns)], padded with zeros
 *   sums     R * M vectors, sums[r * M + m]: their lanes add up to the product, in units of the activation's scale
 */
#ifndef GPTCLI_GEMV_S16_H
#define GPTCLI_GEMV_S16_H

/* The last vectors of a row may reach into the next row, where the activations are zero. */
INLINE void dot_int8(const char *const rows[4], const char *const ahead[4], int columns, int group, activations x, const int R,
                     const int M, vec sums[8]) {
    enum { U = 2 };
    const int padded = padded_columns(columns), end = (group + 1) * ACT_GROUP < padded ? (group + 1) * ACT_GROUP : padded;
    i32vec sum[8][U];
    for (int i = 0; i < R * M; i++)
        for (int u = 0; u < U; u++) sum[i][u] = i32_zero();
    for (int k = group * ACT_GROUP; k < end; k += 2 * U * LANES) {
        for (int r = 0; r < R; r++) prefetch(ahead[r] + k, 2 * U * LANES);
        for (int u = 0; u < U; u++) {
            i16vec weights[4];
            for (int r = 0; r < R; r++) weights[r] = i16_load_i8((const int8_t *)rows[r] + k + 2 * u * LANES);
            for (int m = 0; m < M; m++) {
                const i16vec activation = i16_load(x.q + (size_t)m * padded + k + 2 * u * LANES);
                for (int r = 0; r < R; r++) sum[r * M + m][u] = i16_dot(weights[r], activation, sum[r * M + m][u]);
            }
        }
    }
    for (int i = 0; i < R * M; i++) sums[i] = v_add(i32_to_f32(sum[i][0]), i32_to_f32(sum[i][1]));
}

/* Columns come in whole groups of GROUP. */
INLINE void dot_int4(const char *const rows[4], const char *const ahead[4], int columns, int group, activations x, const int R,
                     const int M, vec sums[8]) {
    enum { VECTORS_PER_GROUP = GROUP / (2 * LANES), GROUPS = ACT_GROUP / GROUP };
    const int padded = padded_columns(columns), start = group * ACT_GROUP;
    const int end = start + ACT_GROUP < columns ? start + ACT_GROUP : columns;
    float scale[4][GROUPS + LANES];
    for (int r = 0; r < R; r++)
        load_group_scales((const uint16_t *)(rows[r] + columns / 2) + start / GROUP, (end - start) / GROUP, scale[r]);
    for (int i = 0; i < R * M; i++) sums[i] = v_zero();
    for (int k = start; k < end; k += GROUP)
        for (int r = 0; r < R; r++) {
            i16vec values[VECTORS_PER_GROUP];
            const vec group_scale = v_set(scale[r][(k - start) / GROUP]);
            prefetch(ahead[r] + k / 2, GROUP / 2);
            int4_decode((const uint8_t *)rows[r] + k / 2, int4_table(), values);
            for (int m = 0; m < M; m++) {
                const int16_t *activation = x.q + (size_t)m * padded + k;
                i32vec products = i32_zero();
                for (int u = 0; u < VECTORS_PER_GROUP; u++)
                    products = i16_dot(values[u], i16_load(activation + 2 * u * LANES), products);
                sums[r * M + m] = v_fma(i32_to_f32(products), group_scale, sums[r * M + m]);
            }
        }
}

#endif
