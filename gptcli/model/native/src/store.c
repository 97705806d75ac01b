/* Matrices made from a checkpoint's numbers: turned so that a row is what one output needs, and quantised where asked. */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "native.h"

enum { HUGE_PAGE = 2 << 20 };
static const int NUMBER_BYTES[] = {4, 2, 2, 1}; /* by kind, up to INT8 */

/* Memory in 2 MB pages where the system gives them: a step walks through all weights, and small pages cost it a look-up
 * every 4 KB. The caller frees it with huge_free. */
void *huge_alloc(size_t bytes) {
    size_t whole = (bytes + SPARE * sizeof(float) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *data = NULL;
    if (bytes < HUGE_PAGE / 4) return calloc(1, bytes + SPARE * sizeof(float));
    if (posix_memalign(&data, HUGE_PAGE, whole)) return NULL;
#ifdef MADV_HUGEPAGE
    madvise(data, whole, MADV_HUGEPAGE);
#endif
    return data;
}

void huge_free(void *data) { free(data); }

typedef struct {
    const kernels *k;
    const float *data;
    int how;
} reading;

static void read_some(worker *me, const phase *job, range now, range then) {
    const reading *r = job->other;
    const size_t megabyte = (1 << 20) / sizeof *r->data;
    (void)me, (void)then;
    r->k->sum(r->data + now.first * megabyte, (now.last - now.first) * megabyte, r->how);
}

double memory_bandwidth(const kernels *k, int megabytes, int times) {
    const size_t bytes = (size_t)megabytes << 20;
    float *data = huge_alloc(bytes);
    double best = 0;
    if (!data) return 0;
    memset(data, 1, bytes);
    for (int i = 0; i < times; i++) {
        reading r = {k, data, i % READINGS};
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        run_phase(&(phase){.run = read_some, .n = megabytes, .chunk = 1, .guided = 1, .other = &r});
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

enum { LOOKED_AT = 1 << 16 }; /* numbers at once */

/* Infinities and NaN are the numbers whose exponent is all ones. */
static void look(worker *me, const phase *job, range now, range then) {
    search *s = job->other;
    const size_t first = (size_t)now.first * LOOKED_AT, last = first + LOOKED_AT < s->n ? first + LOOKED_AT : s->n;
    uint32_t found = 0;
    (void)me, (void)then;
    if (s->kind == FLOAT32)
        for (size_t i = first; i < last; i++) found |= (((const uint32_t *)s->source)[i] & 0x7f800000u) == 0x7f800000u;
    else {
        const uint16_t mask = s->kind == FLOAT16 ? 0x7c00 : 0x7f80;
        uint16_t any = 0; /* as wide as the numbers, so that as many as possible are looked at together */
        for (size_t i = first; i < last; i++) any |= (((const uint16_t *)s->source)[i] & mask) == mask;
        found = any;
    }
    if (found) atomic_store_explicit(&s->found, 1, memory_order_relaxed);
}

int all_finite(const void *source, size_t n, int kind) {
    search s = {source, n, kind, 0};
    const int chunks = (int)((n + LOOKED_AT - 1) / LOOKED_AT);
    run_phase(&(phase){.run = look, .n = chunks, .chunk = 1, .other = &s});
    return !atomic_load_explicit(&s.found, memory_order_relaxed);
}

typedef struct {
    const kernels *k;
    matrix *w, source; /* the source: [rows, columns] as `w`, or turned */
    int transposed;
} filling;

enum { LINE = 64 }; /* bytes of a cache line */

/* Columns first.. of the source as rows, `next` bytes apart, a cache line of each of the source's rows at a time. */
static inline void turn_sized(const matrix *source, int first, int count, char *to, size_t next, const int size) {
    const char *from = (const char *)source->data + (size_t)first * size;
    for (int k = 0; k < source->rows; k += LINE / size)
        for (int r = 0; r < count; r++)
            for (int i = k; i < k + LINE / size && i < source->rows; i++)
                memcpy(to + r * next + (size_t)i * size, from + i * source->row_bytes + (size_t)r * size, size);
}

static void turn(const matrix *source, int first, int count, char *to, size_t next) {
    if (source->kind == FLOAT32) turn_sized(source, first, count, to, next, 4);
    else turn_sized(source, first, count, to, next, 2);
}

/* Rows that are kept as the source has them. */
static void copy_rows(const filling *f, int first, int count) {
    char *to = (char *)f->w->data + first * f->w->row_bytes;
    if (f->transposed) turn(&f->source, first, count, to, f->w->row_bytes);
    else memcpy(to, (const char *)f->source.data + first * f->w->row_bytes, count * f->w->row_bytes);
}

/* Rows that are kept otherwise, by way of float32. `x`: room for one row; `turned`: for `count` rows in the source's kind. */
static void convert_rows(const filling *f, int first, int count, float *x, char *turned) {
    matrix rows = f->source;
    if (f->transposed) {
        rows = (matrix){turned, NULL, count, f->w->columns, f->source.kind, (size_t)f->w->columns * NUMBER_BYTES[f->source.kind]};
        turn(&f->source, first, count, turned, rows.row_bytes);
    }
    for (int r = 0; r < count; r++) {
        f->k->row(&rows, f->transposed ? r : first + r, 0, f->w->columns, x);
        f->k->keep(f->w, first + r, x);
    }
}

static void fill(worker *me, const phase *job, range now, range then) {
    const filling *f = job->other;
    (void)then;
    if (f->source.kind == f->w->kind) copy_rows(f, now.first, now.last - now.first);
    else convert_rows(f, now.first, now.last - now.first, me->scratch, (char *)(me->scratch + f->w->columns));
}

/* Room for a matrix of some kind, its numbers still unknown. Returns 0, or -1 when there is no memory. */
int matrix_room(matrix *w, int kind, int rows, int columns) {
    if (kind == INT4 && columns % GROUP) kind = INT8;
    *w = (matrix){.rows = rows, .columns = columns, .kind = kind};
    w->row_bytes = kind == INT4 ? (size_t)columns / GROUP * GROUP_BYTES : (size_t)columns * NUMBER_BYTES[kind];
    w->data = huge_alloc(w->row_bytes * (size_t)rows); /* with room behind it: vectors may reach over the end */
    if (kind == INT8) w->scale = malloc((size_t)rows * sizeof(float));
    return !w->data || (kind == INT8 && !w->scale) ? -1 : 0;
}

/* Fill such room with numbers [rows, columns], or [columns, rows] where `transposed`. Returns 0, or -1 when there is no memory. */
int matrix_fill(const kernels *k, matrix *w, const void *source, int source_kind, int transposed) {
    const int rows = transposed ? w->columns : w->rows, columns = transposed ? w->rows : w->columns;
    const size_t row_bytes = (size_t)columns * NUMBER_BYTES[source_kind];
    filling f = {k, w, {(void *)source, NULL, rows, columns, source_kind, row_bytes}, transposed};
    phase job = {.run = fill, .n = w->rows, .chunk = LINE / NUMBER_BYTES[source_kind], .other = &f};
    schedule all = {.phases = &job, .count = 1, .threads = pool_threads()};
    all.scratch_floats = (size_t)w->columns * (LINE / sizeof(float) + 1); /* a row in float32, and LINE bytes of each column */
    all.scratch = malloc(all.scratch_floats * sizeof(float) * (size_t)all.threads);
    if (!all.scratch) return -1;
    pool_run(&all);
    free(all.scratch);
    return 0;
}

void matrix_free(matrix *w) {
    huge_free(w->data);
    free(w->scale);
    w->data = NULL;
    w->scale = NULL;
}
