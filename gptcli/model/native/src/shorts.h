/* A step's products with 8- and 4-bit weights, where these have to become 16 bits to be multiplied with activations of as many.
 * Part of kernels.c.
 */
#ifndef GPTCLI_SHORTS_H
#define GPTCLI_SHORTS_H

/* A row's last vectors may reach into the next one, where the activations are zero. */
INLINE void bytes_span(const char *const place[4], const char *const ahead[4], int columns, int part, activations x, const int R,
                       const int M, vec sums[8]) {
    enum { U = 2 };
    const int longer = short_columns(columns), end = (part + 1) * SPAN < longer ? (part + 1) * SPAN : longer;
    longs sum[8][U];
    for (int i = 0; i < R * M; i++)
        for (int u = 0; u < U; u++) sum[i][u] = w_zero();
    for (int k = part * SPAN; k < end; k += 2 * U * LANES) {
        for (int r = 0; r < R; r++) fetch(ahead[r] + k, 2 * U * LANES);
        for (int u = 0; u < U; u++) {
            shorts read[4];
            for (int r = 0; r < R; r++) read[r] = w_int8((const int8_t *)place[r] + k + 2 * u * LANES);
            for (int m = 0; m < M; m++) {
                const shorts active = w_load(x.whole + (size_t)m * longer + k + 2 * u * LANES);
                for (int r = 0; r < R; r++) sum[r * M + m][u] = w_dot(read[r], active, sum[r * M + m][u]);
            }
        }
    }
    for (int i = 0; i < R * M; i++) sums[i] = v_add(w_float(sum[i][0]), w_float(sum[i][1]));
}

/* Columns come in whole groups. */
INLINE void groups_span(const char *const place[4], const char *const ahead[4], int columns, int part, activations x, const int R,
                        const int M, vec sums[8]) {
    enum { EACH = GROUP / (2 * LANES), GROUPS = SPAN / GROUP };
    const int longer = short_columns(columns), start = part * SPAN, end = start + SPAN < columns ? start + SPAN : columns;
    float scale[4][GROUPS + LANES];
    for (int r = 0; r < R; r++)
        scales_of((const uint16_t *)(place[r] + columns / 2) + start / GROUP, (end - start) / GROUP, scale[r]);
    for (int i = 0; i < R * M; i++) sums[i] = v_zero();
    for (int k = start; k < end; k += GROUP)
        for (int r = 0; r < R; r++) {
            shorts level[EACH];
            const vec by = v_set(scale[r][(k - start) / GROUP]);
            fetch(ahead[r] + k / 2, GROUP / 2);
            w_levels((const uint8_t *)place[r] + k / 2, w_table(), level);
            for (int m = 0; m < M; m++) {
                const int16_t *active = x.whole + (size_t)m * longer + k;
                longs products = w_zero();
                for (int u = 0; u < EACH; u++) products = w_dot(level[u], w_load(active + 2 * u * LANES), products);
                sums[r * M + m] = v_fma(w_float(products), by, sums[r * M + m]);
            }
        }
}

#endif
