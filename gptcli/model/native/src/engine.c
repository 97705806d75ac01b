/* A GPT-2 on the CPU, and most of the functions that Python calls: make one, fill it, read tokens, free it.
 *
 * One call reads any number of tokens, each of a row of the batch and at a position of it: a step reads one of every
 * row, a prompt many of one. Shapes as in gpt.py.
 */
#include <stdlib.h>
#include <string.h>

#include "native.h"

typedef struct {
    int layers, width, heads, hidden, vocabulary, positions, activation, threads;
    float epsilon, scale;
    const kernels *k;
    matrix embedding, unembedding; /* [V, C]; unembedding.rows is 0 where it is the embedding */
    float *position, *ln_f, *ln_f_bias, *unembedding_bias;
    block *blocks;
    float *space; /* of the latest shapes */
    size_t space_floats;
    tickets *counters;
    int counter_count;
} gpt;

/* What Python may fill; the numbers are part of the interface (engine.py has the same). */
enum { EMBEDDING, UNEMBEDDING, QKV, ATTENTION, UP, DOWN };
enum {
    POSITION, LN_F, LN_F_BIAS, UNEMBEDDING_BIAS, LN_1, LN_1_BIAS, LN_2, LN_2_BIAS, QKV_BIAS, ATTENTION_BIAS, UP_BIAS, DOWN_BIAS
};

/* An engine without weights; NULL when there is no memory. `level`: see gptcli_kernels. */
void *gptcli_new(const gptcli_shape *shape, int threads, int level) {
    gpt *g = calloc(1, sizeof *g);
    if (!g) return NULL;
    g->layers = shape->n_layer, g->width = shape->n_embd, g->heads = shape->n_head, g->hidden = shape->mlp_width;
    g->vocabulary = shape->vocab_size, g->positions = shape->n_positions, g->activation = shape->activation;
    g->epsilon = shape->layer_norm_epsilon, g->scale = shape->attention_scale;
    g->threads = pool_start(threads);
    g->k = kernels_for(level);
    g->counter_count = 16 * g->layers + 16;
    g->blocks = calloc((size_t)g->layers + 1, sizeof *g->blocks);
    g->counters = calloc((size_t)g->counter_count, sizeof *g->counters);
    if (g->blocks && g->counters) return g;
    free(g->blocks);
    free(g->counters);
    free(g);
    return NULL;
}

int gptcli_threads(const void *engine) { return ((const gpt *)engine)->threads; }

static matrix *matrix_at(gpt *g, int which, int layer) {
    block *b = &g->blocks[layer];
    matrix *all[] = {&g->embedding, &g->unembedding, &b->qkv, &b->attention, &b->up, &b->down};
    return all[which];
}

static float **vector_at(gpt *g, int which, int layer) {
    block *b = &g->blocks[layer];
    float **all[] = {&g->position, &g->ln_f,  &g->ln_f_bias, &g->unembedding_bias, &b->ln_1,    &b->ln_1_bias,
                     &b->ln_2,     &b->ln_2_bias, &b->qkv_bias,  &b->attention_bias,   &b->up_bias, &b->down_bias};
    return all[which];
}

/* Memory for a matrix, not yet filled: 0, or -1: no memory. */
int gptcli_alloc_matrix(void *engine, int which, int layer, int kind, int rows, int columns) {
    return matrix_alloc(matrix_at(engine, which, layer), kind, rows, columns);
}

/* Fill it from a checkpoint's numbers: 0, or -1: no memory. */
int gptcli_fill_matrix(void *engine, int which, int layer, const void *source, int source_kind, int transposed) {
    return matrix_fill(((gpt *)engine)->k, matrix_at(engine, which, layer), source, source_kind, transposed);
}

/* A matrix as it is stored, valid as long as the engine: its numbers, its scales (NULL where it has none of its own), and {rows,
 * bytes of a row}. */
void gptcli_matrix_view(void *engine, int which, int layer, void **numbers, float **scales, int *about) {
    const matrix *w = matrix_at(engine, which, layer);
    *numbers = w->data, *scales = w->scale;
    about[0] = w->rows, about[1] = (int)w->row_bytes;
}

int gptcli_fill_vector(void *engine, int which, int layer, const float *source, size_t n) {
    float **place = vector_at(engine, which, layer);
    *place = malloc(n * sizeof **place);
    if (!*place) return -1;
    memcpy(*place, source, n * sizeof **place);
    return 0;
}

/* Whether none of the numbers is NaN or infinite. */
int gptcli_finite(const void *source, size_t n, int kind) { return all_finite(source, n, kind); }

/* Bytes a second that all threads read together: the best of some readings of so much memory; 0: there is not so much. */
double gptcli_bandwidth(int threads, int megabytes, int times) {
    pool_start(threads);
    return memory_bandwidth(kernels_for(5), megabytes, times);
}

static const matrix *output_of(const gpt *g) { return g->unembedding.rows ? &g->unembedding : &g->embedding; }

/* Bytes of weights that one step reads. */
size_t gptcli_bytes(const void *engine) {
    const gpt *g = engine;
    const matrix *out = output_of(g);
    size_t bytes = (size_t)out->rows * (out->row_bytes + (out->scale ? sizeof(float) : 0));
    for (int layer = 0; layer < g->layers; layer++)
        for (int which = QKV; which <= DOWN; which++) {
            const matrix *w = matrix_at((gpt *)g, which, layer);
            bytes += (size_t)w->rows * (w->row_bytes + (w->scale ? sizeof(float) : 0));
        }
    return bytes;
}

void gptcli_free(void *engine) {
    gpt *g = engine;
    if (!g) return;
    for (int layer = 0; layer < g->layers; layer++) {
        for (int which = QKV; which <= DOWN; which++) matrix_free(matrix_at(g, which, layer));
        for (int which = LN_1; which <= DOWN_BIAS; which++) free(*vector_at(g, which, layer));
    }
    for (int which = POSITION; which <= UNEMBEDDING_BIAS; which++) free(*vector_at(g, which, 0));
    matrix_free(&g->embedding);
    matrix_free(&g->unembedding);
    huge_free(g->space);
    free(g->blocks);
    free(g->counters);
    free(g);
}

/* One call's work: where everything lies in the engine's space. */
typedef struct {
    gpt *g;
    const int *ids, *rows, *positions, *wanted;
    int m, wanted_count, capacity, prefill; /* prefill: all tokens are of one row, at consecutive positions */
    int first, last; /* stages: see gptcli_read */
    size_t layer_floats;
    float *cache, *logits;
    float *x, *normed, *wide, *packed; /* [m, C], [m, C], [m, max(3C, hidden)], see linear.c */
    float *scratch;
    size_t scratch_floats;
} call;

/* Norm the streams that a linear layer reads. Few: every thread does them all for itself, which saves a meeting. */
static const float *normed(worker *me, const call *c, const float *x, const int *of, int m, const float *w, const float *b) {
    const gpt *g = c->g;
    const int own = m <= GEMV_MAX;
    float *out = own ? me->scratch + linear_scratch(g->k, m, g->width) : c->normed;
    tickets *counter = me->phase++;
    for (int first = 0, last = m; own || take(counter, m, 4, &first, &last);) {
        for (int i = first; i < last; i++)
            g->k->layer_norm(x + (size_t)(of ? of[i] : i) * g->width, w, b, g->epsilon, g->width, out + (size_t)i * g->width);
        if (own) return out;
    }
    meet();
    return out;
}

static void embed(worker *me, const call *c) {
    const gpt *g = c->g;
    tickets *counter = me->phase++;
    for (int first, last; take(counter, c->m, 4, &first, &last);)
        for (int m = first; m < last; m++) {
            float *x = c->x + (size_t)m * g->width;
            const float *position = g->position + (size_t)c->positions[m] * g->width;
            g->k->dequantize_row(&g->embedding, c->ids[m], 0, g->width, x);
            for (int i = 0; i < g->width; i++) x[i] += position[i];
        }
    meet();
}

static void one_block(worker *me, const call *c, int layer) {
    const gpt *g = c->g;
    const block *b = &g->blocks[layer];
    const int C = g->width, m = c->m;
    float *cache = c->cache + 2 * (size_t)layer * c->layer_floats, *mixed = c->normed;
    const float *read = normed(me, c, c->x, NULL, m, b->ln_1, b->ln_1_bias);
    linear_run(me, &(linear){&b->qkv, b->qkv_bias, read, c->wide, 3 * (size_t)C, c->packed, m, c->prefill, STORE, 0,
                          &b->attention});
    meet();
    attention_run(me, &(attention){c->wide, mixed, cache, cache + c->layer_floats, c->rows, c->positions, m, g->heads,
                                   C / g->heads, c->capacity, c->prefill, g->scale});
    meet();
    linear_run(me, &(linear){&b->attention, b->attention_bias, mixed, c->x, (size_t)C, c->packed, m, c->prefill, ADD, 0,
                          &b->up});
    meet();
    read = normed(me, c, c->x, NULL, m, b->ln_2, b->ln_2_bias);
    linear_run(me, &(linear){&b->up, b->up_bias, read, c->wide, (size_t)g->hidden, c->packed, m, c->prefill,
                          ACTIVATE, g->activation, &b->down});
    meet();
    linear_run(me, &(linear){&b->down, b->down_bias, c->wide, c->x, (size_t)C, c->packed, m, c->prefill, ADD, 0,
                          layer + 1 < g->layers ? &b[1].qkv : output_of(g)});
    meet();
}

static void read_tokens(void *context, int thread, int threads) {
    const call *c = context;
    gpt *g = c->g;
    worker me = {g->k, g->counters, c->scratch + (size_t)thread * c->scratch_floats, thread, threads};
    if (c->first == 0) embed(&me, c);
    for (int layer = c->first; layer < c->last && layer < g->layers; layer++) one_block(&me, c, layer);
    if (c->last <= g->layers || !c->wanted_count) return;
    const float *last = normed(&me, c, c->x, c->wanted, c->wanted_count, g->ln_f, g->ln_f_bias);
    const matrix *out = output_of(g);
    linear_run(&me, &(linear){out, g->unembedding_bias, last, c->logits, (size_t)g->vocabulary, c->packed,
                              c->wanted_count, c->prefill, STORE, 0, &g->blocks->qkv});
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }
static size_t lined(size_t floats) { return (floats + 15) / 16 * 16; } /* what follows begins a line of the cache */

/* Divide the engine's space among the parts of a call; 0, or -1 when there is no memory. */
static int lay_out(call *c) {
    gpt *g = c->g;
    const size_t m = (size_t)c->m, C = (size_t)g->width, widest = larger(3 * C, (size_t)g->hidden);
    const size_t packed = c->m > GEMV_MAX ? packed_floats(g->k, c->m, (int)larger(C, (size_t)g->hidden)) : 0;
    /* The last norm and the unembedding may be of few tokens where the layers are of many: room for both ways. */
    const size_t linear = larger(linear_scratch(g->k, c->m, (int)widest), linear_scratch(g->k, GEMV_MAX, (int)widest));
    const size_t own = linear + GEMV_MAX * C, shared = lined(m * (2 * C + widest) + packed);
    c->scratch_floats = lined(larger(own, attention_scratch(c->capacity, g->width / g->heads)) + OVERREAD);
    const size_t needed = shared + c->scratch_floats * (size_t)g->threads;
    if (needed > g->space_floats) {
        huge_free(g->space);
        g->space = huge_alloc(needed * sizeof *g->space);
        g->space_floats = g->space ? needed : 0;
        if (!g->space) return -1;
    }
    c->x = g->space;
    c->normed = c->x + m * C;
    c->wide = c->normed + m * C;
    c->packed = c->wide + m * widest;
    c->scratch = g->space + shared;
    return 0;
}

/* Read m tokens: ids, the row of the batch that each belongs to, and its position there. Their keys and values go into
 * cache, [layers][2][batch][heads][capacity][D] and OVERREAD floats more. Logits [wanted_count, V] are those after the
 * tokens whose indices `wanted` lists. `prefill`: all tokens are of one row, at consecutive positions, so that gemm may take them;
 * otherwise each is a step of its own. Returns 0, or -1 when there is no memory.
 * Of the stages (a layer each, and the logits) those from `first` to before `last` are done: all at once, or in several calls
 * that say the same otherwise, so that the caller can stop in between. */
int gptcli_read(void *engine, int m, const int *ids, const int *rows, const int *positions, int prefill, float *cache, int batch,
                int capacity, int wanted_count, const int *wanted, float *logits, int first, int last) {
    gpt *g = engine;
    call c = {.g = g, .ids = ids, .rows = rows, .positions = positions, .wanted = wanted, .m = m, .wanted_count = wanted_count,
              .capacity = capacity, .prefill = prefill, .first = first, .last = last,
              .layer_floats = (size_t)batch * g->width * capacity, .cache = cache, .logits = logits};
    if (lay_out(&c)) return -1;
    memset(g->counters, 0, (size_t)g->counter_count * sizeof *g->counters);
    pool_run(read_tokens, &c);
    return 0;
}
