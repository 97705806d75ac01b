/* Fixed-point formats on AMX. Float32, float16 and bfloat16 weights: three bytes for each weight and activation, as accurate as
 * float32. INT4 weights with their scale: two bytes. Shapes: see int_gemm_format in amx.h.
 *
 * The scale of a group is a power of two that makes its largest number, and so all of them, integers of up to 23 bits and a sign:
 * three signed bytes. Of the nine products of two numbers' bytes, all but the smallest are computed (Ootomo, Ozaki and Yokota
 * 2024: "DGEMM on integer matrix multiplication unit"). Without the next two, the error would be three to six times that of
 * float32. Tiles multiply bytes twice as fast as bfloat16 numbers, and float32 would need six products of these.
 *
 * The bytes of 64 columns are permuted, in the same way for weights and activations.
 */
#include "amx.h"

enum { MAX_BYTES = 3 };
enum { GROUP3_STEPS = 8, GROUP2_STEPS = 16 }; /* steps of a scale group with 3 and 2 bytes: its activations fit into L1 */
#define INLINE static inline __attribute__((always_inline))

/* A mask of the first `left` of 16 lanes. */
INLINE __mmask16 lane_mask(int left) { return left >= 16 ? 0xffff : left > 0 ? (__mmask16)((1u << left) - 1) : 0; }

/* The factor that makes `count` numbers integers. `scale` becomes its inverse times 2^16, or NaN where a number is not finite.
 * Both are powers of two, computed from exponents. */
INLINE float quantization_factor(const float *x, int count, float *scale) {
    enum { LEAST = 22, FACTOR = 127 + 127 + 22, SCALE = 22 - 16 }; /* the largest becomes at least 2^22, below 127.5 x 2^16 */
    const __m512i no_sign = _mm512_set1_epi32(0x7fffffff);
    __m512i magnitudes = _mm512_setzero_si512();
    for (int i = 0; i < count; i += 16) {
        const __m512i bits = _mm512_castps_si512(_mm512_maskz_loadu_ps(lane_mask(count - i), x + i));
        magnitudes = _mm512_max_epu32(magnitudes, _mm512_and_si512(bits, no_sign));
    }
    const uint32_t rounding = 0x10101; /* carries 127.5 / 128 into the next power of two */
    const uint32_t largest = _mm512_reduce_max_epu32(magnitudes);
    uint32_t exponent = (largest + rounding) >> 23;
    if (exponent < LEAST) exponent = LEAST;
    const uint32_t factor = (FACTOR - exponent) << 23, inverse = largest < 0x7f800000 ? (exponent - SCALE) << 23 : 0x7fc00000;
    float out;
    memcpy(&out, &factor, sizeof out);
    memcpy(scale, &inverse, sizeof inverse);
    return out;
}

/* Convert the first `left` of 64 numbers, times a factor, to three bytes each: out [byte][64], highest byte first. */
INLINE void split_bytes(const float *x, int left, float factor, __m512i out[MAX_BYTES]) {
    const __m512i carry = _mm512_set1_epi32(0x8080); /* makes the two lower bytes signed */
    const __m512i by_byte = _mm512_set4_epi32(0x0f0b0703, 0x0e0a0602, 0x0d090501,
                                              0x0c080400); /* four of each byte, lowest first */
    __m512i x4[4];
    for (int i = 0; i < 4; i++) {
        const __m512 value = _mm512_mul_ps(_mm512_maskz_loadu_ps(lane_mask(left - 16 * i), x + 16 * i), _mm512_set1_ps(factor));
        const __m512i bytes = _mm512_xor_si512(_mm512_add_epi32(_mm512_cvtps_epi32(value), carry), carry);
        x4[i] = _mm512_shuffle_epi8(bytes, by_byte);
    }
    const __m512i a = _mm512_unpacklo_epi32(x4[0], x4[1]), b = _mm512_unpacklo_epi32(x4[2], x4[3]);
    out[0] = _mm512_unpacklo_epi64(_mm512_unpackhi_epi32(x4[0], x4[1]), _mm512_unpackhi_epi32(x4[2], x4[3]));
    out[1] = _mm512_unpackhi_epi64(a, b);
    out[2] = _mm512_unpacklo_epi64(a, b);
}

/* Convert a row of weights or activations, x [columns]: the higher `bytes` bytes of each number to [step][byte][64], with bytes
 * byte_stride and steps step_stride apart, and the scales of its groups, scale_stride apart. */
INLINE void quantize_fixed(const float *x, int columns, const int group_steps, const int bytes, int8_t *to, size_t byte_stride,
                           size_t step_stride, float *scale, int scale_stride) {
    const int length = group_steps * TILE_COLUMNS;
    for (int from = 0; from < columns; from += length, scale += scale_stride) {
        const int end = columns - from < length ? columns : from + length;
        const float factor = quantization_factor(x + from, end - from, scale);
        for (int k = from; k < end; k += TILE_COLUMNS, to += step_stride) {
            __m512i split[MAX_BYTES];
            split_bytes(x + k, end - k, factor, split);
            for (int part = 0; part < bytes; part++) _mm512_store_si512(to + part * byte_stride, split[part]);
        }
    }
}

static void pack_activation3(const worker *me, const float *x, int columns, int8_t *to, float *scale) {
    (void)me;
    quantize_fixed(x, columns, GROUP3_STEPS, 3, to, TILE_COLUMNS, 3 * TILE_COLUMNS, scale, TILE_ROWS);
}

static void pack_activation2(const worker *me, const float *x, int columns, int8_t *to, float *scale) {
    (void)me;
    quantize_fixed(x, columns, GROUP2_STEPS, 2, to, TILE_COLUMNS, 2 * TILE_COLUMNS, scale, TILE_ROWS);
}

static const float *float_row(const worker *me, const matrix *w, int row, float *line) {
    if (w->kind == FLOAT32) return (const float *)w->data + (size_t)row * w->columns;
    me->k->dequantize_row(w, row, 0, w->columns, line);
    return line;
}

static void pack_weight_row3(const worker *me, const matrix *w, int row, float *line, int8_t *to, size_t step_stride,
                             float *scale) {
    quantize_fixed(float_row(me, w, row, line), w->columns, GROUP3_STEPS, 3, to, TILE_BYTES, step_stride, scale, PANEL_ROWS);
}

static void pack_weight_row2(const worker *me, const matrix *w, int row, float *line, int8_t *to, size_t step_stride,
                             float *scale) {
    quantize_fixed(float_row(me, w, row, line), w->columns, GROUP2_STEPS, 2, to, TILE_BYTES, step_stride, scale, PANEL_ROWS);
}

/* One tile of weights. Tiles 0 to 3 hold the sums of products with weight 1, 2^-8, 2^-16 and 2^-24; tiles 4 to 6 the activations'
 * bytes, tile 7 one byte of the weights. Adding to the tile that the last instruction wrote is cheaper than to another one. */
INLINE void fixed_microkernel(const int8_t *w, const int8_t *x, int steps, const int bytes, const float *scale,
                              const float *row_scales, int add, float *sums, prefetch_lines next) {
    _Alignas(64) int32_t products[4][TILE_SUMS];
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int step = 0; step < steps; step++, w += PANEL_TILES * bytes * TILE_BYTES, x += bytes * TILE_BYTES) {
        prefetch_l2(next.address + step * next.lines * 64, next.lines);
        _tile_loadd(4, x, TILE_COLUMNS);
        _tile_loadd(7, w, TILE_COLUMNS);
        _tile_dpbssd(0, 7, 4);
        _tile_loadd(5, x + TILE_BYTES, TILE_COLUMNS);
        _tile_dpbssd(1, 7, 5);
        if (bytes == 3) {
            _tile_loadd(6, x + 2 * TILE_BYTES, TILE_COLUMNS);
            _tile_dpbssd(2, 7, 6);
        }
        _tile_loadd(7, w + TILE_BYTES, TILE_COLUMNS);
        _tile_dpbssd(2, 7, 5);
        _tile_dpbssd(1, 7, 4);
        if (bytes == 3) {
            _tile_dpbssd(3, 7, 6);
            _tile_loadd(7, w + 2 * TILE_BYTES, TILE_COLUMNS);
            _tile_dpbssd(3, 7, 5);
            _tile_dpbssd(2, 7, 4);
        }
    }
    _tile_stored(0, products[0], TILE_COLUMNS);
    _tile_stored(1, products[1], TILE_COLUMNS);
    _tile_stored(2, products[2], TILE_COLUMNS);
    if (bytes == 3) _tile_stored(3, products[3], TILE_COLUMNS);
    const __m512 act_scale = _mm512_loadu_ps(scale), byte = _mm512_set1_ps(1.0f / 256);
    for (int i = 0; i < TILE_ROWS; i++, sums += TILE_ROWS) {
        __m512 value = _mm512_cvtepi32_ps(_mm512_load_si512(products[bytes] + i * TILE_ROWS));
        for (int part = bytes - 1; part >= 0; part--)
            value = _mm512_fmadd_ps(value, byte, _mm512_cvtepi32_ps(_mm512_load_si512(products[part] + i * TILE_ROWS)));
        value = _mm512_mul_ps(_mm512_mul_ps(value, act_scale), _mm512_set1_ps(row_scales[i]));
        _mm512_storeu_ps(sums, add ? _mm512_add_ps(_mm512_loadu_ps(sums), value) : value);
    }
}

/* A panel of weights. */
#define MICROKERNEL(name, bytes) \
    static void name(const int8_t *w, const int8_t *x, int steps, const float *scale, const float *row_scales, int add, \
                     float *sums, prefetch_lines next) { \
        for (int tile = 0; tile < PANEL_TILES; tile++, next.address += steps * next.lines * 64) \
            fixed_microkernel(w + tile * bytes * TILE_BYTES, x, steps, bytes, scale, row_scales + tile * TILE_ROWS, add, \
                              sums + tile * TILE_SUMS, next); \
    }
MICROKERNEL(microkernel3, 3)
MICROKERNEL(microkernel2, 2)

const int_gemm_format format_fixed3 = {
    .group_steps = GROUP3_STEPS,
    .weight_bytes = 3,
    .activation_bytes = 3,
    .passes = PANEL_TILES,
    .pack_activation = pack_activation3,
    .pack_weight_row = pack_weight_row3,
    .microkernel = microkernel3,
};
const int_gemm_format format_fixed2 = {
    .group_steps = GROUP2_STEPS,
    .weight_bytes = 2,
    .activation_bytes = 2,
    .passes = PANEL_TILES,
    .pack_activation = pack_activation2,
    .pack_weight_row = pack_weight_row2,
    .microkernel = microkernel2,
};
