/* gemm for prompts on processors with AMX (Intel, from Sapphire Rapids on): linear layers as products of tiles of bytes with
 * exact integer sums.
 *
 * Shapes (see `linear` in native.h): w [rows, columns] of any kind, x [m, columns], y [m, stride].
 *
 * Weights and activations are integers of one to three bytes, times a scale for each group of columns of a row. Their format
 * depends on the kind of weights: see int_gemm_format in amx.h, amx_int8.c and amx_fixed.c.
 */
#include <cpuid.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "amx.h"

/* The most panels of weights in a chunk, and their rows. */
enum { PANELS = 6, CHUNK_ROWS = PANELS * PANEL_ROWS };

static const int_gemm_format *const formats[] = {
    [FLOAT32] = &format_fixed3, [FLOAT16] = &format_fixed3, [BFLOAT16] = &format_fixed3,
    [INT8] = &format_int8,      [INT4] = &format_fixed2,
};

/* --- sizes ------------------------------------------------------------------------------------------------------------- */

static inline size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* The next address that is aligned for vectors. */
static void *aligned(void *address) { return (void *)(((uintptr_t)address + 63) & ~(uintptr_t)63); }

/* The numbers of steps (64 columns) and of scale groups in a row. */
static inline int k_steps(int columns) { return round_up(columns, TILE_COLUMNS) / TILE_COLUMNS; }
static inline int scale_groups(const int_gemm_format *format, int columns) {
    return round_up(k_steps(columns), format->group_steps) / format->group_steps;
}
/* The stride in bytes of activations before they are packed into tiles: no power of two, as that causes cache conflicts. */
static inline size_t line_bytes(const int_gemm_format *format, int columns) {
    return (size_t)k_steps(columns) * format->activation_bytes * TILE_COLUMNS + TILE_COLUMNS;
}

static size_t packed_floats_of(const int_gemm_format *format, int m, int columns) {
    const size_t blocks = (size_t)round_up(m, TILE_ROWS) / TILE_ROWS;
    const size_t tiles = blocks * k_steps(columns) * format->activation_bytes * TILE_BYTES;
    return tiles / sizeof(float) + blocks * TILE_ROWS * scale_groups(format, columns) + 16;
}

static size_t scratch_floats_of(const int_gemm_format *format, int m, int columns) {
    const size_t bytes = (size_t)CHUNK_ROWS * k_steps(columns) * TILE_COLUMNS * format->weight_bytes;
    const size_t lines = TILE_ROWS * line_bytes(format, columns);
    const size_t scales = (size_t)CHUNK_ROWS * scale_groups(format, columns);
    const size_t sums = (size_t)round_up(m, TILE_ROWS) * CHUNK_ROWS + scales + TILE_ROWS * CHUNK_ROWS;
    const size_t products = (size_t)round_up(columns, TILE_COLUMNS) + sums + bytes / sizeof(float) + 16;
    return larger(products, lines / sizeof(float) + 16);
}

/* Upper bounds of the sizes over all kinds of matrices. */
static size_t amx_packed_floats(int m, int columns) {
    size_t most = 0;
    for (int kind = FLOAT32; kind <= INT4; kind++) most = larger(most, packed_floats_of(formats[kind], m, columns));
    return most;
}

static size_t amx_scratch_floats(int m, int columns) {
    size_t most = 0;
    for (int kind = FLOAT32; kind <= INT4; kind++) most = larger(most, scratch_floats_of(formats[kind], m, columns));
    return most;
}

/* --- packing ----------------------------------------------------------------------------------------------------------- */

/* Transpose 16 x 16 numbers of 32 bits. */
static void transpose_16x16(__m512i x[TILE_ROWS]) {
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

/* Pack activations as tiles, [m / 16][step][byte], and their scales, [m / 16][group][16]; padded with zeros. */
static void pack_tiles(worker *me, const linear *job, const int_gemm_format *format, range now, int8_t *tiles, float *scale) {
    const int columns = job->w->columns, all = k_steps(columns) * format->activation_bytes,
              groups = scale_groups(format, columns);
    const size_t line = line_bytes(format, columns);
    int8_t *lines = aligned(me->scratch); /* [TILE_ROWS][line] of [step][byte][64] */
    for (int at = now.first; at < now.last; at++) {
        for (int i = 0; i < TILE_ROWS; i++) {
            float *own = scale + (size_t)at * groups * TILE_ROWS + i;
            if (at * TILE_ROWS + i < job->m) {
                format->pack_activation(me, job->x + (size_t)(at * TILE_ROWS + i) * columns, columns, lines + i * line, own);
            } else {
                memset(lines + i * line, 0, line);
                for (int group = 0; group < groups; group++) own[group * TILE_ROWS] = 0;
            }
        }
        int8_t *to = tiles + (size_t)at * all * TILE_BYTES;
        for (int tile = 0; tile < all; tile++, to += TILE_BYTES) {
            __m512i rows[TILE_ROWS];
            for (int i = 0; i < TILE_ROWS; i++) rows[i] = _mm512_load_si512(lines + i * line + tile * TILE_COLUMNS);
            transpose_16x16(rows);
            for (int i = 0; i < TILE_ROWS; i++) _mm512_store_si512(to + i * TILE_COLUMNS, rows[i]);
        }
    }
}

/* Pack a panel: `count` rows of the matrix as tiles, [step][tile][byte], and their scales, [group][PANEL_ROWS]; padded with
 * zeros. */
static void pack_weights(const worker *me, const matrix *w, const int_gemm_format *format, int first, int count, int8_t *to,
                         float *scale, float *line) {
    const size_t tile = (size_t)format->weight_bytes * TILE_BYTES;
    for (int i = 0; i < PANEL_ROWS; i++) {
        int8_t *row = to + i / TILE_ROWS * tile + (size_t)(i % TILE_ROWS) * TILE_COLUMNS;
        if (i < count) {
            format->pack_weight_row(me, w, first + i, line, row, PANEL_TILES * tile, scale + i);
            continue;
        }
        for (int step = 0; step < k_steps(w->columns); step++, row += PANEL_TILES * tile)
            for (int byte = 0; byte < format->weight_bytes; byte++)
                _mm512_store_si512(row + byte * TILE_BYTES, _mm512_setzero_si512());
        for (int group = 0; group < scale_groups(format, w->columns); group++) scale[group * PANEL_ROWS + i] = 0;
    }
}

/* --- products ---------------------------------------------------------------------------------------------------------- */

/* Configure eight full tiles. */
static void configure(void) {
    struct __attribute__((packed)) {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } all = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) all.bytes[tile] = TILE_COLUMNS, all.rows[tile] = TILE_ROWS;
    _tile_loadconfig(&all);
}

/* Transpose the sums of a panel to rows [activation][CHUNK_ROWS], and apply the scales of INT8 weights. */
static void panel_to_rows(const matrix *w, int first, int count, const float *sums, float *value) {
    for (int tile = 0; tile < PANEL_TILES; tile++) {
        __m512i rows[TILE_ROWS];
        for (int i = 0; i < TILE_ROWS; i++) {
            const int row = tile * TILE_ROWS + i;
            __m512 read = _mm512_loadu_ps(sums + (size_t)tile * TILE_SUMS + i * TILE_ROWS);
            if (w->kind == INT8) read = _mm512_mul_ps(read, _mm512_set1_ps(row < count ? w->scale[first + row] : 0.0f));
            rows[i] = _mm512_castps_si512(read);
        }
        transpose_16x16(rows);
        for (int i = 0; i < TILE_ROWS; i++) _mm512_storeu_si512(value + i * CHUNK_ROWS + tile * TILE_ROWS, rows[i]);
    }
}

/* The epilogue of rows first..last. Sums are [panel][m / 16][tile][16 rows][16 activations], with panels panel_sums apart. All
 * rows of an activation are written at once, as the next activation is far away in y. `value`: scratch for TILE_ROWS x
 * CHUNK_ROWS. */
static void epilogue_panels(worker *me, const linear *job, int first, int last, const float *sums, size_t panel_sums,
                            float *value) {
    for (int m = 0; m < job->m; m += TILE_ROWS, sums += TILE_ROWS * PANEL_ROWS) {
        for (int done = 0; first + done < last; done += PANEL_ROWS)
            panel_to_rows(job->w, first + done, last - first - done, sums + done / PANEL_ROWS * panel_sums, value + done);
        linear part = *job;
        part.m = job->m - m < TILE_ROWS ? job->m - m : TILE_ROWS;
        part.y += (size_t)m * job->stride;
        linear_epilogue(me, &part, value, CHUNK_ROWS, first, last);
    }
}

/* Rows in a chunk, at most CHUNK_ROWS: about two equal chunks a thread, as some threads may be slower for a while. */
static int chunk_rows(int threads, int rows) {
    const int turns = 2 * threads, chunks = (rows + turns * CHUNK_ROWS - 1) / (turns * CHUNK_ROWS) * turns;
    return round_up((rows + chunks - 1) / chunks, PANEL_ROWS);
}

/* The scales of the activations follow their tiles. */
static float *scales_of(const linear *job, const int_gemm_format *format, int8_t *tiles) {
    const size_t blocks = (size_t)round_up(job->m, TILE_ROWS) / TILE_ROWS;
    return (float *)(tiles + blocks * k_steps(job->w->columns) * format->activation_bytes * TILE_BYTES);
}

static void pack_activations(worker *me, const phase *p, range now, range next) {
    const linear *job = &p->linear;
    const int_gemm_format *format = formats[job->w->kind];
    int8_t *tiles = aligned(job->packed);
    (void)next;
    pack_tiles(me, job, format, now, tiles, scales_of(job, format, tiles));
}

static void multiply(worker *me, const phase *p, range now, range next_chunk) {
    const linear *job = &p->linear;
    const matrix *w = job->w;
    const int_gemm_format *format = formats[w->kind];
    const int all = k_steps(w->columns), blocks = round_up(job->m, TILE_ROWS) / TILE_ROWS,
              groups = scale_groups(format, w->columns);
    const size_t step_bytes = (size_t)format->activation_bytes * TILE_BYTES;
    const size_t panel_step = (size_t)PANEL_TILES * format->weight_bytes * TILE_BYTES;
    const size_t panel_sums = (size_t)blocks * PANEL_TILES * TILE_SUMS, panel_weights = all * panel_step;
    int8_t *tiles = aligned(job->packed);
    const float *scale = scales_of(job, format, tiles);
    float *line = me->scratch, *value = line + round_up(w->columns, TILE_COLUMNS), *sums = value + TILE_ROWS * CHUNK_ROWS;
    float *row_scales = sums + PANELS * panel_sums; /* [panel][group][PANEL_ROWS] */
    int8_t *weights = aligned(row_scales + (size_t)groups * CHUNK_ROWS);
    const int first = now.first, last = now.last;
    (void)next_chunk;
    configure();
    const int panels = round_up(last - first, PANEL_ROWS) / PANEL_ROWS, calls = panels * format->passes;
    const int lines = (format->activation_bytes * TILE_ROWS + calls - 1) / calls;
    for (int panel = 0; panel < panels; panel++) {
        const int row = first + panel * PANEL_ROWS;
        pack_weights(me, w, format, row, last - row < PANEL_ROWS ? last - row : PANEL_ROWS, weights + panel * panel_weights,
                     row_scales + (size_t)panel * groups * PANEL_ROWS, line);
    }
    /* The activations of a scale group stay in L1 while they are multiplied with all panels, whose weights stay in L2. */
    for (int group = 0; group < groups; group++)
        for (int at = 0; at < blocks; at++) {
            const int k = group * format->group_steps, steps = all - k < format->group_steps ? all - k : format->group_steps;
            const int8_t *x = tiles + ((size_t)at * all + k) * step_bytes;
            const int8_t *next = at + 1 < blocks ? x + all * step_bytes : tiles + (k + format->group_steps) * step_bytes;
            for (int panel = 0; panel < panels; panel++)
                format->microkernel(weights + panel * panel_weights + k * panel_step, x, steps,
                                    scale + ((size_t)at * groups + group) * TILE_ROWS,
                                    row_scales + ((size_t)panel * groups + group) * PANEL_ROWS, group > 0,
                                    sums + panel * panel_sums + (size_t)at * PANEL_TILES * TILE_SUMS,
                                    (prefetch_lines){next + (size_t)panel * format->passes * steps * lines * 64, lines});
        }
    epilogue_panels(me, job, first, last, sums, panel_sums, value);
    _tile_release();
}

static void gemm_amx(schedule *all, const linear *job) {
    add_phase(all, pack_activations, round_up(job->m, TILE_ROWS) / TILE_ROWS, 1, 0)->linear = *job;
    add_phase(all, multiply, job->w->rows, chunk_rows(all->threads, job->w->rows), 0)->linear = *job;
}

/* --- detection ---------------------------------------------------------------------------------------------------------- */

/* Whether the processor has AMX-INT8, the system saves its registers, and this process may use them. */
static int amx_allowed(void) {
#ifdef GPTCLI_AMX_EMULATED
    return 1; /* tests/native/amx_emulation.h */
#else
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 24 & 1) || !(d >> 25 & 1)) return 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    enum { ASK = 0x1023, TILE_DATA = 18 }; /* arch_prctl: ARCH_REQ_XCOMP_PERM */
    return (low >> 17 & 3) == 3 && syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
#endif
}

static kernels amx;
static int found;

static void set_up(void) {
    const int gemv_limit[] = {
        [FLOAT32] = 24, [FLOAT16] = 24, [BFLOAT16] = 24, [INT8] = GEMV_MAX, [INT4] = 20}; /* on GPT-2 small */
#ifdef GPTCLI_VNNI
    amx = kernels_avx512_vnni; /* every processor with AMX has it */
#else
    amx = kernels_avx512;
#endif
    amx.name = "avx512 and amx";
    amx.gemm = gemm_amx;
    amx.gemm_packed_floats = amx_packed_floats;
    amx.gemm_scratch_floats = amx_scratch_floats;
    memcpy(amx.gemv_limit, gemv_limit, sizeof gemv_limit);
    found = amx_allowed();
}

const kernels *kernels_amx(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up);
    return found ? &amx : NULL;
}
