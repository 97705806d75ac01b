/* Weights in float32, float16 and bfloat16 on AMX: three bytes each, as activations, and yet as exact as float32. Weights of
 * 4 bits with their scale: two bytes.
 *
 * The largest number of a run fixes the step, a power of two, so that the others become whole numbers of up to 23 bits and a
 * sign: three signed bytes. Of the nine products of two such numbers' bytes all but the smallest are computed (Ootomo, Ozaki
 * and Yokota 2024: "DGEMM on integer matrix multiplication unit"); without the two that come next, results would be three to
 * six times farther from the exact ones than float32's. Tiles multiply bytes twice as fast as bfloat16 numbers, of which
 * float32 would need six products.
 *
 * The bytes of 64 columns lie in an order of their own, the same for weights and activations.
 */
#include "amx.h"

enum { MAX_BYTES = 3, RUN = 8, RUN_OF_TWO = 16 }; /* steps of a run: its activations lie in the first cache */
#define FIXED static inline __attribute__((always_inline))

/* Which of 16 numbers there are, of some that are left. */
FIXED __mmask16 there(int left) { return left >= 16 ? 0xffff : left > 0 ? (__mmask16)((1u << left) - 1) : 0; }

/* The factor that makes whole numbers of some, and what a step is worth, times 2^16: NaN where one of them is not finite. Both are
 * powers of two, made from their exponents. */
FIXED float fixed_factor(const float *x, int count, float *worth) {
    enum { LEAST = 22, FACTOR = 127 + 127 + 22, WORTH = 22 - 16 }; /* the largest becomes 2^22 and more, below 127.5 x 2^16 */
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    __m512i most = _mm512_setzero_si512();
    for (int i = 0; i < count; i += 16) {
        const __m512i bits = _mm512_castps_si512(_mm512_maskz_loadu_ps(there(count - i), x + i));
        most = _mm512_max_epu32(most, _mm512_and_si512(bits, magnitude));
    }
    const uint32_t largest = _mm512_reduce_max_epu32(most), passes = 0x10101; /* what takes 127.5 / 128 to the next power */
    uint32_t exponent = (largest + passes) >> 23;
    if (exponent < LEAST) exponent = LEAST;
    const uint32_t factor = (FACTOR - exponent) << 23, inverse = largest < 0x7f800000 ? (exponent - WORTH) << 23 : 0x7fc00000;
    float out;
    memcpy(&out, &factor, sizeof out);
    memcpy(worth, &inverse, sizeof inverse);
    return out;
}

/* 64 numbers, of which some are left, times a factor: their three bytes, highest first. */
FIXED void split(const float *x, int left, float factor, __m512i out[MAX_BYTES]) {
    const __m512i carry = _mm512_set1_epi32(0x8080); /* makes the two lower bytes signed */
    const __m512i apart = _mm512_set4_epi32(0x0f0b0703, 0x0e0a0602, 0x0d090501, 0x0c080400); /* four of each byte, lowest first */
    __m512i x4[4];
    for (int i = 0; i < 4; i++) {
        const __m512 value = _mm512_mul_ps(_mm512_maskz_loadu_ps(there(left - 16 * i), x + 16 * i), _mm512_set1_ps(factor));
        const __m512i bytes = _mm512_xor_si512(_mm512_add_epi32(_mm512_cvtps_epi32(value), carry), carry);
        x4[i] = _mm512_shuffle_epi8(bytes, apart);
    }
    const __m512i a = _mm512_unpacklo_epi32(x4[0], x4[1]), b = _mm512_unpacklo_epi32(x4[2], x4[3]);
    out[0] = _mm512_unpacklo_epi64(_mm512_unpackhi_epi32(x4[0], x4[1]), _mm512_unpackhi_epi32(x4[2], x4[3]));
    out[1] = _mm512_unpackhi_epi64(a, b);
    out[2] = _mm512_unpacklo_epi64(a, b);
}

/* One row, of weights or activations, in scale_groups of so many columns: the higher bytes of each 64 of them, `byte` apart, the next 64
 * `step` apart, and what scale_groups are worth, `apart`. */
FIXED void fix(const float *x, int columns, const int run, const int bytes, int8_t *to, size_t byte, size_t step, float *worth,
               int apart) {
    const int length = run * TILE_COLUMNS;
    for (int from = 0; from < columns; from += length, worth += apart) {
        const int end = columns - from < length ? columns : from + length;
        const float factor = fixed_factor(x + from, end - from, worth);
        for (int k = from; k < end; k += TILE_COLUMNS, to += step) {
            __m512i parts[MAX_BYTES];
            split(x + k, end - k, factor, parts);
            for (int part = 0; part < bytes; part++) _mm512_store_si512(to + part * byte, parts[part]);
        }
    }
}

static void activation(const worker *me, const float *x, int columns, int8_t *to, float *worth) {
    (void)me;
    fix(x, columns, RUN, 3, to, TILE_COLUMNS, 3 * TILE_COLUMNS, worth, TILE_ROWS);
}

static void activation_of_two(const worker *me, const float *x, int columns, int8_t *to, float *worth) {
    (void)me;
    fix(x, columns, RUN_OF_TWO, 2, to, TILE_COLUMNS, 2 * TILE_COLUMNS, worth, TILE_ROWS);
}

static const float *row_of(const worker *me, const matrix *w, int row, float *line) {
    if (w->kind == FLOAT32) return (const float *)w->data + (size_t)row * w->columns;
    me->k->row(w, row, 0, w->columns, line);
    return line;
}

static void weights(const worker *me, const matrix *w, int row, float *line, int8_t *to, size_t apart, float *worth) {
    fix(row_of(me, w, row, line), w->columns, RUN, 3, to, TILE_BYTES, apart, worth, BAND);
}

static void weights_of_two(const worker *me, const matrix *w, int row, float *line, int8_t *to, size_t apart, float *worth) {
    fix(row_of(me, w, row, line), w->columns, RUN_OF_TWO, 2, to, TILE_BYTES, apart, worth, BAND);
}

/* Tiles 0 to 3 are sums, of products worth 1, 2^-8, 2^-16 and 2^-24; 4 to 6 the activations' bytes, 7 one of the weights'. Going on
 * with a tile that the product before wrote is cheaper than another one. */
FIXED void product_tile(const int8_t *w, const int8_t *x, int steps, const int bytes, const float *worth, const float *rows,
                        int add, float *sums, prefetch_lines then) {
    _Alignas(64) int32_t whole[4][TILE_SUMS];
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int step = 0; step < steps; step++, w += SIDE * bytes * TILE_BYTES, x += bytes * TILE_BYTES) {
        ask(then.place + step * then.lines * 64, then.lines);
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
    _tile_stored(0, whole[0], TILE_COLUMNS);
    _tile_stored(1, whole[1], TILE_COLUMNS);
    _tile_stored(2, whole[2], TILE_COLUMNS);
    if (bytes == 3) _tile_stored(3, whole[3], TILE_COLUMNS);
    const __m512 one = _mm512_loadu_ps(worth), less = _mm512_set1_ps(1.0f / 256);
    for (int i = 0; i < TILE_ROWS; i++, sums += TILE_ROWS) {
        __m512 value = _mm512_cvtepi32_ps(_mm512_load_si512(whole[bytes] + i * TILE_ROWS));
        for (int part = bytes - 1; part >= 0; part--)
            value = _mm512_fmadd_ps(value, less, _mm512_cvtepi32_ps(_mm512_load_si512(whole[part] + i * TILE_ROWS)));
        value = _mm512_mul_ps(_mm512_mul_ps(value, one), _mm512_set1_ps(rows[i]));
        _mm512_storeu_ps(sums, add ? _mm512_add_ps(_mm512_loadu_ps(sums), value) : value);
    }
}

#define PRODUCT(name, bytes)                                                                                                \
    static void name(const int8_t *w, const int8_t *x, int steps, const float *worth, const float *rows, int add, float *sums, \
                     prefetch_lines then) {                                                                                   \
        for (int tile = 0; tile < SIDE; tile++, then.place += steps * then.lines * 64)                                      \
            product_tile(w + tile * bytes * TILE_BYTES, x, steps, bytes, worth, rows + tile * TILE_ROWS, add, sums + tile * TILE_SUMS, then); \
    }
PRODUCT(product, 3)
PRODUCT(product_of_two, 2)

const int_gemm_format format_fixed3 = {RUN, 3, 3, SIDE, activation, weights, product};
const int_gemm_format format_fixed2 = {RUN_OF_TWO, 2, 2, SIDE, activation_of_two, weights_of_two, product_of_two};
