/* The functions with which Python creates, fills and frees models. A weight is identified by its index in native.h's enums and
 * its layer, which is 0 for weights outside the layers.
 */
#include <stdlib.h>
#include <string.h>

#include "model.h"

static void *copied(const void *from, size_t bytes) {
    void *made = from ? malloc(bytes + 1) : NULL;
    if (made) memcpy(made, from, bytes);
    return made;
}

static void free_arrays(gpt *g) {
    free((void *)g->shape.attention_scales);
    free((void *)g->shape.windows);
    free((void *)g->shape.rotary_tables);
    free((void *)g->shape.alibi_slopes);
    free(g->layers);
    free(g->phases);
    free(g);
}

/* Create an engine without weights; NULL when there is no memory. `level`: see gptcli_kernels. `half_cache`: keys and values are
 * cached in half precision, otherwise in float32. */
void *gptcli_new(const gptcli_shape *shape, int threads, int level, int half_cache) {
    gpt *g = calloc(1, sizeof *g);
    if (!g) return NULL;
    const size_t layers = (size_t)shape->n_layer;
    g->shape = *shape;
    g->half_cache = half_cache;
    g->shape.attention_scales = copied(shape->attention_scales, layers * sizeof(float));
    g->shape.windows = copied(shape->windows, layers * sizeof(int));
    g->shape.rotary_tables = copied(shape->rotary_tables, layers * sizeof(int));
    g->shape.alibi_slopes = copied(shape->alibi_slopes, (size_t)shape->n_head * sizeof(float));
    g->threads = pool_start(threads);
    g->k = kernels_for(level);
    g->phase_count = BLOCK_PHASES * shape->n_layer + OTHER_PHASES;
    g->layers = calloc(layers + 1, sizeof *g->layers);
    g->phases = calloc((size_t)g->phase_count, sizeof *g->phases);
    const int complete = g->layers && g->phases && g->shape.attention_scales && g->shape.windows && g->shape.rotary_tables;
    if (complete && !shape->alibi_slopes == !g->shape.alibi_slopes) return g;
    free_arrays(g);
    return NULL;
}

int gptcli_threads(const void *engine) { return ((const gpt *)engine)->threads; }

static matrix *matrix_at(gpt *g, int which, int layer) { return &(which < QKV ? &g->whole : &g->layers[layer])->matrices[which]; }

static float **vector_at(gpt *g, int which, int layer) { return &(which < LN_1 ? &g->whole : &g->layers[layer])->vectors[which]; }

/* Allocate a matrix, uninitialized. Returns 0, or -1 when there is no memory. */
int gptcli_alloc_matrix(void *engine, int which, int layer, int kind, int rows, int columns) {
    return matrix_alloc(matrix_at(engine, which, layer), kind, rows, columns, &((gpt *)engine)->memory);
}

/* Use a matrix where it lies, for as long as the engine exists: see matrix_borrow. */
void gptcli_borrow_matrix(void *engine, int which, int layer, int kind, int rows, int columns, const void *numbers,
                          const float *scales) {
    matrix_borrow(matrix_at(engine, which, layer), kind, rows, columns, numbers, scales);
}

uint64_t gptcli_checksum(const void *data, size_t bytes) { return checksum(data, bytes); }

/* Fill `count` rows of a matrix, from index `first` on, with a checkpoint's numbers. Returns 0, or -1 when there is no memory. */
int gptcli_fill_matrix(void *engine, int which, int layer, int first, int count, const void *source, int source_kind,
                       int transposed) {
    matrix part = *matrix_at(engine, which, layer);
    part.data = (char *)part.data + (size_t)first * part.row_bytes;
    if (part.scale) part.scale += first;
    part.rows = count;
    return matrix_fill(((gpt *)engine)->k, &part, source, source_kind, transposed);
}

/* A view of a stored matrix, valid as long as the engine: its numbers, its scales (NULL where they are not a separate array), and
 * {rows, bytes of a row}. */
void gptcli_matrix_view(void *engine, int which, int layer, void **numbers, float **scales, int *about) {
    const matrix *w = matrix_at(engine, which, layer);
    *numbers = w->data, *scales = w->scale;
    about[0] = w->rows, about[1] = (int)w->row_bytes;
}

int gptcli_fill_vector(void *engine, int which, int layer, const float *source, size_t n) {
    float **place = vector_at(engine, which, layer);
    free(*place);
    *place = malloc(n * sizeof **place + OVERREAD * sizeof **place);
    if (!*place) return -1;
    memcpy(*place, source, n * sizeof **place);
    return 0;
}

/* A vector where it lies, valid as long as the engine; NULL where the model has none. */
const float *gptcli_vector_view(void *engine, int which, int layer) { return *vector_at(engine, which, layer); }

/* Whether none of the numbers is NaN or infinite. */
int gptcli_finite(const void *source, size_t n, int kind) { return all_finite(source, n, kind); }

/* Read bandwidth of all threads together, in bytes a second: the best of several reads of a buffer; 0: it cannot be allocated. */
double gptcli_bandwidth(int threads, int megabytes, int times) {
    pool_start(threads);
    return memory_bandwidth(kernels_for(5), megabytes, times);
}

static size_t bytes_of(const matrix *w) { return (size_t)w->rows * (w->row_bytes + (w->scale ? sizeof(float) : 0)); }

/* Bytes of weights that one step reads. */
size_t gptcli_bytes(const void *engine) {
    const gpt *g = engine;
    size_t bytes = bytes_of(output_of(g));
    for (int which = PROJECT_IN; which < QKV; which++) bytes += bytes_of(&g->whole.matrices[which]);
    for (int layer = 0; layer < g->shape.n_layer; layer++)
        for (int which = QKV; which < ALL_MATRICES; which++) bytes += bytes_of(&g->layers[layer].matrices[which]);
    return bytes;
}

static void free_vectors(weights *all) {
    for (int which = 0; which < ALL_VECTORS; which++) free(all->vectors[which]);
}

void gptcli_free(void *engine) {
    gpt *g = engine;
    if (!g) return;
    for (int layer = 0; layer < g->shape.n_layer; layer++) free_vectors(&g->layers[layer]);
    free_vectors(&g->whole);
    arena_free(g->memory);
    huge_free(g->space);
    free_arrays(g);
}
