/* What the files for AMX share: the shape of a tile, and how bytes are multiplied. */
#ifndef GPTCLI_AMX_H
#define GPTCLI_AMX_H

#include <immintrin.h>
#include <string.h>

#include "native.h"

/* Rows of a tile, its columns, and its bytes; tiles of weights at once, their rows; and the sums of one. */
enum { TILE_ROWS = 16, TILE_COLUMNS = 64, TILE_BYTES = TILE_ROWS * TILE_COLUMNS, SIDE = 2, BAND = SIDE * TILE_ROWS, TILE_SUMS = TILE_ROWS * TILE_ROWS };

/* Bring some lines into the second cache. A prompt's activations lie in the third, and each block of them is asked for while the
 * one before is multiplied: every product asks for a part, and every step of it for some lines. */
static inline void ask(const void *place, int lines) {
    for (int line = 0; line < lines; line++) _mm_prefetch((const char *)place + 64 * line, _MM_HINT_T1);
}

/* Where the activations lie that come next: a product asks for so many lines of them in each step. */
typedef struct {
    const int8_t *place;
    int lines;
} prefetch_lines;

/* How weights and activations are multiplied. */
typedef struct {
    int run;                        /* steps of 64 columns over which sums stay whole numbers */
    int weight_bytes, activation_bytes; /* of one number */
    int passes;                     /* how often a product goes through the steps */
    /* One activation as bytes [step][byte][64], and what it is worth in each run, TILE_ROWS apart. */
    void (*activation)(const worker *me, const float *x, int columns, int8_t *to, float *worth);
    /* One row of weights as bytes [step][byte], TILE_BYTES apart and steps `apart`; what it is worth in each run, BAND apart. `line`
     * is room for a row. */
    void (*weights)(const worker *me, const matrix *w, int row, float *line, int8_t *to, size_t apart, float *worth);
    /* One run of two tiles of rows times one of activations, stored in or added to sums [tile][TILE_ROWS rows][TILE_ROWS activations];
     * `worth` of the activations, `rows` of the rows. */
    void (*product)(const int8_t *w, const int8_t *x, int steps, const float *worth, const float *rows, int add, float *sums,
                    prefetch_lines then);
} int_gemm_format;

extern const int_gemm_format format_int8, format_fixed3, format_fixed2;

#endif
