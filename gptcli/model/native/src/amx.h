/* What amx.c and amx_int8.c share: the shape of a tile, and what happens to the sums. */
#ifndef GPTCLI_AMX_H
#define GPTCLI_AMX_H

#include <immintrin.h>
#include <string.h>

#include "native.h"

/* Rows of a tile; tiles of weights at once; the sums of one; rows of weights at once, bands of them that a thread takes at most,
 * and all their rows. */
enum { EDGE = 16, SIDE = 2, SQUARE = EDGE * EDGE, BAND = SIDE * EDGE, BANDS = 6, ACROSS = BANDS * BAND };

/* Turn 16 x 16 numbers of 32 bits. */
static inline void turn(__m512i x[EDGE]) {
    __m512i y[EDGE];
    for (int i = 0; i < EDGE; i += 2) {
        y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
    for (int i = 0; i < EDGE; i += 4)
        for (int j = 0; j < 2; j++) {
            x[i + 2 * j] = _mm512_unpacklo_epi64(y[i + j], y[i + j + 2]);
            x[i + 2 * j + 1] = _mm512_unpackhi_epi64(y[i + j], y[i + j + 2]);
        }
    /* x[4 i + j] has, in its four quarters, column j of each quarter for rows 4 i .. 4 i + 3 */
    for (int j = 0; j < 4; j++) {
        const __m512i a = _mm512_shuffle_i32x4(x[j], x[4 + j], 0x88), b = _mm512_shuffle_i32x4(x[j], x[4 + j], 0xdd);
        const __m512i c = _mm512_shuffle_i32x4(x[8 + j], x[12 + j], 0x88), d = _mm512_shuffle_i32x4(x[8 + j], x[12 + j], 0xdd);
        y[j] = _mm512_shuffle_i32x4(a, c, 0x88);
        y[8 + j] = _mm512_shuffle_i32x4(a, c, 0xdd);
        y[4 + j] = _mm512_shuffle_i32x4(b, d, 0x88);
        y[12 + j] = _mm512_shuffle_i32x4(b, d, 0xdd);
    }
    memcpy(x, y, sizeof y);
}

/* Eight full tiles. */
static inline void configure(void) {
    struct __attribute__((packed)) {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } all = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) all.bytes[tile] = 64, all.rows[tile] = EDGE;
    _tile_loadconfig(&all);
}

/* Sums of a band as the rest wants them: [activation][ACROSS rows]; 8-bit weights get their scale. */
static inline void put(const matrix *w, int first, int count, const float *sums, float *value) {
    for (int tile = 0; tile < SIDE; tile++) {
        __m512i rows[EDGE];
        for (int i = 0; i < EDGE; i++) {
            const int row = tile * EDGE + i;
            __m512 read = _mm512_loadu_ps(sums + (size_t)tile * SQUARE + i * EDGE);
            if (w->kind == INT8) read = _mm512_mul_ps(read, _mm512_set1_ps(row < count ? w->scale[first + row] : 0.0f));
            rows[i] = _mm512_castps_si512(read);
        }
        turn(rows);
        for (int i = 0; i < EDGE; i++) _mm512_storeu_si512(value + i * ACROSS + tile * EDGE, rows[i]);
    }
}

/* Bands of rows first..last are done, and their sums [band][m / EDGE][tile][EDGE rows][EDGE activations], bands band_sums apart, go
 * where they belong: all of an activation's at once, as its next band lies far from its last in y. `value` is room for EDGE x
 * ACROSS. */
static inline void finish_bands(worker *me, const linear *job, int first, int last, const float *sums, size_t band_sums,
                                float *value) {
    for (int m = 0; m < job->m; m += EDGE, sums += EDGE * BAND) {
        for (int done = 0; first + done < last; done += BAND)
            put(job->w, first + done, last - first - done, sums + done / BAND * band_sums, value + done);
        linear part = *job;
        part.m = job->m - m < EDGE ? job->m - m : EDGE;
        part.y += (size_t)m * job->stride;
        finish_part(me, &part, value, ACROSS, first, last);
    }
}

/* The rows that a thread takes at once: as many for everyone, who may be slower for a while, and no more than ACROSS. */
static inline int share(const worker *me, int rows) {
    const int turns = 2 * me->threads, chunks = (rows + turns * ACROSS - 1) / (turns * ACROSS) * turns;
    return padded((rows + chunks - 1) / chunks, BAND);
}

/* Bring some lines into the second cache. A prompt's activations lie in the third, and each block of them is asked for while the
 * one before is multiplied: every band asks for a part, and every step of it for some `lines` of each kilobyte. */
static inline int lines_of(int bands) { return (SIDE * 16 + bands - 1) / bands; }
static inline void ask(const void *place, int lines) {
    for (int line = 0; line < lines; line++) _mm_prefetch((const char *)place + 64 * line, _MM_HINT_T1);
}

/* The next place where a vector may lie. */
static inline void *aligned(void *place) { return (void *)(((uintptr_t)place + 63) & ~(uintptr_t)63); }

/* amx_int8.c: a prompt's product with 8-bit weights; needs no more room than the others. */
void together_int8(worker *me, const linear *job);

#endif
