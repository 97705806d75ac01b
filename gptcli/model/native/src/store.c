/* Memory for the engine, and conversion of a checkpoint's numbers to matrices: transposed so that a row holds the weights of one
 * output, and quantized if requested.
 *
 * Shapes: a source is [rows, columns] like its matrix, or [columns, rows] where it is `transposed`.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "native.h"

enum { HUGE_PAGE = 2 << 20 };
static const int NUMBER_BYTES[] = {4, 2, 2, 1}; /* by kind, up to INT8 */

/* Allocate memory in 2 MB pages, if the system provides them: a step reads all weights, and would need a page-table look-up every
 * 4 KB with small pages. The caller frees it with huge_free. */
void *huge_alloc(size_t bytes) {
    size_t whole = (bytes + OVERREAD * sizeof(float) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *data = NULL;
    if (bytes < HUGE_PAGE / 4) return calloc(1, bytes + OVERREAD * sizeof(float));
    if (posix_memalign(&data, HUGE_PAGE, whole)) return NULL;
#ifdef MADV_HUGEPAGE
    madvise(data, whole, MADV_HUGEPAGE);
#endif
    return data;
}

void huge_free(void *data) { free(data); }

enum { CACHE_LINE = 64 }; /* bytes */

/* Memory on huge pages that is freed together. A matrix alone would leave half of its last page empty. */
struct arena {
    struct arena *next;
    char *data;
    size_t used, size;
};
enum { ARENA_BYTES = 1 << 25 };

/* Uninitialized memory that begins at a cache line; OVERREAD floats after it may be read. NULL when there is none. A large piece
 * gets an arena of its own, behind the one that is being filled. */
void *arena_alloc(arena **all, size_t bytes) {
    const size_t needed = (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    arena *current = *all;
    if (!current || current->size - current->used < needed) {
        const int alone = needed > ARENA_BYTES / 4;
        arena *made = malloc(sizeof *made);
        if (!made) return NULL;
        *made = (arena){.size = alone ? needed : ARENA_BYTES};
        made->data = huge_alloc(made->size);
        if (!made->data) {
            free(made);
            return NULL;
        }
        arena **place = alone && current ? &current->next : all;
        made->next = *place, *place = current = made;
    }
    void *found = current->data + current->used;
    current->used += needed;
    return found;
}

void arena_free(arena *all) {
    while (all) {
        arena *next = all->next;
        huge_free(all->data);
        free(all);
        all = next;
    }
}

typedef struct {
    const kernels *k;
    const float *data;
    int mode;
} reading;

static void read_chunk(worker *me, const phase *p, range now, range next) {
    const reading *r = p->other;
    const size_t megabyte = (1 << 20) / sizeof *r->data;
    (void)me, (void)next;
    r->k->sum(r->data + now.first * megabyte, (now.last - now.first) * megabyte, r->mode);
}

double memory_bandwidth(const kernels *k, int megabytes, int times) {
    const size_t bytes = (size_t)megabytes << 20;
    float *data = huge_alloc(bytes);
    double best = 0;
    if (!data) return 0;
    memset(data, 1, bytes);
    for (int i = 0; i < times; i++) {
        reading r = {k, data, i % READ_MODES};
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        run_phase(&(phase){.run = read_chunk, .n = megabytes, .chunk = 1, .guided = 1, .other = &r});
        clock_gettime(CLOCK_MONOTONIC, &end);
        const double seconds = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
        if ((double)bytes / seconds > best) best = (double)bytes / seconds;
    }
    huge_free(data);
    return best;
}

typedef struct {
    const void *source;
    size_t n;
    int kind;
    atomic_int found;
} search;

enum { SEARCH_CHUNK = 1 << 16 }; /* numbers at a time */

/* Infinities and NaN are the numbers whose exponent is all ones. */
static void find_nonfinite(worker *me, const phase *p, range now, range next) {
    search *s = p->other;
    const size_t first = (size_t)now.first * SEARCH_CHUNK, last = first + SEARCH_CHUNK < s->n ? first + SEARCH_CHUNK : s->n;
    uint32_t found = 0;
    (void)me, (void)next;
    if (s->kind == FLOAT32)
        for (size_t i = first; i < last; i++) found |= (((const uint32_t *)s->source)[i] & 0x7f800000u) == 0x7f800000u;
    else {
        const uint16_t mask = s->kind == FLOAT16 ? 0x7c00 : 0x7f80;
        uint16_t any = 0; /* as wide as the numbers, for full-width vectorization */
        for (size_t i = first; i < last; i++) any |= (((const uint16_t *)s->source)[i] & mask) == mask;
        found = any;
    }
    if (found) atomic_store_explicit(&s->found, 1, memory_order_relaxed);
}

int all_finite(const void *source, size_t n, int kind) {
    search s = {.source = source, .n = n, .kind = kind};
    const int chunks = (int)((n + SEARCH_CHUNK - 1) / SEARCH_CHUNK);
    run_phase(&(phase){.run = find_nonfinite, .n = chunks, .chunk = 1, .other = &s});
    return !atomic_load_explicit(&s.found, memory_order_relaxed);
}

typedef struct {
    const kernels *k;
    matrix *w, source; /* the source: [rows, columns] as `w`, or transposed */
    int transposed;
} filling;

/* Transpose columns first..first + count of the source to rows, `stride` bytes apart; reads one cache line of each source row
 * at a time. */
static inline void transpose_sized(const matrix *source, int first, int count, char *to, size_t stride, const int size) {
    const char *from = (const char *)source->data + (size_t)first * size;
    for (int k = 0; k < source->rows; k += CACHE_LINE / size)
        for (int r = 0; r < count; r++)
            for (int i = k; i < k + CACHE_LINE / size && i < source->rows; i++)
                memcpy(to + r * stride + (size_t)i * size, from + i * source->row_bytes + (size_t)r * size, size);
}

static void transpose(const matrix *source, int first, int count, char *to, size_t stride) {
    if (source->kind == FLOAT32) transpose_sized(source, first, count, to, stride, 4);
    else transpose_sized(source, first, count, to, stride, 2);
}

/* Fill rows of a matrix that has the source's kind. */
static void copy_rows(const filling *f, int first, int count) {
    char *to = (char *)f->w->data + first * f->w->row_bytes;
    if (f->transposed) transpose(&f->source, first, count, to, f->w->row_bytes);
    else memcpy(to, (const char *)f->source.data + first * f->w->row_bytes, count * f->w->row_bytes);
}

/* Fill rows of a matrix that has another kind, by way of float32. Scratch: x for one row, `transposed` for `count` source rows. */
static void convert_rows(const filling *f, int first, int count, float *x, char *transposed) {
    matrix rows = f->source;
    if (f->transposed) {
        rows.data = transposed, rows.rows = count, rows.columns = f->w->columns;
        rows.row_bytes = (size_t)f->w->columns * NUMBER_BYTES[f->source.kind];
        transpose(&f->source, first, count, transposed, rows.row_bytes);
    }
    for (int r = 0; r < count; r++) {
        f->k->dequantize_row(&rows, f->transposed ? r : first + r, 0, f->w->columns, x);
        f->k->quantize_row(f->w, first + r, x);
    }
}

static void fill(worker *me, const phase *p, range now, range next) {
    const filling *f = p->other;
    (void)next;
    if (f->source.kind == f->w->kind) copy_rows(f, now.first, now.last - now.first);
    else convert_rows(f, now.first, now.last - now.first, me->scratch, (char *)(me->scratch + f->w->columns));
}

/* One more word in a chain of a checksum. A product carries upwards only, so the high bits are turned down first. */
static inline uint64_t chained(uint64_t sum, uint64_t word) {
    const uint64_t x = sum ^ word;
    return (x << 29 | x >> 35) * 0x9e3779b97f4a7c15;
}

/* A checksum that finds damage, not intent: eight interleaved chains over words of 64 bits, which is as fast as memory. The same
 * on every processor of the same byte order. */
uint64_t checksum(const void *data, size_t bytes) {
    enum { CHAINS = 8 };
    const unsigned char *at = data, *end = at + bytes;
    uint64_t sums[CHAINS], words[CHAINS];
    for (int i = 0; i < CHAINS; i++) sums[i] = (uint64_t)i + 1;
    for (; (size_t)(end - at) >= sizeof words; at += sizeof words) {
        memcpy(words, at, sizeof words);
        for (int i = 0; i < CHAINS; i++) sums[i] = chained(sums[i], words[i]);
    }
    uint64_t sum = bytes;
    for (; at < end; at++) sum = chained(sum, *at);
    for (int i = 0; i < CHAINS; i++) sum = chained(sum, sums[i]);
    return sum;
}

static matrix empty_matrix(int kind, int rows, int columns) {
    if (kind == INT4 && columns % GROUP) kind = INT8;
    matrix made = {.rows = rows, .columns = columns, .kind = kind};
    made.row_bytes = kind == INT4 ? (size_t)columns / GROUP * GROUP_BYTES : (size_t)columns * NUMBER_BYTES[kind];
    return made;
}

/* A matrix whose numbers the caller keeps, followed by OVERREAD floats that may be read; `scale`: INT8's. */
void matrix_borrow(matrix *w, int kind, int rows, int columns, const void *data, const float *scale) {
    *w = empty_matrix(kind, rows, columns);
    w->data = (void *)data, w->scale = (float *)scale;
}

/* Allocate a matrix of some kind, uninitialized. Returns 0, or -1 when there is no memory. */
int matrix_alloc(matrix *w, int kind, int rows, int columns, arena **memory) {
    *w = empty_matrix(kind, rows, columns);
    w->data = arena_alloc(memory, w->row_bytes * (size_t)rows); /* vector loads may pass the end */
    if (w->kind == INT8) w->scale = arena_alloc(memory, (size_t)rows * sizeof(float));
    return !w->data || (w->kind == INT8 && !w->scale) ? -1 : 0;
}

/* Fill a matrix with the numbers of a source. Returns 0, or -1 when there is no memory. */
int matrix_fill(const kernels *k, matrix *w, const void *source, int source_kind, int transposed) {
    const int rows = transposed ? w->columns : w->rows, columns = transposed ? w->rows : w->columns;
    const size_t row_bytes = (size_t)columns * NUMBER_BYTES[source_kind];
    filling f = {
        .k = k,
        .w = w,
        .transposed = transposed,
        .source = {.data = (void *)source, .rows = rows, .columns = columns, .kind = source_kind, .row_bytes = row_bytes}};
    phase job = {.run = fill, .n = w->rows, .chunk = CACHE_LINE / NUMBER_BYTES[source_kind], .other = &f};
    schedule all = {.phases = &job, .count = 1, .threads = pool_threads()};
    /* A row in float32, and CACHE_LINE bytes of each column. */
    all.scratch_floats = (size_t)w->columns * (CACHE_LINE / sizeof(float) + 1);
    all.scratch = malloc(all.scratch_floats * sizeof(float) * (size_t)all.threads);
    if (!all.scratch) return -1;
    pool_run(&all);
    free(all.scratch);
    return 0;
}
