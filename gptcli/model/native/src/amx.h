/* Shared by the AMX files: the shape of a tile, and the integer formats.
 *
 * Shapes: a tile of weights is 16 rows of 64 columns (bytes); a tile of activations is 64 columns of 16 activations, stored as
 * [column / 4][activation][4]; a tile of sums is 16 rows x 16 activations of int32. A panel is two tiles of weights: 32 rows. A
 * step is 64 columns; a scale group is `group_steps` steps, whose numbers share a scale and whose sums stay integers.
 */
#ifndef GPTCLI_AMX_H
#define GPTCLI_AMX_H

#include <immintrin.h>
#include <string.h>

#include "native.h"

enum { TILE_ROWS = 16, TILE_COLUMNS = 64, TILE_BYTES = TILE_ROWS * TILE_COLUMNS, TILE_SUMS = TILE_ROWS * TILE_ROWS };
enum { PANEL_TILES = 2, PANEL_ROWS = PANEL_TILES * TILE_ROWS };

/* Prefetch cache lines into L2. A prompt's activations are in L3. Each block of them is prefetched while the previous one is
 * multiplied: every microkernel call prefetches a part, a few lines in each step. */
static inline void prefetch_l2(const void *address, int lines) {
    for (int line = 0; line < lines; line++) _mm_prefetch((const char *)address + 64 * line, _MM_HINT_T1);
}

/* The next activations, and how many lines of them a microkernel prefetches in each step. */
typedef struct {
    const int8_t *address;
    int lines;
} prefetch_lines;

/* An integer format: how weights and activations are packed as bytes and multiplied. */
typedef struct {
    int group_steps;                    /* steps of a scale group */
    int weight_bytes, activation_bytes; /* bytes of one number */
    int passes;                         /* passes of the microkernel over the steps */
    /* x [columns] -> to [step][byte][64]; its scale in each group, TILE_ROWS floats apart. */
    void (*pack_activation)(const worker *me, const float *x, int columns, int8_t *to, float *scale);
    /* One row of w -> its row of the tiles, to [step][byte], with bytes TILE_BYTES and steps step_stride apart; its scale in each
     * group, PANEL_ROWS floats apart. `line`: scratch for a row in float32. */
    void (*pack_weight_row)(const worker *me, const matrix *w, int row, float *line, int8_t *to, size_t step_stride,
                            float *scale);
    /* One scale group of a panel of weights times a tile of activations: sums [tile][row][activation], stored or added. `scale`
     * of the activations [16], row_scales [PANEL_ROWS]. */
    void (*microkernel)(const int8_t *w, const int8_t *x, int steps, const float *scale, const float *row_scales, int add,
                        float *sums, prefetch_lines next);
} int_gemm_format;

extern const int_gemm_format format_int8, format_fixed3, format_fixed2;

#endif
