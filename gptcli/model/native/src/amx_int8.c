/* 8-bit weights on AMX: a byte each, and activations in two.
 *
 * Activations are those of a step, in 16 bits (see ACT_GROUP): 256 times a signed byte and an unsigned one, so that two products of
 * bytes make one, and their sums are exact up to the end of a span.
 */
#include "amx.h"

enum { RUN = ACT_GROUP / TILE_COLUMNS };

static void activation(const worker *me, const float *x, int columns, int8_t *to, float *worth) {
    float step[1];
    int16_t whole[ACT_GROUP];
    for (int from = 0; from < columns; from += ACT_GROUP, x += ACT_GROUP, worth += TILE_ROWS) {
        const int count = columns - from < ACT_GROUP ? columns - from : ACT_GROUP;
        me->k->quantize_activations(x, count, whole, step);
        *worth = *step;
        for (int k = 0; k < count; k += TILE_COLUMNS, to += 2 * TILE_COLUMNS) {
            const __m512i a = _mm512_loadu_si512(whole + k), b = _mm512_loadu_si512(whole + k + TILE_COLUMNS / 2);
            const __m256i high[] = {_mm512_cvtepi16_epi8(_mm512_srai_epi16(a, 8)), _mm512_cvtepi16_epi8(_mm512_srai_epi16(b, 8))};
            const __m256i low[] = {_mm512_cvtepi16_epi8(a), _mm512_cvtepi16_epi8(b)};
            memcpy(to, high, sizeof high);
            memcpy(to + TILE_COLUMNS, low, sizeof low);
        }
    }
}

/* Their scales come in at the end (see put). */
static void weights(const worker *me, const matrix *w, int row, float *line, int8_t *to, size_t apart, float *worth) {
    (void)me, (void)line, (void)worth;
    const int8_t *from = (const int8_t *)w->data + (size_t)row * w->row_bytes;
    for (int k = 0; k < w->columns; k += TILE_COLUMNS, to += apart) {
        const int left = w->columns - k;
        const __mmask64 there = left >= TILE_COLUMNS ? ~(__mmask64)0 : ((__mmask64)1 << left) - 1;
        _mm512_store_si512(to, _mm512_maskz_loadu_epi8(there, from + k));
    }
}

static void product(const int8_t *w, const int8_t *x, int steps, const float *worth, const float *rows, int add, float *sums,
                    prefetch_lines then) {
    (void)rows;
    _Alignas(64) int32_t whole[2 * SIDE][TILE_SUMS]; /* of each tile of rows with the high bytes, and with the low ones */
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int step = 0; step < steps; step++, w += SIDE * TILE_BYTES, x += 2 * TILE_BYTES, then.place += then.lines * 64) {
        ask(then.place, then.lines);
        _tile_loadd(4, w, TILE_COLUMNS);
        _tile_loadd(6, x, TILE_COLUMNS);
        _tile_dpbssd(0, 4, 6);
        _tile_loadd(7, x + TILE_BYTES, TILE_COLUMNS);
        _tile_dpbsud(1, 4, 7);
        _tile_loadd(5, w + TILE_BYTES, TILE_COLUMNS);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbsud(3, 5, 7);
    }
    _tile_stored(0, whole[0], TILE_COLUMNS);
    _tile_stored(1, whole[1], TILE_COLUMNS);
    _tile_stored(2, whole[2], TILE_COLUMNS);
    _tile_stored(3, whole[3], TILE_COLUMNS);
    const __m512 one = _mm512_loadu_ps(worth), high = _mm512_set1_ps(256.0f);
    for (int tile = 0; tile < SIDE; tile++)
        for (int i = 0; i < TILE_SUMS; i += TILE_ROWS) {
            const __m512 upper = _mm512_cvtepi32_ps(_mm512_load_si512(whole[2 * tile] + i));
            const __m512 lower = _mm512_cvtepi32_ps(_mm512_load_si512(whole[2 * tile + 1] + i));
            const __m512 value = _mm512_mul_ps(_mm512_fmadd_ps(upper, high, lower), one);
            float *to = sums + tile * TILE_SUMS + i;
            _mm512_storeu_ps(to, add ? _mm512_add_ps(_mm512_loadu_ps(to), value) : value);
        }
}

const int_gemm_format format_int8 = {RUN, 1, 2, 1, activation, weights, product};
