/* Prompts on processors with AMX (Intel, from Sapphire Rapids on): linear layers as products of tiles, in bfloat16 and yet as
 * exact as float32.
 *
 * A float32 is the sum of three bfloat16 numbers of 8 significant bits each. Of the nine products of two such sums the six
 * that are not below float32's own rounding are computed; a float16 is the sum of two, which makes five. Weights of 4 bits are
 * sums of two with their scale, and meet activations of two, so they take three (Henry, Tang and Heinecke 2019: "Leveraging the
 * bfloat16 artificial intelligence datatype for higher-precision computations"). Weights of 8 bits have amx_int8.c.
 *
 * A tile of weights is 16 rows of 32 columns, one of activations 32 columns of 16 activations, a pair of columns side by side;
 * their product is 16 rows of 16 activations.
 */
#include <cpuid.h>
#include <immintrin.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "amx.h"

enum { DEPTH = 32, TILE = EDGE * DEPTH, PARTS = 3 }; /* columns of a tile, and its numbers */
/* A prompt's activations lie in the third cache. Some steps of BAND of them are brought into the first, as many as half fill
 * it, and meet BANDS bands of rows there, whose weights lie in the second. */
enum { RUN_PARTS = 24 };
typedef uint16_t brain;

/* --- splitting, turning ------------------------------------------------------------------------------------------------ */

/* A vector of 16 numbers as bfloat16 numbers that add up to it. */
static inline void split(__m512 x, int parts, __m256i out[PARTS]) {
    for (int part = 0; part < parts; part++) {
        out[part] = (__m256i)_mm512_cvtneps_pbh(x);
        x = _mm512_sub_ps(x, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(out[part]), 16)));
    }
}

/* --- packing ----------------------------------------------------------------------------------------------------------- */

static inline int parts_of(int kind) { return kind == FLOAT32 ? 3 : kind == FLOAT16 || kind == INT4 ? 2 : 1; }
static inline int active_parts_of(int kind) { return kind == INT4 ? 2 : PARTS; }
static int steps(int columns) { return padded(columns, DEPTH) / DEPTH; }

static size_t packed_room(int m, int columns) { return (size_t)padded(m, EDGE) / EDGE * steps(columns) * PARTS * TILE / 2; }

static size_t scratch_room(int m, int columns) {
    const size_t weights = (size_t)SIDE * steps(columns) * PARTS * TILE / 2, sums = (size_t)padded(m, BAND) * BAND;
    return BANDS * (weights + sums) + (size_t)padded(columns, DEPTH) + EDGE * ACROSS + 16;
}

/* Activations as tiles: [m / EDGE][step][part]. */
static void pack_activations(worker *me, const linear *job) {
    const int columns = job->w->columns, all = steps(columns), parts = active_parts_of(job->w->kind);
    tickets *counter = me->phase++;
    for (int at, end; take(counter, padded(job->m, EDGE) / EDGE, 1, &at, &end);)
        for (int step = 0; step < all; step++) {
            __m512i pairs[PARTS][EDGE];
            const int k = step * DEPTH, left = columns - k;
            for (int i = 0; i < EDGE; i++) {
                const int m = at * EDGE + i, count = m < job->m ? left : 0;
                const float *x = job->x + (size_t)(count ? m : 0) * columns + k;
                const __mmask16 first = count >= 16 ? 0xffff : (__mmask16)((1u << count) - 1);
                const __mmask16 second = count >= 32 ? 0xffff : count > 16 ? (__mmask16)((1u << (count - 16)) - 1) : 0;
                __m256i low[PARTS], high[PARTS];
                split(_mm512_maskz_loadu_ps(first, x), parts, low);
                split(_mm512_maskz_loadu_ps(second, x + 16), parts, high);
                for (int part = 0; part < parts; part++)
                    pairs[part][i] = _mm512_inserti64x4(_mm512_castsi256_si512(low[part]), high[part], 1);
            }
            brain *to = (brain *)job->packed + ((size_t)at * all + step) * parts * TILE;
            for (int part = 0; part < parts; part++) {
                turn(pairs[part]);
                for (int i = 0; i < EDGE; i++) _mm512_storeu_si512(to + part * TILE + i * DEPTH, pairs[part][i]);
            }
        }
}

/* EDGE rows of float32 numbers as tiles: [step][part], SIDE of them apart. A tile is written from its beginning to its end, and
 * each row has lines asked for that are read some steps later, or EDGE rows further on. */
static void pack_rows(const float *rows, int all, brain *to) {
    enum { EARLY_STEPS = 8 };
    const size_t columns = (size_t)all * DEPTH;
    for (int step = 0; step < all; step++, to += PARTS * SIDE * TILE) {
        const int then = step + EARLY_STEPS;
        const float *coming = rows + (then < all ? (size_t)then : EDGE * (size_t)all + then - all) * DEPTH;
        for (int i = 0; i < EDGE; i++) {
            const float *x = rows + i * columns + step * DEPTH;
            __m256i low[PARTS], high[PARTS];
            ask(coming + i * columns, 2);
            split(_mm512_loadu_ps(x), PARTS, low);
            split(_mm512_loadu_ps(x + 16), PARTS, high);
            for (int part = 0; part < PARTS; part++)
                _mm512_store_si512(to + (size_t)part * SIDE * TILE + i * DEPTH,
                                   _mm512_inserti64x4(_mm512_castsi256_si512(low[part]), high[part], 1));
        }
    }
}

/* Up to BAND rows of the matrix as tiles: [step][part][tile of EDGE rows]. */
static void pack_weights(const worker *me, const matrix *w, int first, int count, brain *to, float *line) {
    const int columns = w->columns, all = steps(columns), parts = parts_of(w->kind);
    if (w->kind == FLOAT32 && columns % DEPTH == 0 && count == BAND) {
        for (int tile = 0; tile < SIDE; tile++)
            pack_rows((const float *)w->data + ((size_t)first + tile * EDGE) * columns, all, to + tile * TILE);
        return;
    }
    memset(line + columns, 0, (size_t)(all * DEPTH - columns) * sizeof *line);
    for (int i = 0; i < BAND; i++) {
        brain *place = to + (size_t)(i / EDGE) * TILE + (size_t)(i % EDGE) * DEPTH;
        if (i >= count) {
            for (int step = 0; step < all; step++)
                for (int part = 0; part < parts; part++) memset(place + ((size_t)step * parts + part) * SIDE * TILE, 0, 64);
            continue;
        }
        me->k->row(w, first + i, 0, columns, line);
        for (int step = 0; step < all; step++)
            for (int half = 0; half < 2; half++) {
                __m256i out[PARTS];
                split(_mm512_loadu_ps(line + step * DEPTH + half * 16), parts, out);
                for (int part = 0; part < parts; part++)
                    _mm256_storeu_si256((__m256i *)(place + ((size_t)step * parts + part) * SIDE * TILE + half * 16), out[part]);
            }
    }
}

/* --- products ---------------------------------------------------------------------------------------------------------- */

/* Tiles 0 to 3 are the sums [rows][activations], 4 and 5 weights, 6 and 7 activations. */
#define WEIGHTS(part)                                                       \
    _tile_loadd(4, w + ((size_t)step * parts + part) * SIDE * TILE, 64);   \
    _tile_loadd(5, w + ((size_t)step * parts + part) * SIDE * TILE + TILE, 64)
#define ACTIVE(part)                                                        \
    _tile_loadd(6, x + ((size_t)step * actives + part) * TILE, 64);        \
    if (pair) _tile_loadd(7, x + next + ((size_t)step * actives + part) * TILE, 64)
#define MULTIPLY()                                                          \
    _tile_dpbf16ps(0, 4, 6);                                               \
    _tile_dpbf16ps(1, 5, 6);                                               \
    if (pair) {                                                             \
        _tile_dpbf16ps(2, 4, 7);                                           \
        _tile_dpbf16ps(3, 5, 7);                                           \
    }

/* Add steps first..last of two tiles of rows times one or two of activations, `next` apart, to sums [activations][rows][EDGE]
 * [EDGE], and ask for what is `coming`. The small products of a step come first. */
static inline __attribute__((always_inline)) void product(const brain *w, const brain *x, size_t next, int first, int last,
                                                          const int kind, const int pair, float *sums,
                                                          const brain *coming, int lines) {
    const int parts = parts_of(kind), actives = active_parts_of(kind);
    if (first == 0) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, sums, 64);
        _tile_loadd(1, sums + SQUARE, 64);
        if (pair) _tile_loadd(2, sums + 2 * SQUARE, 64);
        if (pair) _tile_loadd(3, sums + 3 * SQUARE, 64);
    }
    for (int step = first; step < last; step++, coming += actives * lines * 32) {
        ask(coming, actives * lines);
        WEIGHTS(0);
        if (actives > 2) {
            ACTIVE(2);
            MULTIPLY();
        }
        ACTIVE(1);
        MULTIPLY();
        if (parts > 1) { WEIGHTS(1); }
        if (parts > 1 && actives > 2) { MULTIPLY(); }
        ACTIVE(0);
        if (parts > 1) { MULTIPLY(); }
        if (parts > 2) {
            WEIGHTS(2);
            MULTIPLY();
        }
        if (parts > 1) { WEIGHTS(0); }
        MULTIPLY();
    }
    _tile_stored(0, sums, 64);
    _tile_stored(1, sums + SQUARE, 64);
    if (pair) _tile_stored(2, sums + 2 * SQUARE, 64);
    if (pair) _tile_stored(3, sums + 3 * SQUARE, 64);
}

static void product_of(int kind, int pair, const brain *w, const brain *x, size_t next, int first, int last, float *sums,
                       const brain *coming, int lines) {
#define CASE(kind)                                                          \
    case kind:                                                              \
        if (pair) product(w, x, next, first, last, kind, 1, sums, coming, lines); \
        else product(w, x, next, first, last, kind, 0, sums, coming, lines);      \
        break
    switch (kind) {
        CASE(FLOAT32);
        CASE(FLOAT16);
        CASE(BFLOAT16);
        CASE(INT4);
    }
#undef CASE
}

static void together(worker *me, const linear *job) {
    const matrix *w = job->w;
    if (w->kind == INT8) {
        together_int8(me, job);
        return;
    }
    const int parts = parts_of(w->kind), actives = active_parts_of(w->kind), run = RUN_PARTS / (parts + actives);
    const int all = steps(w->columns), blocks = padded(job->m, EDGE) / EDGE;
    const size_t depth = (size_t)actives * TILE, next = all * depth, band_sums = (size_t)padded(job->m, BAND) * BAND;
    const size_t band_weights = (size_t)all * parts * SIDE * TILE;
    float *line = me->scratch, *value = line + padded(w->columns, DEPTH), *sums = value + EDGE * ACROSS;
    brain *weights = aligned(sums + BANDS * band_sums);
    pack_activations(me, job);
    meet();
    tickets *counter = me->phase++;
    configure();
    for (int first, last; take(counter, w->rows, share(me, w->rows), &first, &last);) {
        const int bands = padded(last - first, BAND) / BAND, lines = lines_of(bands);
        for (int band = 0; band < bands; band++) {
            const int row = first + band * BAND;
            pack_weights(me, w, row, last - row < BAND ? last - row : BAND, weights + band * band_weights, line);
        }
        for (int step = 0; step < all; step += run)
            for (int at = 0; at < blocks; at += SIDE) {
                const brain *packed = (const brain *)job->packed, *x = packed + at * next;
                const brain *then = at + SIDE < blocks ? x + SIDE * next + step * depth : packed + (step + run) * depth;
                for (int band = 0; band < bands; band++) {
                    const brain *rows = weights + band * band_weights;
                    const brain *coming = then + band % SIDE * next + band / SIDE * (run * actives * lines * 32);
                    float *own = sums + band * band_sums + (size_t)at * EDGE * BAND;
                    product_of(w->kind, at + 1 < blocks, rows, x, next, step, all - step < run ? all : step + run, own, coming,
                               lines);
                }
            }
        finish_bands(me, job, first, last, sums, band_sums, value);
    }
    _tile_release();
}

/* --- whether it is there ----------------------------------------------------------------------------------------------- */

/* The processor has AMX and bfloat16, the system keeps its registers, and lets this process use them. */
static int allowed(void) {
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 22 & 1) || !(d >> 24 & 1) || !(d >> 25 & 1)) return 0;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a >> 5 & 1)) return 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    enum { ASK = 0x1023, TILE_DATA = 18 }; /* arch_prctl: ARCH_REQ_XCOMP_PERM */
    return (low >> 17 & 3) == 3 && syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
}

const kernels *kernels_amx(void) {
    static int known = -1;
    static kernels with;
    const int few[] = {24, 24, 24, MOST, 40}; /* measured on GPT-2 small */
    if (known < 0) {
#ifdef GPTCLI_VNNI
        with = kernels_avx512_vnni; /* every processor with AMX has it */
#else
        with = kernels_avx512;
#endif
        with.name = "avx512 and amx";
        with.together = together;
        with.together_packed = packed_room;
        with.together_scratch = scratch_room;
        memcpy(with.few, few, sizeof few);
        known = allowed();
    }
    return known ? &with : NULL;
}
