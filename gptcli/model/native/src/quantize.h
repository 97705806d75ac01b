/* Quantization of rows of numbers. Part of kernels.c, compiled for each instruction set: plain loops of a fixed length, which
 * compilers vectorize.
 *
 * Shapes:
 *   quantize_row          x float32 [columns] -> row `index` of a matrix of any kind, and its scale or scales
 *   quantize_activations  x float32 [n] -> q int16 [padded_columns(n)], scale float32 [act_groups(n)]
 */
#ifndef GPTCLI_QUANTIZE_H
#define GPTCLI_QUANTIZE_H

/* INT8, symmetric: out = round(x / scale), where the largest magnitude of the row becomes 127. Returns the scale. */
static float quantize_row_int8(const float *x, int n, int8_t *out) {
    vec magnitudes = v_zero();
    int i = 0;
    for (; i + LANES <= n; i += LANES) magnitudes = v_max(magnitudes, v_max(v_load(x + i), v_sub(v_zero(), v_load(x + i))));
    float largest = v_reduce_max(magnitudes);
    for (; i < n; i++) largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    const float inverse = largest > 0 ? 127.0f / largest : 0;
    for (i = 0; i < n; i++) out[i] = (int8_t)(int32_t)nearbyintf(x[i] * inverse);
    return largest / 127.0f;
}

/* q = round(x / scale), where the largest magnitude of each ACT_GROUP columns becomes ACT_MAX. The scale is NaN where a number
 * of the group is not finite. Returns 1 where 16 bits are too few: in some group, the numbers other than the largest are not
 * all zero, but less than ENOUGH quantization steps on average. */
static int quantize_activations(const float *x, int n, int16_t *q, float *scale) {
    enum { ENOUGH = 64 };
    int too_few = 0;
    for (int start = 0; start < n; start += ACT_GROUP, x += ACT_GROUP, q += ACT_GROUP, scale++) {
        const int count = n - start < ACT_GROUP ? n - start : ACT_GROUP;
        vec magnitudes = v_zero(), zero = v_zero(), sum = v_zero();
        float largest = 0, rest = 0, total = 0; /* zero and rest: sums of 0 * x, NaN where a number is not finite */
        int i = 0;
        for (; i + LANES <= count; i += LANES) {
            const vec value = v_load(x + i), magnitude = v_max(value, v_sub(v_zero(), value));
            magnitudes = v_max(magnitudes, magnitude);
            sum = v_add(sum, magnitude);
            zero = v_fma(value, v_zero(), zero);
        }
        for (; i < count; i++) {
            largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
            total += fabsf(x[i]);
            rest += x[i] * 0.0f;
        }
        const float other = v_reduce_max(magnitudes);
        largest = other > largest ? other : largest;
        const float inverse = largest > 0 ? (float)ACT_MAX / largest : 0;
        for (i = 0; i < count; i++) q[i] = (int16_t)(int32_t)nearbyintf(x[i] * inverse);
        for (; i < padded_columns(count); i++) q[i] = 0;
        *scale = largest / (float)ACT_MAX + v_reduce_add(zero) + rest;
        total += v_reduce_add(sum) - largest; /* of the others */
        too_few |= total > 0 && total < (float)(ENOUGH * (count - 1)) * *scale;
    }
    return too_few;
}

/* The level of INT4_LEVELS nearest to each x * inverse (the upper one of two equally near), and its index if `index` is not NULL.
 * A number's index is how many midpoints between two levels are at or below it. */
INLINE void nearest_int4_levels(const float *x, float inverse, float *level, int32_t *index) {
    float scaled[GROUP];
    for (int i = 0; i < GROUP; i++) scaled[i] = x[i] * inverse, level[i] = INT4_LEVELS[0];
    if (index)
        for (int i = 0; i < GROUP; i++) index[i] = 0;
#pragma GCC unroll 15
    for (int step = 1; step < 16; step++) {
        const float middle = 0.5f * (float)(INT4_LEVELS[step - 1] + INT4_LEVELS[step]);
        const float gap = (float)(INT4_LEVELS[step] - INT4_LEVELS[step - 1]);
        for (int i = 0; i < GROUP; i++) level[i] += scaled[i] >= middle ? gap : 0.0f;
        if (index)
            for (int i = 0; i < GROUP; i++) index[i] += scaled[i] >= middle;
    }
}

/* a . b over one group. */
INLINE float group_dot(const float *a, const float *b) {
    vec sum = v_mul(v_load(a), v_load(b));
    for (int i = LANES; i < GROUP; i += LANES) sum = v_fma(v_load(a + i), v_load(b + i), sum);
    return v_reduce_add(sum);
}

/* The scale of an INT4 group: the best of 17 candidates around the one that makes the largest number -127. Each candidate selects
 * levels, and is replaced by the least-squares scale for these levels. */
static float int4_group_scale(const float *x) {
    float largest = 0, best_scale = 0, best = -1, level[GROUP];
    for (int i = 0; i < GROUP; i++)
        if (fabsf(x[i]) > fabsf(largest)) largest = x[i];
    if (largest == 0) return 0;
    for (int attempt = -24; attempt <= 24; attempt += 3) {
        nearest_int4_levels(x, (INT4_LEVELS[0] + (float)attempt) / largest, level, NULL);
        const float along = group_dot(level, x), square = group_dot(level, level);
        if (square > 0 && along * along > best * square) { /* the squared norm of the projection on these levels */
            best = along * along / square;
            best_scale = along / square;
        }
    }
    return best_scale;
}

/* GROUP numbers -> GROUP / 2 bytes of indices and a scale in half precision. */
static void quantize_int4_group(const float *x, uint8_t *out, uint16_t *scale) {
    *scale = f32_to_f16(int4_group_scale(x));
    float inverse = 1.0f / f16_to_f32(*scale), level[GROUP];
    int32_t index[GROUP];
    if (!isfinite(inverse)) {
        memset(out, 0, GROUP / 2);
        *scale = 0;
        return;
    }
    nearest_int4_levels(x, inverse, level, index);
    for (int i = 0; i < GROUP / 2; i++) out[i] = (uint8_t)(index[i] | index[i + GROUP / 2] << 4);
}

static void row_to_f16(const float *x, int n, uint16_t *out) {
    int i = 0;
    for (; i + LANES <= n; i += LANES) v_store_f16(out + i, v_load(x + i));
    for (; i < n; i++) out[i] = f32_to_f16(x[i]);
}

static void quantize_row(matrix *w, int index, const float *x) {
    char *row = (char *)w->data + (size_t)index * w->row_bytes;
    switch (w->kind) {
        case FLOAT32: memcpy(row, x, w->row_bytes); return;
        case FLOAT16: row_to_f16(x, w->columns, (uint16_t *)row); return;
        case BFLOAT16:
            for (int i = 0; i < w->columns; i++) ((uint16_t *)row)[i] = f32_to_bf16(x[i]);
            return;
        case INT8: w->scale[index] = quantize_row_int8(x, w->columns, (int8_t *)row); return;
    }
    for (int k = 0; k < w->columns; k += GROUP)
        quantize_int4_group(x + k, (uint8_t *)row + k / 2, (uint16_t *)(row + w->columns / 2) + k / GROUP);
}

#endif
