/* A step's products with 8- and 4-bit weights, on processors that multiply bytes without a sign by bytes with one and add up four
 * such products in one instruction (VNNI). Part of kernels.c.
 *
 * An activation of 16 bits is 256 times a signed byte and another one, so that two instructions do with weights as they lie in
 * memory what takes six once they are 16 bits. Weights lose their sign by 128 more, and what that adds, 128 times the
 * activations, is taken off before their sums begin. All of it is exact.
 */
#ifndef GPTCLI_DIGITS_H
#define GPTCLI_DIGITS_H

enum { BYTES = 4 * LANES }; /* of a vector */

/* A vector's integers of 32, 16 and 8 bits, for what GCC and clang know at any width. */
typedef int32_t lanes __attribute__((vector_size(BYTES)));
typedef uint16_t halves __attribute__((vector_size(BYTES)));
typedef int8_t bytes __attribute__((vector_size(BYTES)));

INLINE longs d_load(const void *p) { return w_load(p); }
INLINE void d_store(void *p, longs a) { memcpy(p, &a, sizeof a); }
INLINE longs d_set(int8_t byte) { return (longs)((bytes){0} + byte); }
INLINE longs d_unsigned(longs a) { return (longs)((bytes)a ^ (bytes)d_set(-128)); }
INLINE longs d_add(longs a, longs b) { return (longs)((lanes)a + (lanes)b); }
INLINE longs d_join(longs high, longs low) { return (longs)(((lanes)high << 8) + (lanes)low); }
INLINE longs d_less(longs a) { return (longs)(-((lanes)a << 7)); } /* -128 a */
INLINE longs d_low(longs indices) { return (longs)((bytes)indices & (bytes)d_set(15)); }
INLINE longs d_high(longs indices) { return d_low((longs)((halves)indices >> 4)); }

#if LANES == 16
INLINE longs d_dot(longs a, longs b, longs c) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
}
INLINE longs d_table(void) { return d_unsigned(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)LEVELS))); }
INLINE longs d_levels(longs table, longs places) { return _mm512_shuffle_epi8(table, places); }
INLINE void d_split(const int16_t *x, longs *high, longs *low) {
    const __m512i a = w_load(x), b = w_load(x + BYTES / 2), round = _mm512_set1_epi16(128);
    const __m256i a_high = _mm512_cvtepi16_epi8(_mm512_srai_epi16(_mm512_add_epi16(a, round), 8));
    const __m256i b_high = _mm512_cvtepi16_epi8(_mm512_srai_epi16(_mm512_add_epi16(b, round), 8));
    *high = _mm512_inserti64x4(_mm512_castsi256_si512(a_high), b_high, 1);
    *low = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(a)), _mm512_cvtepi16_epi8(b), 1);
}
INLINE vec d_each(const float *p) { /* one number for every four lanes */
    const __m512i place = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    return _mm512_permutexvar_ps(place, _mm512_broadcast_f32x4(_mm_loadu_ps(p)));
}
#else
INLINE longs d_dot(longs a, longs b, longs c) {
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
}
INLINE longs d_table(void) { return d_unsigned(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)LEVELS))); }
INLINE longs d_levels(longs table, longs places) { return _mm256_shuffle_epi8(table, places); }
INLINE void d_split(const int16_t *x, longs *high, longs *low) {
    const __m256i a = w_load(x), b = w_load(x + BYTES / 2), byte = _mm256_set1_epi16(255), round = _mm256_set1_epi16(128);
    const __m256i lower = _mm256_packus_epi16(_mm256_and_si256(a, byte), _mm256_and_si256(b, byte));
    const __m256i upper = _mm256_packs_epi16(_mm256_srai_epi16(_mm256_add_epi16(a, round), 8),
                                             _mm256_srai_epi16(_mm256_add_epi16(b, round), 8));
    *high = _mm256_permute4x64_epi64(upper, 0xd8);
    *low = _mm256_permute4x64_epi64(lower, 0xd8);
}
INLINE vec d_each(const float *p) { return _mm256_set_m128(_mm_set1_ps(p[1]), _mm_set1_ps(p[0])); }
#endif
INLINE longs d_kept(const void *p) { /* GCC would read it again for every row */
    longs a = d_load(p);
    __asm__("" : "+v"(a));
    return a;
}

/* Activations as digits, where they lie: BYTES columns' high ones and then their low ones; and what is taken off in each lane, for
 * INT8 of a span and for INT4 of 2 * BYTES columns, which stand in the order of a row's indices. */
static void digits(int kind, int columns, int16_t *whole, int32_t *less) {
    enum { HALF = GROUP / 2 };
    const int longer = short_columns(columns);
    const longs ones = d_set(1);
    longs taken = w_zero();
    for (int start = 0; start < longer; start += 2 * BYTES, whole += 2 * BYTES) {
        int16_t x[2 * BYTES];
        if (kind == INT8) memcpy(x, whole, sizeof x);
        for (int half = 0; kind == INT4 && half < 2 * BYTES / HALF; half++)
            memcpy(x + half % 2 * BYTES + half / 2 * HALF, whole + half * HALF, HALF * sizeof *x);
        for (int part = 0; part < 2; part++) {
            longs high, low;
            d_split(x + part * BYTES, &high, &low);
            d_store(whole + part * BYTES, high);
            d_store(whole + part * BYTES + BYTES / 2, low);
            taken = d_add(taken, d_join(d_dot(ones, high, w_zero()), d_dot(ones, low, w_zero())));
        }
        if (kind == INT8 && (start + 2 * BYTES) % SPAN && start + 2 * BYTES < longer) continue;
        d_store(less, d_less(taken));
        less += LANES;
        taken = w_zero();
    }
}

INLINE void bytes_span(const char *const place[4], const char *const ahead[4], int columns, int part, activations x, const int R,
                       const int M, vec sums[8]) {
    const int longer = short_columns(columns), all = padded(columns, BYTES);
    const int end = (part + 1) * SPAN < all ? (part + 1) * SPAN : all;
    longs high[8], low[8];
    for (int i = 0; i < R * M; i++) {
        high[i] = w_zero();
        low[i] = d_load(x.less + (size_t)(i % M) * lesser(columns) + part * LANES);
    }
    for (int k = part * SPAN; k < end; k += BYTES) {
        longs read[4];
        for (int r = 0; r < R; r++) fetch(ahead[r] + k, BYTES);
        for (int r = 0; r < R; r++) read[r] = d_unsigned(d_load(place[r] + k));
        for (int m = 0; m < M; m++) {
            const int16_t *active = x.whole + (size_t)m * longer + k;
            const longs upper = d_kept(active), lower = d_kept(active + BYTES / 2);
            for (int r = 0; r < R; r++) {
                high[r * M + m] = d_dot(read[r], upper, high[r * M + m]);
                low[r * M + m] = d_dot(read[r], lower, low[r * M + m]);
            }
        }
    }
    for (int i = 0; i < R * M; i++) sums[i] = w_float(d_join(high[i], low[i]));
}

/* Columns come in whole groups. The last vector of indices may reach into a row's scales: such groups get a scale of zero. */
INLINE void groups_span(const char *const place[4], const char *const ahead[4], int columns, int part, activations x, const int R,
                        const int M, vec sums[8]) {
    enum { EACH = 2 * BYTES, GROUPS = SPAN / GROUP, AT_ONCE = EACH / GROUP };
    const int longer = short_columns(columns), start = part * SPAN, end = start + SPAN < columns ? start + SPAN : columns;
    const longs table = d_table();
    float scale[4][GROUPS + LANES];
    for (int r = 0; r < R; r++) {
        int count = (end - start) / GROUP;
        scales_of((const uint16_t *)(place[r] + columns / 2) + start / GROUP, count, scale[r]);
        for (; count % AT_ONCE; count++) scale[r][count] = 0;
    }
    for (int i = 0; i < R * M; i++) sums[i] = v_zero();
    for (int k = start; k < end; k += EACH)
        for (int r = 0; r < R; r++) {
            fetch(ahead[r] + k / 2, BYTES);
            const longs indices = d_load(place[r] + k / 2);
            const longs first = d_levels(table, d_low(indices)), second = d_levels(table, d_high(indices));
            const vec by = d_each(scale[r] + (k - start) / GROUP);
            for (int m = 0; m < M; m++) {
                const int16_t *active = x.whole + (size_t)m * longer + k;
                const int32_t *less = x.less + (size_t)m * lesser(columns) + k / EACH * LANES;
                longs high = d_dot(first, d_load(active), w_zero()), low = d_dot(first, d_load(active + BYTES / 2), d_load(less));
                high = d_dot(second, d_load(active + BYTES), high);
                low = d_dot(second, d_load(active + BYTES * 3 / 2), low);
                sums[r * M + m] = v_fma(w_float(d_join(high, low)), by, sums[r * M + m]);
            }
        }
}

#endif
