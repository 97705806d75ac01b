/* Prompts on processors with AMX: products with 8-bit weights in whole numbers.
 *
 * Activations are those of a step, in 16 bits (see SPAN): 256 times a signed byte and an unsigned one, so that two products of
 * bytes make one, and their sums are exact up to the end of a span. A tile of weights is 16 rows of 64 columns, one of activations
 * 64 columns of 16 activations, four columns side by side.
 */
#include "amx.h"

enum { DEPTH = 64, TILE = EDGE * DEPTH, RUN = SPAN / DEPTH }; /* columns of a tile, its bytes, and the steps of a span */

/* Activations as tiles, [m / EDGE][step][high, low], and what one is worth in each span, [m / EDGE][span][EDGE]. */
static void pack_activations(worker *me, const linear *job, uint8_t *tiles, float *worth) {
    const int columns = job->w->columns, longer = short_columns(columns), parts = spans(columns);
    const int all = padded(columns, DEPTH) / DEPTH;
    int16_t *whole = (int16_t *)me->scratch; /* [EDGE, longer] */
    float *step = me->scratch + (size_t)EDGE * longer / 2;
    tickets *counter = me->phase++;
    for (int at, end; take(counter, padded(job->m, EDGE) / EDGE, 1, &at, &end);) {
        for (int i = 0; i < EDGE; i++) {
            const int m = at * EDGE + i;
            if (m < job->m) me->k->shorten(job->x + (size_t)m * columns, columns, whole + (size_t)i * longer, step);
            else memset(whole + (size_t)i * longer, 0, (size_t)longer * sizeof *whole);
            for (int part = 0; part < parts; part++)
                worth[((size_t)at * parts + part) * EDGE + i] = m < job->m ? step[part] : 0.0f;
        }
        for (int k = 0; k < all; k++) {
            __m512i high[EDGE], low[EDGE];
            for (int i = 0; i < EDGE; i++) {
                const int16_t *from = whole + (size_t)i * longer + k * DEPTH;
                const __m512i a = _mm512_loadu_si512(from), b = _mm512_loadu_si512(from + DEPTH / 2);
                low[i] = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(a)), _mm512_cvtepi16_epi8(b), 1);
                high[i] = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(_mm512_srai_epi16(a, 8))),
                                             _mm512_cvtepi16_epi8(_mm512_srai_epi16(b, 8)), 1);
            }
            turn(high);
            turn(low);
            uint8_t *to = tiles + ((size_t)at * all + k) * 2 * TILE;
            for (int i = 0; i < EDGE; i++) {
                _mm512_store_si512(to + i * DEPTH, high[i]);
                _mm512_store_si512(to + TILE + i * DEPTH, low[i]);
            }
        }
    }
}

/* Up to BAND rows of the matrix as tiles, [step][tile]; zero where there is nothing. */
static void pack_weights(const matrix *w, int first, int count, int8_t *to) {
    for (int i = 0; i < BAND; i++) {
        const int8_t *from = (const int8_t *)w->data + (size_t)(first + (i < count ? i : 0)) * w->row_bytes;
        int8_t *place = to + (size_t)(i / EDGE) * TILE + (size_t)(i % EDGE) * DEPTH;
        for (int k = 0; k < w->columns; k += DEPTH, place += SIDE * TILE) {
            const int left = i < count ? w->columns - k : 0;
            const __mmask64 there = left >= DEPTH ? ~(__mmask64)0 : ((__mmask64)1 << left) - 1;
            _mm512_store_si512(place, _mm512_maskz_loadu_epi8(there, from + k));
        }
    }
}

/* One span of two tiles of rows times one of activations, stored in or added to sums [tile][EDGE][EDGE]; asks for what is
 * `coming`. */
static void product(const int8_t *w, const uint8_t *x, int steps, const float *worth, int add, float *sums,
                    const uint8_t *coming, int lines) {
    _Alignas(64) int32_t whole[2 * SIDE][SQUARE]; /* of each tile of rows with the high bytes, and with the low ones */
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int step = 0; step < steps; step++, w += SIDE * TILE, x += 2 * TILE, coming += lines * 64) {
        ask(coming, lines);
        _tile_loadd(4, w, DEPTH);
        _tile_loadd(6, x, DEPTH);
        _tile_dpbssd(0, 4, 6);
        _tile_loadd(7, x + TILE, DEPTH);
        _tile_dpbsud(1, 4, 7);
        _tile_loadd(5, w + TILE, DEPTH);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbsud(3, 5, 7);
    }
    _tile_stored(0, whole[0], DEPTH);
    _tile_stored(1, whole[1], DEPTH);
    _tile_stored(2, whole[2], DEPTH);
    _tile_stored(3, whole[3], DEPTH);
    const __m512 one = _mm512_loadu_ps(worth), high = _mm512_set1_ps(256.0f);
    for (int tile = 0; tile < SIDE; tile++)
        for (int i = 0; i < SQUARE; i += EDGE) {
            const __m512 upper = _mm512_cvtepi32_ps(_mm512_load_si512(whole[2 * tile] + i));
            const __m512 lower = _mm512_cvtepi32_ps(_mm512_load_si512(whole[2 * tile + 1] + i));
            const __m512 value = _mm512_mul_ps(_mm512_fmadd_ps(upper, high, lower), one);
            float *to = sums + tile * SQUARE + i;
            _mm512_storeu_ps(to, add ? _mm512_add_ps(_mm512_loadu_ps(to), value) : value);
        }
}

void together_int8(worker *me, const linear *job) {
    const matrix *w = job->w;
    const int all = padded(w->columns, DEPTH) / DEPTH, blocks = padded(job->m, EDGE) / EDGE, parts = spans(w->columns);
    const size_t band_sums = (size_t)blocks * SIDE * SQUARE, band_weights = (size_t)all * SIDE * TILE;
    uint8_t *tiles = aligned(job->packed);
    float *worth = (float *)(tiles + (size_t)blocks * all * 2 * TILE);
    float *value = me->scratch, *sums = value + EDGE * ACROSS;
    int8_t *weights = aligned(sums + BANDS * band_sums);
    pack_activations(me, job, tiles, worth);
    meet();
    tickets *counter = me->phase++;
    configure();
    for (int first, last; take(counter, w->rows, share(me, w->rows), &first, &last);) {
        const int bands = padded(last - first, BAND) / BAND, lines = lines_of(bands);
        for (int band = 0; band < bands; band++) {
            const int row = first + band * BAND;
            pack_weights(w, row, last - row < BAND ? last - row : BAND, weights + band * band_weights);
        }
        /* The activations of a span lie in the first cache while they meet all bands, whose weights lie in the second. */
        for (int part = 0; part < parts; part++)
            for (int at = 0; at < blocks; at++) {
                const int k = part * RUN, steps = all - k < RUN ? all - k : RUN;
                const uint8_t *x = tiles + ((size_t)at * all + k) * 2 * TILE;
                const uint8_t *then = at + 1 < blocks ? x + (size_t)all * 2 * TILE : tiles + (size_t)(k + RUN) * 2 * TILE;
                for (int band = 0; band < bands; band++)
                    product(weights + band * band_weights + (size_t)k * SIDE * TILE, x, steps,
                            worth + ((size_t)at * parts + part) * EDGE, part > 0,
                            sums + band * band_sums + (size_t)at * SIDE * SQUARE, then + band * steps * lines * 64, lines);
            }
        finish_bands(me, job, first, last, sums, band_sums, value);
    }
    _tile_release();
}
