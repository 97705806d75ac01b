/* The inner loops of gemv for INT8 and INT4 weights with VNNI, whose vpdpbusd multiplies unsigned bytes by signed bytes and adds
 * up four products in each 32-bit lane. Part of gemv.h.
 *
 * Shapes: as in gemv_s16.h, but x.q holds the split form that split_activations makes, and x.correction its correction.
 *
 * u8 x s8 split: a 16-bit activation is 256 * high + low with two signed bytes, so two instructions multiply it with weights in
 * their stored form; widening the weights to 16 bits would take six. Zero-point correction: weights become unsigned by adding
 * 128, which adds 128 * activation to each product, so the sums start at -128 * the sum of the activations. All of it is exact.
 */
#ifndef GPTCLI_GEMV_U8S8_H
#define GPTCLI_GEMV_U8S8_H

enum { VEC_BYTES = 4 * LANES }; /* bytes of a vector */

/* A vector's integers of 32, 16 and 8 bits, for the operators that GCC and clang have at any width. */
typedef int32_t i32_lanes __attribute__((vector_size(VEC_BYTES)));
typedef uint16_t u16_lanes __attribute__((vector_size(VEC_BYTES)));
typedef int8_t i8_lanes __attribute__((vector_size(VEC_BYTES)));

INLINE i32vec i8_load(const void *p) { return i16_load(p); }
INLINE void i8_store(void *p, i32vec a) { memcpy(p, &a, sizeof a); }
INLINE i32vec i8_set(int8_t byte) { return (i32vec)((i8_lanes){0} + byte); }
INLINE i32vec i8_to_u8(i32vec a) { return (i32vec)((i8_lanes)a ^ (i8_lanes)i8_set(-128)); } /* adds 128 */
INLINE i32vec i8_high_nibbles(i32vec a) { return (i32vec)((u16_lanes)a >> 4); } /* in the low nibbles; others above them */
INLINE i32vec i32_add(i32vec a, i32vec b) { return (i32vec)((i32_lanes)a + (i32_lanes)b); }
INLINE i32vec i32_combine(i32vec high, i32vec low) { return (i32vec)(((i32_lanes)high << 8) + (i32_lanes)low); }
INLINE i32vec i32_times_minus_128(i32vec a) { return (i32vec)(-((i32_lanes)a << 7)); }

#if LANES == 16
INLINE i32vec u8s8_dot(i32vec a, i32vec b, i32vec c) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
}
INLINE i32vec u8_int4_table(void) { return i8_to_u8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)INT4_LEVELS))); }
/* Values by the low nibbles of the indices. VBMI reads six bits of each, and the table is there four times. */
#ifdef __AVX512VBMI__
INLINE i32vec i8_lookup(i32vec table, i32vec indices) { return _mm512_permutexvar_epi8(indices, table); }
#else
INLINE i32vec i8_lookup(i32vec table, i32vec indices) {
    return _mm512_shuffle_epi8(table, _mm512_and_si512(indices, _mm512_set1_epi8(15)));
}
#endif
INLINE void i16_split(const int16_t *x, i32vec *high, i32vec *low) {
    const __m512i a = i16_load(x), b = i16_load(x + VEC_BYTES / 2), round = _mm512_set1_epi16(128);
    const __m256i a_high = _mm512_cvtepi16_epi8(_mm512_srai_epi16(_mm512_add_epi16(a, round), 8));
    const __m256i b_high = _mm512_cvtepi16_epi8(_mm512_srai_epi16(_mm512_add_epi16(b, round), 8));
    *high = _mm512_inserti64x4(_mm512_castsi256_si512(a_high), b_high, 1);
    *low = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(a)), _mm512_cvtepi16_epi8(b), 1);
}
INLINE vec v_broadcast_each(const float *p) { /* each number into four lanes */
    const __m512i lane = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    return _mm512_permutevar_ps(_mm512_broadcast_f32x4(_mm_loadu_ps(p)), lane);
}
#else
INLINE i32vec u8s8_dot(i32vec a, i32vec b, i32vec c) {
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
}
INLINE i32vec u8_int4_table(void) { return i8_to_u8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)INT4_LEVELS))); }
INLINE i32vec i8_lookup(i32vec table, i32vec indices) {
    return _mm256_shuffle_epi8(table, _mm256_and_si256(indices, _mm256_set1_epi8(15)));
}
INLINE void i16_split(const int16_t *x, i32vec *high, i32vec *low) {
    const __m256i a = i16_load(x), b = i16_load(x + VEC_BYTES / 2), byte = _mm256_set1_epi16(255), round = _mm256_set1_epi16(128);
    const __m256i lower = _mm256_packus_epi16(_mm256_and_si256(a, byte), _mm256_and_si256(b, byte));
    const __m256i upper = _mm256_packs_epi16(_mm256_srai_epi16(_mm256_add_epi16(a, round), 8),
                                             _mm256_srai_epi16(_mm256_add_epi16(b, round), 8));
    *high = _mm256_permute4x64_epi64(upper, 0xd8);
    *low = _mm256_permute4x64_epi64(lower, 0xd8);
}
INLINE vec v_broadcast_each(const float *p) { return _mm256_set_m128(_mm_set1_ps(p[1]), _mm_set1_ps(p[0])); }
#endif
INLINE i32vec i8_load_once(const void *p) { /* otherwise GCC loads it again for every row */
    i32vec a = i8_load(p);
    __asm__("" : "+v"(a));
    return a;
}

/* Split quantized activations in place: of every VEC_BYTES columns first the high bytes, then the low ones.
 *
 *   q           int16 [padded_columns(columns)]; for INT4 in the order of a row's indices, whose high halves are 16 columns on
 *   correction  int32 [correction_count(columns)]: LANES for each ACT_GROUP columns (INT8) or 2 * VEC_BYTES columns (INT4)
 */
static void split_activations(int kind, int columns, int16_t *q, int32_t *correction) {
    enum { HALF = GROUP / 2 };
    const int padded = padded_columns(columns);
    const i32vec ones = i8_set(1);
    i32vec sum = i32_zero();
    for (int start = 0; start < padded; start += 2 * VEC_BYTES, q += 2 * VEC_BYTES) {
        int16_t x[2 * VEC_BYTES];
        if (kind == INT8) memcpy(x, q, sizeof x);
        for (int half = 0; kind == INT4 && half < 2 * VEC_BYTES / HALF; half++)
            memcpy(x + half % 2 * VEC_BYTES + half / 2 * HALF, q + half * HALF, HALF * sizeof *x);
        for (int part = 0; part < 2; part++) {
            i32vec high, low;
            i16_split(x + part * VEC_BYTES, &high, &low);
            i8_store(q + part * VEC_BYTES, high);
            i8_store(q + part * VEC_BYTES + VEC_BYTES / 2, low);
            sum = i32_add(sum, i32_combine(u8s8_dot(ones, high, i32_zero()), u8s8_dot(ones, low, i32_zero())));
        }
        if (kind == INT8 && (start + 2 * VEC_BYTES) % ACT_GROUP && start + 2 * VEC_BYTES < padded) continue;
        i8_store(correction, i32_times_minus_128(sum));
        correction += LANES;
        sum = i32_zero();
    }
}

INLINE void dot_int8(const char *const rows[4], const char *const ahead[4], int columns, int group, activations x, const int R,
                     const int M, vec sums[8]) {
    const int padded = padded_columns(columns), all = round_up(columns, VEC_BYTES);
    const int end = (group + 1) * ACT_GROUP < all ? (group + 1) * ACT_GROUP : all;
    i32vec high[8], low[8];
    for (int i = 0; i < R * M; i++) {
        high[i] = i32_zero();
        low[i] = i8_load(x.correction + (size_t)(i % M) * correction_count(columns) + group * LANES);
    }
    for (int k = group * ACT_GROUP; k < end; k += VEC_BYTES) {
        i32vec weights[4];
        for (int r = 0; r < R; r++) prefetch(ahead[r] + k, VEC_BYTES);
        for (int r = 0; r < R; r++) weights[r] = i8_to_u8(i8_load(rows[r] + k));
        for (int m = 0; m < M; m++) {
            const int16_t *activation = x.q + (size_t)m * padded + k;
            const i32vec upper = i8_load_once(activation), lower = i8_load_once(activation + VEC_BYTES / 2);
            for (int r = 0; r < R; r++) {
                high[r * M + m] = u8s8_dot(weights[r], upper, high[r * M + m]);
                low[r * M + m] = u8s8_dot(weights[r], lower, low[r * M + m]);
            }
        }
    }
    for (int i = 0; i < R * M; i++) sums[i] = i32_to_f32(i32_combine(high[i], low[i]));
}

/* Columns come in whole groups of GROUP. The last vector of indices may reach into the row's scales: those groups get a scale of
 * zero. */
INLINE void dot_int4(const char *const rows[4], const char *const ahead[4], int columns, int group, activations x, const int R,
                     const int M, vec sums[8]) {
    enum { STEP = 2 * VEC_BYTES, GROUPS = ACT_GROUP / GROUP, GROUPS_PER_STEP = STEP / GROUP };
    const int padded = padded_columns(columns), start = group * ACT_GROUP;
    const int end = start + ACT_GROUP < columns ? start + ACT_GROUP : columns;
    const i32vec table = u8_int4_table();
    float scale[4][GROUPS + LANES];
    for (int r = 0; r < R; r++) {
        int count = (end - start) / GROUP;
        load_group_scales((const uint16_t *)(rows[r] + columns / 2) + start / GROUP, count, scale[r]);
        for (; count % GROUPS_PER_STEP; count++) scale[r][count] = 0;
    }
    for (int i = 0; i < R * M; i++) sums[i] = v_zero();
    for (int k = start; k < end; k += STEP)
        for (int r = 0; r < R; r++) {
            prefetch(ahead[r] + k / 2, VEC_BYTES);
            const i32vec indices = i8_load_once(rows[r] + k / 2);
            const i32vec first = i8_lookup(table, indices), second = i8_lookup(table, i8_high_nibbles(indices));
            const vec group_scale = v_broadcast_each(scale[r] + (k - start) / GROUP);
            for (int m = 0; m < M; m++) {
                const int16_t *activation = x.q + (size_t)m * padded + k;
                const int32_t *correction = x.correction + (size_t)m * correction_count(columns) + k / STEP * LANES;
                i32vec high = u8s8_dot(first, i8_load(activation), i32_zero());
                i32vec low = u8s8_dot(first, i8_load(activation + VEC_BYTES / 2), i8_load(correction));
                high = u8s8_dot(second, i8_load(activation + VEC_BYTES), high);
                low = u8s8_dot(second, i8_load(activation + VEC_BYTES * 3 / 2), low);
                sums[r * M + m] = v_fma(i32_to_f32(i32_combine(high, low)), group_scale, sums[r * M + m]);
            }
        }
}

#endif
