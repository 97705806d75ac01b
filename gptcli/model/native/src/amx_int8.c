/* INT8 weights on AMX: a byte for each weight, two for each activation. Shapes: see int_gemm_format in amx.h.
 *
 * Activations are quantized to 16 bits as for gemv (see ACT_GROUP): 256 times a signed byte plus an unsigned one. So each product
 * needs two products of bytes; the sums of a scale group are exact.
 */
#include "amx.h"

enum { GROUP_STEPS = ACT_GROUP / TILE_COLUMNS };

static void pack_activation(const worker *me, const float *x, int columns, int8_t *to, float *scale) {
    float group_scale[1];
    int16_t q[ACT_GROUP];
    for (int from = 0; from < columns; from += ACT_GROUP, x += ACT_GROUP, scale += TILE_ROWS) {
        const int count = columns - from < ACT_GROUP ? columns - from : ACT_GROUP;
        me->k->quantize_activations(x, count, q, group_scale);
        *scale = *group_scale;
        for (int k = 0; k < count; k += TILE_COLUMNS, to += 2 * TILE_COLUMNS) {
            const __m512i a = _mm512_loadu_si512(q + k), b = _mm512_loadu_si512(q + k + TILE_COLUMNS / 2);
            const __m256i high[] = {_mm512_cvtepi16_epi8(_mm512_srai_epi16(a, 8)), _mm512_cvtepi16_epi8(_mm512_srai_epi16(b, 8))};
            const __m256i low[] = {_mm512_cvtepi16_epi8(a), _mm512_cvtepi16_epi8(b)};
            memcpy(to, high, sizeof high);
            memcpy(to + TILE_COLUMNS, low, sizeof low);
        }
    }
}

/* The scales of the rows are applied at the end (see panel_to_rows). */
static void pack_weight_row(const worker *me, const matrix *w, int row, float *line, int8_t *to, size_t step_stride,
                            float *scale) {
    (void)me, (void)line, (void)scale;
    const int8_t *from = (const int8_t *)w->data + (size_t)row * w->row_bytes;
    for (int k = 0; k < w->columns; k += TILE_COLUMNS, to += step_stride) {
        const int left = w->columns - k;
        const __mmask64 mask = left >= TILE_COLUMNS ? ~(__mmask64)0 : ((__mmask64)1 << left) - 1;
        _mm512_store_si512(to, _mm512_maskz_loadu_epi8(mask, from + k));
    }
}

static void microkernel(const int8_t *w, const int8_t *x, int steps, const float *scale, const float *row_scales, int add,
                        float *sums, prefetch_lines next) {
    (void)row_scales;
    _Alignas(64)
        int32_t products[2 * PANEL_TILES][TILE_SUMS]; /* for each tile of weights: with the high bytes, with the low bytes */
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int step = 0; step < steps;
         step++, w += PANEL_TILES * TILE_BYTES, x += 2 * TILE_BYTES, next.address += next.lines * 64) {
        prefetch_l2(next.address, next.lines);
        _tile_loadd(4, w, TILE_COLUMNS);
        _tile_loadd(6, x, TILE_COLUMNS);
        _tile_dpbssd(0, 4, 6);
        _tile_loadd(7, x + TILE_BYTES, TILE_COLUMNS);
        _tile_dpbsud(1, 4, 7);
        _tile_loadd(5, w + TILE_BYTES, TILE_COLUMNS);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbsud(3, 5, 7);
    }
    _tile_stored(0, products[0], TILE_COLUMNS);
    _tile_stored(1, products[1], TILE_COLUMNS);
    _tile_stored(2, products[2], TILE_COLUMNS);
    _tile_stored(3, products[3], TILE_COLUMNS);
    const __m512 act_scale = _mm512_loadu_ps(scale), high = _mm512_set1_ps(256.0f);
    for (int tile = 0; tile < PANEL_TILES; tile++)
        for (int i = 0; i < TILE_SUMS; i += TILE_ROWS) {
            const __m512 upper = _mm512_cvtepi32_ps(_mm512_load_si512(products[2 * tile] + i));
            const __m512 lower = _mm512_cvtepi32_ps(_mm512_load_si512(products[2 * tile + 1] + i));
            const __m512 value = _mm512_mul_ps(_mm512_fmadd_ps(upper, high, lower), act_scale);
            float *to = sums + tile * TILE_SUMS + i;
            _mm512_storeu_ps(to, add ? _mm512_add_ps(_mm512_loadu_ps(to), value) : value);
        }
}

const int_gemm_format format_int8 = {
    .group_steps = GROUP_STEPS,
    .weight_bytes = 1,
    .activation_bytes = 2,
    .passes = 1,
    .pack_activation = pack_activation,
    .pack_weight_row = pack_weight_row,
    .microkernel = microkernel,
};
