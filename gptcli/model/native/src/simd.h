/* Vectors for AVX-512, AVX2 with FMA, NEON, WebAssembly, and plain C. The kernels are written once, over these names.
 *
 * Shapes: vec is float32 [LANES], i16vec int16 [2 * LANES], i32vec int32 [LANES].
 *
 *   v_*                on vec: load and store (also of half precision, bfloat16 and int8), arithmetic, reduce
 *   i16_*              on i16vec; i16_dot(a, b, c) adds a * b to c, each sum of two products in one lane, not always that of its
 *                      own numbers
 *   int4_table/decode  the GROUP values of 16 bytes of INT4 indices
 *   f16, bf16          conversions of single numbers
 *
 * Every function is as accurate as the hardware's operation.
 */
#ifndef GPTCLI_SIMD_H
#define GPTCLI_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* The values of the sixteen INT4 indices, in units of the group's scale: the levels with the least error for normally distributed
 * weights in groups of 32, under the search for a scale in quantize.h (Lloyd 1982). quantize.py has the same table. */
static const int8_t INT4_LEVELS[16] = {-127, -104, -81, -64, -49, -36, -23, -11, 0, 12, 23, 36, 49, 64, 81, 102};

static inline float f32_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t f32_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Half precision to float32, with integer operations: for the ends of rows, and for processors without an instruction for it. */
static inline float f16_to_f32(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = (half >> 10) & 31, fraction = half & 1023;
    if (exponent == 31) return f32_from_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0) { /* zero or subnormal: fraction * 2^-24, exactly */
        float value = (float)fraction * 5.9604644775390625e-8f;
        return sign ? -value : value;
    }
    return f32_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

/* Round to half precision, ties to even. */
static inline uint16_t f32_to_f16(float value) {
    uint32_t bits = f32_bits(value), sign = bits >> 16 & 0x8000;
    float size = f32_from_bits(bits & 0x7fffffff);
    if (size >= 65520.0f) return (uint16_t)(sign | 0x7c00);
    if (size < 6.103515625e-5f) return (uint16_t)(sign | (uint32_t)nearbyintf(size * 16777216.0f));
    uint32_t kept = f32_bits(size) - (112u << 23);
    return (uint16_t)(sign | (kept + 0xfff + (kept >> 13 & 1)) >> 13);
}

/* The upper half of a float32, rounded, ties to even. */
static inline uint16_t f32_to_bf16(float value) {
    const uint32_t bits = f32_bits(value);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline float bf16_to_f32(uint16_t brain) { return f32_from_bits((uint32_t)brain << 16); }

#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES 16
typedef __m512 vec;
static inline vec v_zero(void) { return _mm512_setzero_ps(); }
static inline vec v_set(float x) { return _mm512_set1_ps(x); }
static inline vec v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v_store(float *p, vec x) { _mm512_storeu_ps(p, x); }
static inline vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
static inline vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
static inline vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
static inline vec v_div(vec a, vec b) { return _mm512_div_ps(a, b); }
static inline vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
static inline vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }
static inline vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
static inline vec v_round(vec a) { return _mm512_roundscale_ps(a, 0); }
static inline vec v_exp2_int(vec n) { /* 2^n for an integer n */
    __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
}
static inline float v_reduce_add(vec a) { return _mm512_reduce_add_ps(a); }
/* Four vectors, each times a factor: faster than v_reduce_add. */
static inline void v_reduce_add4(const vec x[4], const float *factors, float *out) {
    const vec a = _mm512_add_ps(_mm512_unpacklo_ps(x[0], x[1]), _mm512_unpackhi_ps(x[0], x[1]));
    const vec b = _mm512_add_ps(_mm512_unpacklo_ps(x[2], x[3]), _mm512_unpackhi_ps(x[2], x[3]));
    const vec low = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
    const vec all = _mm512_add_ps(low, _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b))));
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
    const __m128 sums = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    _mm_storeu_ps(out, _mm_mul_ps(sums, _mm_loadu_ps(factors)));
}
static inline float v_reduce_max(vec a) { return _mm512_reduce_max_ps(a); }
static inline vec v_load_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
static inline void v_store_f16(uint16_t *p, vec x) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
static inline vec v_load_bf16(const uint16_t *p) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
static inline vec v_load_i8(const int8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
typedef __m512i i32vec, i16vec;
static inline i32vec i32_zero(void) { return _mm512_setzero_si512(); }
static inline i16vec i16_load(const int16_t *p) { return _mm512_loadu_si512(p); }
static inline i16vec i16_load_i8(const int8_t *p) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p)); }
#ifdef __AVX512VNNI__
#define HAVE_VNNI
/* In assembly, because GCC 12 copies the intrinsic's sums between registers. */
static inline i32vec i16_dot(i16vec a, i16vec b, i32vec c) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
}
#else
static inline i32vec i16_dot(i16vec a, i16vec b, i32vec c) { return _mm512_add_epi32(c, _mm512_madd_epi16(a, b)); }
#endif
static inline i16vec i16_set_pair(int32_t pair) { return _mm512_set1_epi32(pair); }
static inline vec i32_to_f32(i32vec a) { return _mm512_cvtepi32_ps(a); }
/* The table twice: the fifth bit of an index, the lowest of the next nibble, does not matter. */
static inline i16vec int4_table(void) {
    __m256i once = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)INT4_LEVELS));
    return _mm512_broadcast_i64x4(once);
}
static inline void int4_decode(const uint8_t *p, i16vec table, i16vec out[1]) {
    const __m512i shift = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(4), 1);
    __m256i twice = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p));
    out[0] = _mm512_permutexvar_epi16(_mm512_srlv_epi16(_mm512_cvtepu8_epi16(twice), shift), table);
}

#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>
#define LANES 8
typedef __m256 vec;
static inline vec v_zero(void) { return _mm256_setzero_ps(); }
static inline vec v_set(float x) { return _mm256_set1_ps(x); }
static inline vec v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void v_store(float *p, vec x) { _mm256_storeu_ps(p, x); }
static inline vec v_add(vec a, vec b) { return _mm256_add_ps(a, b); }
static inline vec v_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
static inline vec v_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
static inline vec v_div(vec a, vec b) { return _mm256_div_ps(a, b); }
static inline vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); }
static inline vec v_min(vec a, vec b) { return _mm256_min_ps(a, b); }
static inline vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline vec v_round(vec a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vec v_exp2_int(vec n) {
    __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
static inline float v_reduce_add(vec a) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_shuffle_ps(half, half, 1)));
}
static inline void v_reduce_add4(const vec x[4], const float *factors, float *out) {
    const vec all = _mm256_hadd_ps(_mm256_hadd_ps(x[0], x[1]), _mm256_hadd_ps(x[2], x[3]));
    const __m128 sums = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
    _mm_storeu_ps(out, _mm_mul_ps(sums, _mm_loadu_ps(factors)));
}
static inline float v_reduce_max(vec a) {
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_shuffle_ps(half, half, 1)));
}
static inline vec v_load_f16(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
static inline void v_store_f16(uint16_t *p, vec x) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
static inline vec v_load_bf16(const uint16_t *p) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
static inline vec v_load_i8(const int8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
typedef __m256i i32vec, i16vec;
static inline i32vec i32_zero(void) { return _mm256_setzero_si256(); }
static inline i16vec i16_load(const int16_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline i16vec i16_load_i8(const int8_t *p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p)); }
#ifdef __AVXVNNI__
#define HAVE_VNNI
static inline i32vec i16_dot(i16vec a, i16vec b, i32vec c) {
    __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
}
#else
static inline i32vec i16_dot(i16vec a, i16vec b, i32vec c) { return _mm256_add_epi32(c, _mm256_madd_epi16(a, b)); }
#endif
static inline i16vec i16_set_pair(int32_t pair) { return _mm256_set1_epi32(pair); }
static inline vec i32_to_f32(i32vec a) { return _mm256_cvtepi32_ps(a); }
static inline i16vec int4_table(void) { return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)INT4_LEVELS)); }
static inline void int4_decode(const uint8_t *p, i16vec table, i16vec out[2]) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)p), levels = _mm256_castsi256_si128(table);
    out[0] = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(levels, _mm_and_si128(bytes, _mm_set1_epi8(15))));
    out[1] = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(levels, _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15))));
}

#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#define LANES 4
typedef float32x4_t vec;
static inline vec v_zero(void) { return vdupq_n_f32(0); }
static inline vec v_set(float x) { return vdupq_n_f32(x); }
static inline vec v_load(const float *p) { return vld1q_f32(p); }
static inline void v_store(float *p, vec x) { vst1q_f32(p, x); }
static inline vec v_add(vec a, vec b) { return vaddq_f32(a, b); }
static inline vec v_sub(vec a, vec b) { return vsubq_f32(a, b); }
static inline vec v_mul(vec a, vec b) { return vmulq_f32(a, b); }
static inline vec v_div(vec a, vec b) { return vdivq_f32(a, b); }
static inline vec v_max(vec a, vec b) { return vmaxq_f32(a, b); }
static inline vec v_min(vec a, vec b) { return vminq_f32(a, b); }
static inline vec v_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
static inline vec v_round(vec a) { return vrndnq_f32(a); }
static inline vec v_exp2_int(vec n) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}
static inline float v_reduce_add(vec a) { return vaddvq_f32(a); }
static inline void v_reduce_add4(const vec x[4], const float *factors, float *out) {
    vst1q_f32(out, vmulq_f32(vpaddq_f32(vpaddq_f32(x[0], x[1]), vpaddq_f32(x[2], x[3])), vld1q_f32(factors)));
}
static inline float v_reduce_max(vec a) { return vmaxvq_f32(a); }
static inline vec v_load_f16(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
static inline void v_store_f16(uint16_t *p, vec x) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(x))); }
static inline vec v_load_bf16(const uint16_t *p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
static inline vec v_load_i8(const int8_t *p) {
    int32_t four; /* exactly four bytes: a vector load would read past a row's end */
    memcpy(&four, p, sizeof four);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8((uint32_t)four)))));
}
typedef int32x4_t i32vec;
typedef int16x8_t i16vec;
static inline i32vec i32_zero(void) { return vdupq_n_s32(0); }
static inline i16vec i16_load(const int16_t *p) { return vld1q_s16(p); }
static inline i16vec i16_load_i8(const int8_t *p) { return vmovl_s8(vld1_s8(p)); }
static inline i32vec i16_dot(i16vec a, i16vec b, i32vec c) {
    return vmlal_high_s16(vmlal_s16(c, vget_low_s16(a), vget_low_s16(b)), a, b);
}
static inline vec i32_to_f32(i32vec a) { return vcvtq_f32_s32(a); }
static inline i16vec int4_table(void) { return vreinterpretq_s16_s8(vld1q_s8(INT4_LEVELS)); }
static inline void int4_decode(const uint8_t *p, i16vec table, i16vec out[4]) {
    uint8x16_t bytes = vld1q_u8(p);
    int8x16_t levels = vreinterpretq_s8_s16(table);
    int8x16_t low = vqtbl1q_s8(levels, vandq_u8(bytes, vdupq_n_u8(15))), high = vqtbl1q_s8(levels, vshrq_n_u8(bytes, 4));
    out[0] = vmovl_s8(vget_low_s8(low));
    out[1] = vmovl_high_s8(low);
    out[2] = vmovl_s8(vget_low_s8(high));
    out[3] = vmovl_high_s8(high);
}

#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#define LANES 4
typedef v128_t vec;
static inline vec v_zero(void) { return wasm_f32x4_const_splat(0); }
static inline vec v_set(float x) { return wasm_f32x4_splat(x); }
static inline vec v_load(const float *p) { return wasm_v128_load(p); }
static inline void v_store(float *p, vec x) { wasm_v128_store(p, x); }
static inline vec v_add(vec a, vec b) { return wasm_f32x4_add(a, b); }
static inline vec v_sub(vec a, vec b) { return wasm_f32x4_sub(a, b); }
static inline vec v_mul(vec a, vec b) { return wasm_f32x4_mul(a, b); }
static inline vec v_div(vec a, vec b) { return wasm_f32x4_div(a, b); }
/* In this order they are one instruction of x86, and of two numbers one of which is NaN they return b, like x86's. */
static inline vec v_max(vec a, vec b) { return wasm_f32x4_pmax(b, a); }
static inline vec v_min(vec a, vec b) { return wasm_f32x4_pmin(b, a); }
static inline vec v_fma(vec a, vec b, vec c) { return wasm_f32x4_add(wasm_f32x4_mul(a, b), c); } /* rounds twice */
static inline vec v_round(vec a) { return wasm_f32x4_nearest(a); }
static inline vec v_exp2_int(vec n) {
    return wasm_i32x4_shl(wasm_i32x4_add(wasm_i32x4_trunc_sat_f32x4(n), wasm_i32x4_const_splat(127)), 23);
}
/* Four vectors: the sums of their lanes. */
static inline vec v_sums(vec a, vec b, vec c, vec d) {
    const vec ab = wasm_f32x4_add(wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), wasm_i32x4_shuffle(a, b, 2, 6, 3, 7));
    const vec cd = wasm_f32x4_add(wasm_i32x4_shuffle(c, d, 0, 4, 1, 5), wasm_i32x4_shuffle(c, d, 2, 6, 3, 7));
    return wasm_f32x4_add(wasm_i64x2_shuffle(ab, cd, 0, 2), wasm_i64x2_shuffle(ab, cd, 1, 3));
}
static inline float v_reduce_add(vec a) { return wasm_f32x4_extract_lane(v_sums(a, a, a, a), 0); }
static inline void v_reduce_add4(const vec x[4], const float *factors, float *out) {
    v_store(out, wasm_f32x4_mul(v_sums(x[0], x[1], x[2], x[3]), v_load(factors)));
}
static inline float v_reduce_max(vec a) {
    a = v_max(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
    return wasm_f32x4_extract_lane(v_max(a, wasm_i32x4_shuffle(a, a, 1, 0, 3, 2)), 0);
}
/* The exponent of half precision is 112 less: a product with 2^112 corrects it, of subnormal numbers too. */
static inline vec v_load_f16(const uint16_t *p) {
    const v128_t half = wasm_u32x4_load16x4(p), size = wasm_v128_and(half, wasm_i32x4_const_splat(0x7fff));
    const v128_t value = wasm_f32x4_mul(wasm_i32x4_shl(size, 13), wasm_f32x4_const_splat(0x1p112f));
    const v128_t infinite = wasm_i32x4_gt(size, wasm_i32x4_const_splat(0x7bff)); /* or NaN */
    const v128_t sign = wasm_i32x4_shl(wasm_v128_andnot(half, wasm_i32x4_const_splat(0x7fff)), 16);
    return wasm_v128_or(wasm_v128_or(value, wasm_v128_and(infinite, wasm_i32x4_const_splat(0x7f800000))), sign);
}
static inline void v_store_f16(uint16_t *p, vec x) {
    float four[LANES];
    v_store(four, x);
    for (int i = 0; i < LANES; i++) p[i] = f32_to_f16(four[i]);
}
static inline vec v_load_bf16(const uint16_t *p) { return wasm_i32x4_shl(wasm_u32x4_load16x4(p), 16); }
static inline vec v_load_i8(const int8_t *p) {
    const v128_t bytes = wasm_v128_load32_zero(p);
    return wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(wasm_i16x8_extend_low_i8x16(bytes)));
}
typedef v128_t i32vec, i16vec;
static inline i32vec i32_zero(void) { return wasm_i32x4_const_splat(0); }
static inline i16vec i16_load(const int16_t *p) { return wasm_v128_load(p); }
static inline i16vec i16_load_i8(const int8_t *p) { return wasm_i16x8_load8x8(p); }
static inline i32vec i16_dot(i16vec a, i16vec b, i32vec c) { return wasm_i32x4_add(c, wasm_i32x4_dot_i16x8(a, b)); }
static inline vec i32_to_f32(i32vec a) { return wasm_f32x4_convert_i32x4(a); }
static inline i16vec int4_table(void) { return wasm_v128_load(INT4_LEVELS); }
static inline void int4_decode(const uint8_t *p, i16vec table, i16vec out[4]) {
    const v128_t bytes = wasm_v128_load(p), low = wasm_i8x16_swizzle(table, wasm_v128_and(bytes, wasm_i8x16_const_splat(15)));
    const v128_t high = wasm_i8x16_swizzle(table, wasm_u8x16_shr(bytes, 4));
    out[0] = wasm_i16x8_extend_low_i8x16(low);
    out[1] = wasm_i16x8_extend_high_i8x16(low);
    out[2] = wasm_i16x8_extend_low_i8x16(high);
    out[3] = wasm_i16x8_extend_high_i8x16(high);
}

#else
#define LANES 1
typedef float vec;
static inline vec v_zero(void) { return 0; }
static inline vec v_set(float x) { return x; }
static inline vec v_load(const float *p) { return *p; }
static inline void v_store(float *p, vec x) { *p = x; }
static inline vec v_add(vec a, vec b) { return a + b; }
static inline vec v_sub(vec a, vec b) { return a - b; }
static inline vec v_mul(vec a, vec b) { return a * b; }
static inline vec v_div(vec a, vec b) { return a / b; }
static inline vec v_max(vec a, vec b) { return a > b ? a : b; }
static inline vec v_min(vec a, vec b) { return a < b ? a : b; }
static inline vec v_fma(vec a, vec b, vec c) { return a * b + c; }
static inline vec v_round(vec a) { return nearbyintf(a); }
static inline vec v_exp2_int(vec n) { return f32_from_bits((uint32_t)((int32_t)n + 127) << 23); }
static inline float v_reduce_add(vec a) { return a; }
static inline void v_reduce_add4(const vec x[4], const float *factors, float *out) {
    for (int i = 0; i < 4; i++) out[i] = x[i] * factors[i];
}
static inline float v_reduce_max(vec a) { return a; }
static inline vec v_load_f16(const uint16_t *p) { return f16_to_f32(*p); }
static inline void v_store_f16(uint16_t *p, vec x) { *p = f32_to_f16(x); }
static inline vec v_load_bf16(const uint16_t *p) { return bf16_to_f32(*p); }
static inline vec v_load_i8(const int8_t *p) { return (float)*p; }
typedef int64_t i32vec;
typedef struct {
    int16_t first, second;
} i16vec;
static inline i32vec i32_zero(void) { return 0; }
static inline i16vec i16_load(const int16_t *p) { return (i16vec){p[0], p[1]}; }
static inline i16vec i16_load_i8(const int8_t *p) { return (i16vec){p[0], p[1]}; }
static inline i32vec i16_dot(i16vec a, i16vec b, i32vec c) { return c + a.first * b.first + a.second * b.second; }
static inline vec i32_to_f32(i32vec a) { return (float)a; }
static inline int int4_table(void) { return 0; }
static inline void int4_decode(const uint8_t *p, int table, i16vec out[16]) {
    (void)table;
    for (int i = 0; i < 8; i++) {
        out[i] = (i16vec){INT4_LEVELS[p[2 * i] & 15], INT4_LEVELS[p[2 * i + 1] & 15]};
        out[i + 8] = (i16vec){INT4_LEVELS[p[2 * i] >> 4], INT4_LEVELS[p[2 * i + 1] >> 4]};
    }
}
#endif

/* exp(x) = 2^n (1 + y), to 2 units in the last place: n, and y by a polynomial on [-ln 2 / 2, ln 2 / 2] (the Cephes library's).
 * NaN stays NaN by the order of the arguments of v_min and v_max. */
static inline vec v_exp_parts(vec x, vec *n) {
    x = v_min(v_set(88.3f), v_max(v_set(-87.3f), x));
    *n = v_round(v_mul(x, v_set(1.44269504088896341f)));
    x = v_fma(*n, v_set(-0.693359375f), x);
    x = v_fma(*n, v_set(2.12194440e-4f), x);
    vec y = v_set(1.9875691500e-4f);
    y = v_fma(y, x, v_set(1.3981999507e-3f));
    y = v_fma(y, x, v_set(8.3334519073e-3f));
    y = v_fma(y, x, v_set(4.1665795894e-2f));
    y = v_fma(y, x, v_set(1.6666665459e-1f));
    y = v_fma(y, x, v_set(5.0000001201e-1f));
    return v_fma(v_mul(x, x), y, x);
}

static inline vec v_exp(vec x) {
    vec n, y = v_exp_parts(x, &n);
    return v_mul(v_add(y, v_set(1.0f)), v_exp2_int(n));
}

/* exp(x) - 1, as accurate near 0 as elsewhere. */
static inline vec v_expm1(vec x) {
    vec n, y = v_exp_parts(x, &n);
    const vec power = v_exp2_int(n);
    return v_fma(y, power, v_sub(power, v_set(1.0f)));
}

#endif
