/* A row of numbers in fewer bits. Part of kernels.c, compiled for each instruction set: plain loops of a fixed length, which
 * compilers turn into vector instructions. */
#ifndef GPTCLI_QUANTIZE_H
#define GPTCLI_QUANTIZE_H

/* Symmetric 8-bit: the largest of a row becomes 127. Returns the scale. */
static float quantize_row_int8(const float *x, int n, int8_t *out) {
    vec most = v_zero();
    int i = 0;
    for (; i + LANES <= n; i += LANES) most = v_max(most, v_max(v_load(x + i), v_sub(v_zero(), v_load(x + i))));
    float largest = v_reduce_max(most);
    for (; i < n; i++) largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    const float inverse = largest > 0 ? 127.0f / largest : 0;
    for (i = 0; i < n; i++) out[i] = (int8_t)(int32_t)nearbyintf(x[i] * inverse);
    return largest / 127.0f;
}

/* An activation in 16 bits: of each ACT_GROUP columns the largest becomes ACT_MAX. */
static void quantize_activations(const float *x, int n, int16_t *whole, float *step) {
    for (int start = 0; start < n; start += ACT_GROUP, x += ACT_GROUP, whole += ACT_GROUP, step++) {
        const int count = n - start < ACT_GROUP ? n - start : ACT_GROUP;
        vec most = v_zero(), zero = v_zero();
        float largest = 0, rest = 0; /* zero and rest: NaN where a number is not finite */
        int i = 0;
        for (; i + LANES <= count; i += LANES) {
            const vec value = v_load(x + i);
            most = v_max(most, v_max(value, v_sub(v_zero(), value)));
            zero = v_fma(value, v_zero(), zero);
        }
        for (; i < count; i++) {
            largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
            rest += x[i] * 0.0f;
        }
        const float other = v_reduce_max(most);
        largest = other > largest ? other : largest;
        const float inverse = largest > 0 ? (float)ACT_MAX / largest : 0;
        for (i = 0; i < count; i++) whole[i] = (int16_t)(int32_t)nearbyintf(x[i] * inverse);
        for (; i < padded_columns(count); i++) whole[i] = 0;
        *step = largest / (float)ACT_MAX + v_reduce_add(zero) + rest;
    }
}

/* The places in INT4_LEVELS of the levels nearest to x / scale, of two equally near ones the upper, and the levels themselves:
 * as many steps up from the lowest as there are middles between two levels at or below the number. */
INLINE void nearest_int4_levels(const float *x, float inverse, float *level, int32_t *place) {
    float scaled[GROUP];
    for (int i = 0; i < GROUP; i++) scaled[i] = x[i] * inverse, level[i] = INT4_LEVELS[0];
    if (place)
        for (int i = 0; i < GROUP; i++) place[i] = 0;
#pragma GCC unroll 15
    for (int step = 1; step < 16; step++) {
        const float middle = 0.5f * (float)(INT4_LEVELS[step - 1] + INT4_LEVELS[step]), gap = (float)(INT4_LEVELS[step] - INT4_LEVELS[step - 1]);
        for (int i = 0; i < GROUP; i++) level[i] += scaled[i] >= middle ? gap : 0.0f;
        if (place)
            for (int i = 0; i < GROUP; i++) place[i] += scaled[i] >= middle;
    }
}

/* a . b for one group. */
INLINE float group_dot(const float *a, const float *b) {
    vec sum = v_mul(v_load(a), v_load(b));
    for (int i = LANES; i < GROUP; i += LANES) sum = v_fma(v_load(a + i), v_load(b + i), sum);
    return v_reduce_add(sum);
}

/* The scale of a group of 4-bit weights: of some about that which makes the largest -127, the one that loses least; for each,
 * the best scale for the levels it chose (least squares). */
static float int4_group_scale(const float *x) {
    float largest = 0, best_scale = 0, best = -1, level[GROUP];
    for (int i = 0; i < GROUP; i++)
        if (fabsf(x[i]) > fabsf(largest)) largest = x[i];
    if (largest == 0) return 0;
    for (int attempt = -24; attempt <= 24; attempt += 3) {
        nearest_int4_levels(x, (INT4_LEVELS[0] + (float)attempt) / largest, level, NULL);
        const float along = group_dot(level, x), square = group_dot(level, level);
        if (square > 0 && along * along > best * square) { /* what the projection on these levels explains */
            best = along * along / square;
            best_scale = along / square;
        }
    }
    return best_scale;
}

static void quantize_int4_group(const float *x, uint8_t *out, uint16_t *scale) {
    *scale = f32_to_f16(int4_group_scale(x));
    float inverse = 1.0f / f16_to_f32(*scale), level[GROUP];
    int32_t place[GROUP];
    if (!isfinite(inverse)) {
        memset(out, 0, GROUP / 2);
        *scale = 0;
        return;
    }
    nearest_int4_levels(x, inverse, level, place);
    for (int i = 0; i < GROUP / 2; i++) out[i] = (uint8_t)(place[i] | place[i + GROUP / 2] << 4);
}

static void row_to_f16(const float *x, int n, uint16_t *out) {
    int i = 0;
    for (; i + LANES <= n; i += LANES) v_store_f16(out + i, v_load(x + i));
    for (; i < n; i++) out[i] = f32_to_f16(x[i]);
}

/* One row of a matrix, rounded to its kind. */
static void keep(matrix *w, int index, const float *x) {
    char *place = (char *)w->data + (size_t)index * w->row_bytes;
    switch (w->kind) {
        case FLOAT32: memcpy(place, x, w->row_bytes); return;
        case FLOAT16: row_to_f16(x, w->columns, (uint16_t *)place); return;
        case BFLOAT16:
            for (int i = 0; i < w->columns; i++) ((uint16_t *)place)[i] = f32_to_bf16(x[i]);
            return;
        case INT8: w->scale[index] = quantize_row_int8(x, w->columns, (int8_t *)place); return;
    }
    for (int k = 0; k < w->columns; k += GROUP)
        quantize_int4_group(x + k, (uint8_t *)place + k / 2, (uint16_t *)(place + w->columns / 2) + k / GROUP);
}

#endif
