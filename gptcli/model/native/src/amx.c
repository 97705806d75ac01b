/* Prompts on processors with AMX (Intel, from Sapphire Rapids on): linear layers as products of tiles of bytes, whose sums are
 * exact whole numbers.
 *
 * What is multiplied is a multiple of a step that some columns of a row share (a run), in one to three bytes; the forms say how
 * (amx_int8.c, amx_fixed.c). A tile of weights is 16 rows of 64 columns, one of activations 64 columns of 16 activations, four
 * columns side by side.
 */
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "amx.h"

/* Bands of rows that a thread takes at most, and their rows. */
enum { BANDS = 6, ACROSS = BANDS * BAND };

static const whole_form *const forms[] = {
    [FLOAT32] = &whole_fixed, [FLOAT16] = &whole_fixed, [BFLOAT16] = &whole_fixed,
    [INT8] = &whole_int8,     [INT4] = &whole_fixed_of_two,
};

/* --- rooms ------------------------------------------------------------------------------------------------------------- */

static inline size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* The next place where a vector may lie. */
static void *aligned(void *place) { return (void *)(((uintptr_t)place + 63) & ~(uintptr_t)63); }

/* The steps of 64 columns of a row, and its runs. */
static inline int depths(int columns) { return padded(columns, DEPTH) / DEPTH; }
static inline int runs(const whole_form *form, int columns) { return padded(depths(columns), form->run) / form->run; }
/* An activation's bytes before tiles are made, some apart from a power of two, where their places would collide. */
static inline size_t line_bytes(const whole_form *form, int columns) {
    return (size_t)depths(columns) * form->active_bytes * DEPTH + DEPTH;
}

static size_t packed_of(const whole_form *form, int m, int columns) {
    const size_t blocks = (size_t)padded(m, EDGE) / EDGE, tiles = blocks * depths(columns) * form->active_bytes * TILE;
    return tiles / sizeof(float) + blocks * EDGE * runs(form, columns) + 16;
}

static size_t scratch_of(const whole_form *form, int m, int columns) {
    const size_t bytes = (size_t)ACROSS * depths(columns) * DEPTH * form->weight_bytes, lines = EDGE * line_bytes(form, columns);
    const size_t sums = (size_t)padded(m, EDGE) * ACROSS + (size_t)ACROSS * runs(form, columns) + EDGE * ACROSS;
    const size_t products = (size_t)padded(columns, DEPTH) + sums + bytes / sizeof(float) + 16;
    return larger(products, lines / sizeof(float) + 16);
}

/* Rooms for a matrix of any kind. */
static size_t packed_room(int m, int columns) {
    size_t most = 0;
    for (int kind = FLOAT32; kind <= INT4; kind++) most = larger(most, packed_of(forms[kind], m, columns));
    return most;
}

static size_t scratch_room(int m, int columns) {
    size_t most = 0;
    for (int kind = FLOAT32; kind <= INT4; kind++) most = larger(most, scratch_of(forms[kind], m, columns));
    return most;
}

/* --- packing ----------------------------------------------------------------------------------------------------------- */

/* Turn 16 x 16 numbers of 32 bits. */
static void turn(__m512i x[EDGE]) {
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

/* Activations as tiles, [m / EDGE][step][byte], and what one is worth in each run, [m / EDGE][run][EDGE]. */
static void pack_some(worker *me, const linear *job, const whole_form *form, range now, int8_t *tiles, float *worth) {
    const int columns = job->w->columns, all = depths(columns) * form->active_bytes, parts = runs(form, columns);
    const size_t line = line_bytes(form, columns);
    int8_t *lines = aligned(me->scratch); /* [EDGE][step][byte][64], a line each */
    for (int at = now.first; at < now.last; at++) {
        for (int i = 0; i < EDGE; i++) {
            float *own = worth + (size_t)at * parts * EDGE + i;
            if (at * EDGE + i < job->m) {
                form->activation(me, job->x + (size_t)(at * EDGE + i) * columns, columns, lines + i * line, own);
            } else {
                memset(lines + i * line, 0, line);
                for (int part = 0; part < parts; part++) own[part * EDGE] = 0;
            }
        }
        int8_t *to = tiles + (size_t)at * all * TILE;
        for (int tile = 0; tile < all; tile++, to += TILE) {
            __m512i rows[EDGE];
            for (int i = 0; i < EDGE; i++) rows[i] = _mm512_load_si512(lines + i * line + tile * DEPTH);
            turn(rows);
            for (int i = 0; i < EDGE; i++) _mm512_store_si512(to + i * DEPTH, rows[i]);
        }
    }
}

/* Up to BAND rows of the matrix as tiles, [step][tile][byte], and what they are worth, [run][BAND]; zero where there is nothing. */
static void pack_weights(const worker *me, const matrix *w, const whole_form *form, int first, int count, int8_t *to, float *worth,
                         float *line) {
    const size_t tile = (size_t)form->weight_bytes * TILE;
    for (int i = 0; i < BAND; i++) {
        int8_t *place = to + i / EDGE * tile + (size_t)(i % EDGE) * DEPTH;
        if (i < count) {
            form->weights(me, w, first + i, line, place, SIDE * tile, worth + i);
            continue;
        }
        for (int step = 0; step < depths(w->columns); step++, place += SIDE * tile)
            for (int byte = 0; byte < form->weight_bytes; byte++)
                _mm512_store_si512(place + byte * TILE, _mm512_setzero_si512());
        for (int part = 0; part < runs(form, w->columns); part++) worth[part * BAND + i] = 0;
    }
}

/* --- products ---------------------------------------------------------------------------------------------------------- */

/* Eight full tiles. */
static void configure(void) {
    struct __attribute__((packed)) {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } all = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) all.bytes[tile] = DEPTH, all.rows[tile] = EDGE;
    _tile_loadconfig(&all);
}

/* Sums of a band as the rest wants them: [activation][ACROSS rows]; 8-bit weights get their scale. */
static void put(const matrix *w, int first, int count, const float *sums, float *value) {
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
static void finish_bands(worker *me, const linear *job, int first, int last, const float *sums, size_t band_sums,
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
static int share(int threads, int rows) {
    const int turns = 2 * threads, chunks = (rows + turns * ACROSS - 1) / (turns * ACROSS) * turns;
    return padded((rows + chunks - 1) / chunks, BAND);
}

/* What the activations are worth lies behind their tiles. */
static float *worth_of(const linear *job, const whole_form *form, int8_t *tiles) {
    return (float *)(tiles + (size_t)(padded(job->m, EDGE) / EDGE) * depths(job->w->columns) * form->active_bytes * TILE);
}

static void pack_activations(worker *me, const phase *p, range now, range then) {
    const linear *job = &p->linear;
    const whole_form *form = forms[job->w->kind];
    int8_t *tiles = aligned(job->packed);
    (void)then;
    pack_some(me, job, form, now, tiles, worth_of(job, form, tiles));
}

static void multiply(worker *me, const phase *p, range now, range then_too) {
    const linear *job = &p->linear;
    const matrix *w = job->w;
    const whole_form *form = forms[w->kind];
    const int all = depths(w->columns), blocks = padded(job->m, EDGE) / EDGE, parts = runs(form, w->columns);
    const size_t step_bytes = (size_t)form->active_bytes * TILE, band_step = (size_t)SIDE * form->weight_bytes * TILE;
    const size_t band_sums = (size_t)blocks * SIDE * SQUARE, band_weights = all * band_step;
    int8_t *tiles = aligned(job->packed);
    const float *worth = worth_of(job, form, tiles);
    float *line = me->scratch, *value = line + padded(w->columns, DEPTH), *sums = value + EDGE * ACROSS;
    float *rows = sums + BANDS * band_sums; /* what weights are worth: [band][run][BAND] */
    int8_t *weights = aligned(rows + (size_t)parts * ACROSS);
    const int first = now.first, last = now.last;
    (void)then_too;
    configure();
    const int bands = padded(last - first, BAND) / BAND, asks = bands * form->passes;
    const int lines = (form->active_bytes * EDGE + asks - 1) / asks;
    for (int band = 0; band < bands; band++) {
        const int row = first + band * BAND;
        pack_weights(me, w, form, row, last - row < BAND ? last - row : BAND, weights + band * band_weights,
                     rows + (size_t)band * parts * BAND, line);
    }
    /* The activations of a run lie in the first cache while they meet all bands, whose weights lie in the second. */
    for (int part = 0; part < parts; part++)
        for (int at = 0; at < blocks; at++) {
            const int k = part * form->run, steps = all - k < form->run ? all - k : form->run;
            const int8_t *x = tiles + ((size_t)at * all + k) * step_bytes;
            const int8_t *then = at + 1 < blocks ? x + all * step_bytes : tiles + (k + form->run) * step_bytes;
            for (int band = 0; band < bands; band++)
                form->product(weights + band * band_weights + k * band_step, x, steps,
                              worth + ((size_t)at * parts + part) * EDGE, rows + ((size_t)band * parts + part) * BAND,
                              part > 0, sums + band * band_sums + (size_t)at * SIDE * SQUARE,
                              (onward_tiles){then + (size_t)band * form->passes * steps * lines * 64, lines});
        }
    finish_bands(me, job, first, last, sums, band_sums, value);
    _tile_release();
}

static void together(schedule *all, const linear *job) {
    add_phase(all, pack_activations, padded(job->m, EDGE) / EDGE, 1, 0)->linear = *job;
    add_phase(all, multiply, job->w->rows, share(all->threads, job->w->rows), 0)->linear = *job;
}

/* --- whether it is there ----------------------------------------------------------------------------------------------- */

/* The processor has AMX for bytes, the system keeps its registers, and lets this process use them. */
static int allowed(void) {
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 24 & 1) || !(d >> 25 & 1)) return 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    enum { ASK = 0x1023, TILE_DATA = 18 }; /* arch_prctl: ARCH_REQ_XCOMP_PERM */
    return (low >> 17 & 3) == 3 && syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
}

const kernels *kernels_amx(void) {
    static int known = -1;
    static kernels with;
    const int few[] = {24, 24, 24, MOST, 20}; /* measured on GPT-2 small */
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
