/* A step's products with 8- and 4-bit weights, where these have to become 16 bits to be multiplied with activations of as many.
 * Part of kernels.c.
 */
#ifndef GPTCLI_GEMV_S16_H
#define GPTCLI_GEMV_S16_H

/* A row's last vectors may reach into the next one, where the activations are zero. */
INLINE void dot_int8(const char *const place[4], const char *const ahead[4], int columns, int part, activations x, const int R,
                       const int M, vec sums[8]) {
    enum { U = 2 };
    const int longer = padded_columns(columns), end = (part + 1) * ACT_GROUP < longer ? (part + 1) * ACT_GROUP : longer;
    i32vec sum[8][U];
    for (int i = 0; i < R * M; i++)
        for (int u = 0; u < U; u++) sum[i][u] = i32_zero();
    for (int k = part * ACT_GROUP; k < end; k += 2 * U * LANES) {
        for (int r = 0; r < R; r++) prefetch(ahead[r] + k, 2 * U * LANES);
        for (int u = 0; u < U; u++) {
            i16vec read[4];
            for (int r = 0; r < R; r++) read[r] = i16_load_i8((const int8_t *)place[r] + k + 2 * u * LANES);
            for (int m = 0; m < M; m++) {
                const i16vec active = i16_load(x.whole + (size_t)m * longer + k + 2 * u * LANES);
                for (int r = 0; r < R; r++) sum[r * M + m][u] = i16_dot(read[r], active, sum[r * M + m][u]);
            }
        }
    }
    for (int i = 0; i < R * M; i++) sums[i] = v_add(i32_to_f32(sum[i][0]), i32_to_f32(sum[i][1]));
}

/* Columns come in whole groups. */
INLINE void dot_int4(const char *const place[4], const char *const ahead[4], int columns, int part, activations x, const int R,
                        const int M, vec sums[8]) {
    enum { EACH = GROUP / (2 * LANES), GROUPS = ACT_GROUP / GROUP };
    const int longer = padded_columns(columns), start = part * ACT_GROUP, end = start + ACT_GROUP < columns ? start + ACT_GROUP : columns;
    float scale[4][GROUPS + LANES];
    for (int r = 0; r < R; r++)
        load_group_scales((const uint16_t *)(place[r] + columns / 2) + start / GROUP, (end - start) / GROUP, scale[r]);
    for (int i = 0; i < R * M; i++) sums[i] = v_zero();
    for (int k = start; k < end; k += GROUP)
        for (int r = 0; r < R; r++) {
            i16vec level[EACH];
            const vec by = v_set(scale[r][(k - start) / GROUP]);
            prefetch(ahead[r] + k / 2, GROUP / 2);
            int4_decode((const uint8_t *)place[r] + k / 2, int4_table(), level);
            for (int m = 0; m < M; m++) {
                const int16_t *active = x.whole + (size_t)m * longer + k;
                i32vec products = i32_zero();
                for (int u = 0; u < EACH; u++) products = i16_dot(level[u], i16_load(active + 2 * u * LANES), products);
                sums[r * M + m] = v_fma(i32_to_f32(products), by, sums[r * M + m]);
            }
        }
}

#endif
