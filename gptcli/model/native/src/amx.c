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
enum { PANELS = 6, ACROSS = PANELS * BAND };

static const int_gemm_format *const forms[] = {
    [FLOAT32] = &format_fixed3, [FLOAT16] = &format_fixed3, [BFLOAT16] = &format_fixed3,
    [INT8] = &format_int8,     [INT4] = &format_fixed2,
};

/* --- rooms ------------------------------------------------------------------------------------------------------------- */

static inline size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* The next place where a vector may lie. */
static void *aligned(void *place) { return (void *)(((uintptr_t)place + 63) & ~(uintptr_t)63); }

/* The steps of 64 columns of a row, and its scale_groups. */
static inline int k_steps(int columns) { return round_up(columns, TILE_COLUMNS) / TILE_COLUMNS; }
static inline int scale_groups(const int_gemm_format *form, int columns) { return round_up(k_steps(columns), form->run) / form->run; }
/* An activation's bytes before tiles are made, some apart from a power of two, where their places would collide. */
static inline size_t line_bytes(const int_gemm_format *form, int columns) {
    return (size_t)k_steps(columns) * form->activation_bytes * TILE_COLUMNS + TILE_COLUMNS;
}

static size_t packed_floats_of(const int_gemm_format *form, int m, int columns) {
    const size_t blocks = (size_t)round_up(m, TILE_ROWS) / TILE_ROWS, tiles = blocks * k_steps(columns) * form->activation_bytes * TILE_BYTES;
    return tiles / sizeof(float) + blocks * TILE_ROWS * scale_groups(form, columns) + 16;
}

static size_t scratch_floats_of(const int_gemm_format *form, int m, int columns) {
    const size_t bytes = (size_t)ACROSS * k_steps(columns) * TILE_COLUMNS * form->weight_bytes, lines = TILE_ROWS * line_bytes(form, columns);
    const size_t sums = (size_t)round_up(m, TILE_ROWS) * ACROSS + (size_t)ACROSS * scale_groups(form, columns) + TILE_ROWS * ACROSS;
    const size_t products = (size_t)round_up(columns, TILE_COLUMNS) + sums + bytes / sizeof(float) + 16;
    return larger(products, lines / sizeof(float) + 16);
}

/* Rooms for a matrix of any kind. */
static size_t amx_packed_floats(int m, int columns) {
    size_t most = 0;
    for (int kind = FLOAT32; kind <= INT4; kind++) most = larger(most, packed_floats_of(forms[kind], m, columns));
    return most;
}

static size_t amx_scratch_floats(int m, int columns) {
    size_t most = 0;
    for (int kind = FLOAT32; kind <= INT4; kind++) most = larger(most, scratch_floats_of(forms[kind], m, columns));
    return most;
}

/* --- packing ----------------------------------------------------------------------------------------------------------- */

/* Turn 16 x 16 numbers of 32 bits. */
static void turn(__m512i x[TILE_ROWS]) {
    __m512i y[TILE_ROWS];
    for (int i = 0; i < TILE_ROWS; i += 2) {
        y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
    for (int i = 0; i < TILE_ROWS; i += 4)
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

/* Activations as tiles, [m / TILE_ROWS][step][byte], and what one is worth in each run, [m / TILE_ROWS][run][TILE_ROWS]. */
static void pack_activations(worker *me, const linear *job, const int_gemm_format *form, int8_t *tiles, float *worth) {
    const int columns = job->w->columns, all = k_steps(columns) * form->activation_bytes, parts = scale_groups(form, columns);
    const size_t line = line_bytes(form, columns);
    int8_t *lines = aligned(me->scratch); /* [TILE_ROWS][step][byte][64], a line each */
    tickets *counter = me->phase++;
    for (int at, end; take(counter, round_up(job->m, TILE_ROWS) / TILE_ROWS, 1, &at, &end);) {
        for (int i = 0; i < TILE_ROWS; i++) {
            float *own = worth + (size_t)at * parts * TILE_ROWS + i;
            if (at * TILE_ROWS + i < job->m) {
                form->activation(me, job->x + (size_t)(at * TILE_ROWS + i) * columns, columns, lines + i * line, own);
            } else {
                memset(lines + i * line, 0, line);
                for (int part = 0; part < parts; part++) own[part * TILE_ROWS] = 0;
            }
        }
        int8_t *to = tiles + (size_t)at * all * TILE_BYTES;
        for (int tile = 0; tile < all; tile++, to += TILE_BYTES) {
            __m512i rows[TILE_ROWS];
            for (int i = 0; i < TILE_ROWS; i++) rows[i] = _mm512_load_si512(lines + i * line + tile * TILE_COLUMNS);
            turn(rows);
            for (int i = 0; i < TILE_ROWS; i++) _mm512_store_si512(to + i * TILE_COLUMNS, rows[i]);
        }
    }
}

/* Up to BAND rows of the matrix as tiles, [step][tile][byte], and what they are worth, [run][BAND]; zero where there is nothing. */
static void pack_weights(const worker *me, const matrix *w, const int_gemm_format *form, int first, int count, int8_t *to, float *worth,
                         float *line) {
    const size_t tile = (size_t)form->weight_bytes * TILE_BYTES;
    for (int i = 0; i < BAND; i++) {
        int8_t *place = to + i / TILE_ROWS * tile + (size_t)(i % TILE_ROWS) * TILE_COLUMNS;
        if (i < count) {
            form->weights(me, w, first + i, line, place, SIDE * tile, worth + i);
            continue;
        }
        for (int step = 0; step < k_steps(w->columns); step++, place += SIDE * tile)
            for (int byte = 0; byte < form->weight_bytes; byte++)
                _mm512_store_si512(place + byte * TILE_BYTES, _mm512_setzero_si512());
        for (int part = 0; part < scale_groups(form, w->columns); part++) worth[part * BAND + i] = 0;
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
    for (int tile = 0; tile < 8; tile++) all.bytes[tile] = TILE_COLUMNS, all.rows[tile] = TILE_ROWS;
    _tile_loadconfig(&all);
}

/* Sums of a band as the rest wants them: [activation][ACROSS rows]; 8-bit weights get their scale. */
static void put(const matrix *w, int first, int count, const float *sums, float *value) {
    for (int tile = 0; tile < SIDE; tile++) {
        __m512i rows[TILE_ROWS];
        for (int i = 0; i < TILE_ROWS; i++) {
            const int row = tile * TILE_ROWS + i;
            __m512 read = _mm512_loadu_ps(sums + (size_t)tile * TILE_SUMS + i * TILE_ROWS);
            if (w->kind == INT8) read = _mm512_mul_ps(read, _mm512_set1_ps(row < count ? w->scale[first + row] : 0.0f));
            rows[i] = _mm512_castps_si512(read);
        }
        turn(rows);
        for (int i = 0; i < TILE_ROWS; i++) _mm512_storeu_si512(value + i * ACROSS + tile * TILE_ROWS, rows[i]);
    }
}

/* Bands of rows first..last are done, and their sums [band][m / TILE_ROWS][tile][TILE_ROWS rows][TILE_ROWS activations], bands band_sums apart, go
 * where they belong: all of an activation's at once, as its next band lies far from its last in y. `value` is room for TILE_ROWS x
 * ACROSS. */
static void epilogue_panels(worker *me, const linear *job, int first, int last, const float *sums, size_t band_sums,
                         float *value) {
    for (int m = 0; m < job->m; m += TILE_ROWS, sums += TILE_ROWS * BAND) {
        for (int done = 0; first + done < last; done += BAND)
            put(job->w, first + done, last - first - done, sums + done / BAND * band_sums, value + done);
        linear part = *job;
        part.m = job->m - m < TILE_ROWS ? job->m - m : TILE_ROWS;
        part.y += (size_t)m * job->stride;
        linear_epilogue(me, &part, value, ACROSS, first, last);
    }
}

/* The rows that a thread takes at once: as many for everyone, who may be slower for a while, and no more than ACROSS. */
static int share(const worker *me, int rows) {
    const int turns = 2 * me->threads, chunks = (rows + turns * ACROSS - 1) / (turns * ACROSS) * turns;
    return round_up((rows + chunks - 1) / chunks, BAND);
}

static void together(worker *me, const linear *job) {
    const matrix *w = job->w;
    const int_gemm_format *form = forms[w->kind];
    const int all = k_steps(w->columns), blocks = round_up(job->m, TILE_ROWS) / TILE_ROWS, parts = scale_groups(form, w->columns);
    const size_t step_bytes = (size_t)form->activation_bytes * TILE_BYTES, band_step = (size_t)SIDE * form->weight_bytes * TILE_BYTES;
    const size_t band_sums = (size_t)blocks * SIDE * TILE_SUMS, band_weights = all * band_step;
    int8_t *tiles = aligned(job->packed);
    float *worth = (float *)(tiles + (size_t)blocks * all * step_bytes);
    float *line = me->scratch, *value = line + round_up(w->columns, TILE_COLUMNS), *sums = value + TILE_ROWS * ACROSS;
    float *rows = sums + PANELS * band_sums; /* what weights are worth: [band][run][BAND] */
    int8_t *weights = aligned(rows + (size_t)parts * ACROSS);
    pack_activations(me, job, form, tiles, worth);
    meet();
    tickets *counter = me->phase++;
    configure();
    for (int first, last; take(counter, w->rows, share(me, w->rows), &first, &last);) {
        const int bands = round_up(last - first, BAND) / BAND, asks = bands * form->passes;
        const int lines = (form->activation_bytes * TILE_ROWS + asks - 1) / asks;
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
                                  worth + ((size_t)at * parts + part) * TILE_ROWS, rows + ((size_t)band * parts + part) * BAND,
                                  part > 0, sums + band * band_sums + (size_t)at * SIDE * TILE_SUMS,
                                  (prefetch_lines){then + (size_t)band * form->passes * steps * lines * 64, lines});
            }
        epilogue_panels(me, job, first, last, sums, band_sums, value);
    }
    _tile_release();
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
    const int few[] = {24, 24, 24, GEMV_MAX, 20}; /* measured on GPT-2 small */
    if (known < 0) {
#ifdef GPTCLI_VNNI
        with = kernels_avx512_vnni; /* every processor with AMX has it */
#else
        with = kernels_avx512;
#endif
        with.name = "avx512 and amx";
        with.together = together;
        with.gemm_packed_floats = amx_packed_floats;
        with.gemm_scratch_floats = amx_scratch_floats;
        memcpy(with.few, few, sizeof few);
        known = allowed();
    }
    return known ? &with : NULL;
}
