/* A step's products with 8- and 4-bit weights, on processors that multiply bytes without a sign by bytes with one and add up four
 * such products in one instruction (HAVE_VNNI). Part of kernels.c.
 *
 * An activation of 16 bits is 256 times a signed byte and another one, so that two instructions do with weights as they lie in
 * memory what takes six once they are 16 bits. Weights lose their sign by 128 more, and what that adds, 128 times the
 * activations, is taken off before their sums begin. All of it is exact.
 */
#ifndef GPTCLI_GEMV_U8S8_H
#define GPTCLI_GEMV_U8S8_H

enum { VEC_BYTES = 4 * LANES }; /* of a vector */

/* A vector's integers of 32, 16 and 8 bits, for what GCC and clang know at any width. */
typedef int32_t lanes __attribute__((vector_size(VEC_BYTES)));
typedef uint16_t halves __attribute__((vector_size(VEC_BYTES)));
typedef int8_t bytes __attribute__((vector_size(VEC_BYTES)));

INLINE i32vec b_load(const void *p) { return i16_load(p); }
INLINE void b_store(void *p, i32vec a) { memcpy(p, &a, sizeof a); }
INLINE i32vec b_set1(int8_t byte) { return (i32vec)((bytes){0} + byte); }
INLINE i32vec b_flip_sign(i32vec a) { return (i32vec)((bytes)a ^ (bytes)b_set1(-128)); }
INLINE i32vec i32_add(i32vec a, i32vec b) { return (i32vec)((lanes)a + (lanes)b); }
INLINE i32vec i32_combine(i32vec high, i32vec low) { return (i32vec)(((lanes)high << 8) + (lanes)low); }
INLINE i32vec i32_minus_128_times(i32vec a) { return (i32vec)(-((lanes)a << 7)); } /* -128 a */
INLINE i32vec b_low_nibbles(i32vec indices) { return (i32vec)((bytes)indices & (bytes)b_set1(15)); }
INLINE i32vec b_high_nibbles(i32vec indices) { return b_low_nibbles((i32vec)((halves)indices >> 4)); }

#if LANES == 16
INLINE i32vec u8s8_dot(i32vec a, i32vec b, i32vec c) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
}
INLINE i32vec u8_int4_table(void) { return b_flip_sign(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)INT4_LEVELS))); }
INLINE i32vec b_lookup(i32vec table, i32vec places) { return _mm512_shuffle_epi8(table, places); }
INLINE void split_i16(const int16_t *x, i32vec *high, i32vec *low) {
    const __m512i a = i16_load(x), b = i16_load(x + VEC_BYTES / 2), round = _mm512_set1_epi16(128);
    const __m256i a_high = _mm512_cvtepi16_epi8(_mm512_srai_epi16(_mm512_add_epi16(a, round), 8));
    const __m256i b_high = _mm512_cvtepi16_epi8(_mm512_srai_epi16(_mm512_add_epi16(b, round), 8));
    *high = _mm512_inserti64x4(_mm512_castsi256_si512(a_high), b_high, 1);
    *low = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(a)), _mm512_cvtepi16_epi8(b), 1);
}
INLINE vec v_broadcast_groups(const float *p) { /* one number for every four lanes */
    const __m512i place = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    return _mm512_permutexvar_ps(place, _mm512_broadcast_f32x4(_mm_loadu_ps(p)));
}
#else
INLINE i32vec u8s8_dot(i32vec a, i32vec b, i32vec c) {
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
}
INLINE i32vec u8_int4_table(void) { return b_flip_sign(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)INT4_LEVELS))); }
INLINE i32vec b_lookup(i32vec table, i32vec places) { return _mm256_shuffle_epi8(table, places); }
INLINE void split_i16(const int16_t *x, i32vec *high, i32vec *low) {
    const __m256i a = i16_load(x), b = i16_load(x + VEC_BYTES / 2), byte = _mm256_set1_epi16(255), round = _mm256_set1_epi16(128);
    const __m256i lower = _mm256_packus_epi16(_mm256_and_si256(a, byte), _mm256_and_si256(b, byte));
    const __m256i upper = _mm256_packs_epi16(_mm256_srai_epi16(_mm256_add_epi16(a, round), 8),
                                             _mm256_srai_epi16(_mm256_add_epi16(b, round), 8));
    *high = _mm256_permute4x64_epi64(upper, 0xd8);
    *low = _mm256_permute4x64_epi64(lower, 0xd8);
}
INLINE vec v_broadcast_groups(const float *p) { return _mm256_set_m128(_mm_set1_ps(p[1]), _mm_set1_ps(p[0])); }
#endif
INLINE i32vec b_load_once(const void *p) { /* GCC would read it again for every row */
    i32vec a = b_load(p);
    __asm__("" : "+v"(a));
    return a;
}

/* Activations as digits, where they lie: VEC_BYTES columns' high ones and then their low ones; and what is taken off in each lane, for
 * INT8 of a span and for INT4 of 2 * VEC_BYTES columns, which stand in the order of a row's indices. */
static void digits(int kind, int columns, int16_t *whole, int32_t *less) {
    enum { HALF = GROUP / 2 };
    const int longer = padded_columns(columns);
    const i32vec ones = b_set1(1);
    i32vec taken = i32_zero();
    for (int start = 0; start < longer; start += 2 * VEC_BYTES, whole += 2 * VEC_BYTES) {
        int16_t x[2 * VEC_BYTES];
        if (kind == INT8) memcpy(x, whole, sizeof x);
        for (int half = 0; kind == INT4 && half < 2 * VEC_BYTES / HALF; half++)
            memcpy(x + half % 2 * VEC_BYTES + half / 2 * HALF, whole + half * HALF, HALF * sizeof *x);
        for (int part = 0; part < 2; part++) {
            i32vec high, low;
            split_i16(x + part * VEC_BYTES, &high, &low);
            b_store(whole + part * VEC_BYTES, high);
            b_store(whole + part * VEC_BYTES + VEC_BYTES / 2, low);
            taken = i32_add(taken, i32_combine(u8s8_dot(ones, high, i32_zero()), u8s8_dot(ones, low, i32_zero())));
        }
        if (kind == INT8 && (start + 2 * VEC_BYTES) % ACT_GROUP && start + 2 * VEC_BYTES < longer) continue;
        b_store(less, i32_minus_128_times(taken));
        less += LANES;
        taken = i32_zero();
    }
}

INLINE void dot_int8(const char *const place[4], const char *const ahead[4], int columns, int part, activations x, const int R,
                       const int M, vec sums[8]) {
    const int longer = padded_columns(columns), all = round_up(columns, VEC_BYTES);
    const int end = (part + 1) * ACT_GROUP < all ? (part + 1) * ACT_GROUP : all;
    i32vec high[8], low[8];
    for (int i = 0; i < R * M; i++) {
        high[i] = i32_zero();
        low[i] = b_load(x.less + (size_t)(i % M) * correction_count(columns) + part * LANES);
    }
    for (int k = part * ACT_GROUP; k < end; k += VEC_BYTES) {
        i32vec read[4];
        for (int r = 0; r < R; r++) prefetch(ahead[r] + k, VEC_BYTES);
        for (int r = 0; r < R; r++) read[r] = b_flip_sign(b_load(place[r] + k));
        for (int m = 0; m < M; m++) {
            const int16_t *active = x.whole + (size_t)m * longer + k;
            const i32vec upper = b_load_once(active), lower = b_load_once(active + VEC_BYTES / 2);
            for (int r = 0; r < R; r++) {
                high[r * M + m] = u8s8_dot(read[r], upper, high[r * M + m]);
                low[r * M + m] = u8s8_dot(read[r], lower, low[r * M + m]);
            }
        }
    }
    for (int i = 0; i < R * M; i++) sums[i] = i32_to_f32(i32_combine(high[i], low[i]));
}

/* Columns come in whole groups. The last vector of indices may reach into a row's scales: such groups get a scale of zero. */
INLINE void dot_int4(const char *const place[4], const char *const ahead[4], int columns, int part, activations x, const int R,
                        const int M, vec sums[8]) {
    enum { EACH = 2 * VEC_BYTES, GROUPS = ACT_GROUP / GROUP, AT_ONCE = EACH / GROUP };
    const int longer = padded_columns(columns), start = part * ACT_GROUP, end = start + ACT_GROUP < columns ? start + ACT_GROUP : columns;
    const i32vec table = u8_int4_table();
    float scale[4][GROUPS + LANES];
    for (int r = 0; r < R; r++) {
        int count = (end - start) / GROUP;
        load_group_scales((const uint16_t *)(place[r] + columns / 2) + start / GROUP, count, scale[r]);
        for (; count % AT_ONCE; count++) scale[r][count] = 0;
    }
    for (int i = 0; i < R * M; i++) sums[i] = v_zero();
    for (int k = start; k < end; k += EACH)
        for (int r = 0; r < R; r++) {
            prefetch(ahead[r] + k / 2, VEC_BYTES);
            const i32vec indices = b_load(place[r] + k / 2);
            const i32vec first = b_lookup(table, b_low_nibbles(indices)), second = b_lookup(table, b_high_nibbles(indices));
            const vec by = v_broadcast_groups(scale[r] + (k - start) / GROUP);
            for (int m = 0; m < M; m++) {
                const int16_t *active = x.whole + (size_t)m * longer + k;
                const int32_t *less = x.less + (size_t)m * correction_count(columns) + k / EACH * LANES;
                i32vec high = u8s8_dot(first, b_load(active), i32_zero()), low = u8s8_dot(first, b_load(active + VEC_BYTES / 2), b_load(less));
                high = u8s8_dot(second, b_load(active + VEC_BYTES), high);
                low = u8s8_dot(second, b_load(active + VEC_BYTES * 3 / 2), low);
                sums[r * M + m] = v_fma(i32_to_f32(i32_combine(high, low)), by, sums[r * M + m]);
            }
        }
}

#endif
