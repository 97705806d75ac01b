/* A GPT-2 on the CPU, and most of the functions that Python calls: make one, fill it, read tokens, free it.
 *
 * One call reads any number of tokens, each of a row of the batch and at a position of it: a step reads one of every
 * row, a prompt many of one. Shapes as in gpt.py.
 */
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

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
    phase *phases; /* of the latest call */
    int phase_count; /* room for those of the longest */
} gpt;

/* The most phases of a block, and of all else: embedding, the last norm, the logits. */
enum { BLOCK_PHASES = 4 * LINEAR_PHASES + 3, OTHER_PHASES = LINEAR_PHASES + 2 };

/* What Python may fill; the numbers are part of the interface (engine.py has the same). */
enum { EMBEDDING, UNEMBEDDING, QKV, ATTENTION, UP, DOWN };
enum {
    POSITION,
    LN_F,
    LN_F_BIAS,
    UNEMBEDDING_BIAS,
    LN_1,
    LN_1_BIAS,
    LN_2,
    LN_2_BIAS,
    QKV_BIAS,
    ATTENTION_BIAS,
    UP_BIAS,
    DOWN_BIAS
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
    g->phase_count = BLOCK_PHASES * g->layers + OTHER_PHASES;
    g->blocks = calloc((size_t)g->layers + 1, sizeof *g->blocks);
    g->phases = calloc((size_t)g->phase_count, sizeof *g->phases);
    if (g->blocks && g->phases) return g;
    free(g->blocks);
    free(g->phases);
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
    float **all[] = {&g->position, &g->ln_f,      &g->ln_f_bias, &g->unembedding_bias, &b->ln_1,    &b->ln_1_bias,
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
    free(g->phases);
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
    size_t scratch_floats, normed_at; /* normed_at: where in it a thread's own normed activations are */
} call;

void norm_rows(const kernels *k, const normalization *job, int first, int last, float *out) {
    for (int i = first; i < last; i++)
        k->layer_norm(job->x + (size_t)(job->rows ? job->rows[i] : i) * job->width, job->weight, job->bias, job->epsilon,
                      job->width, out + (size_t)i * job->width);
}

static void norm_chunk(worker *me, const phase *p, range now, range next) {
    (void)next;
    norm_rows(me->k, &p->norm, now.first, now.last, p->norm.out);
}

/* A linear layer of the normed residual stream, or of those rows of it. Few: every thread norms them all for itself, which saves a
 * phase. */
static void add_normed(schedule *all, const call *c, const int *rows, const float *weight, const float *bias, linear job) {
    const normalization norm = {.x = c->x,
                                .weight = weight,
                                .bias = bias,
                                .rows = rows,
                                .out = c->normed,
                                .epsilon = c->g->epsilon,
                                .width = c->g->width};
    if (job.m > GEMV_MAX) {
        add_phase(all, norm_chunk, job.m, 4, 0)->norm = norm;
        job.x = c->normed;
    } else {
        job.norm = norm;
        job.normed_at = c->normed_at;
    }
    add_linear(all, &job);
}

static void embed(worker *me, const phase *p, range now, range next) {
    const call *c = p->other;
    const gpt *g = c->g;
    (void)next;
    for (int m = now.first; m < now.last; m++) {
        float *x = c->x + (size_t)m * g->width;
        const float *position = g->position + (size_t)c->positions[m] * g->width;
        me->k->dequantize_row(&g->embedding, c->ids[m], 0, g->width, x);
        for (int i = 0; i < g->width; i++) x[i] += position[i];
    }
}

static linear layer_of(const call *c, const matrix *w, const float *bias, const float *x, float *y, int epilogue,
                       const matrix *next) {
    return (linear){.w = w,
                    .bias = bias,
                    .x = x,
                    .y = y,
                    .stride = (size_t)w->rows,
                    .packed = c->packed,
                    .m = c->m,
                    .prefill = c->prefill,
                    .epilogue = epilogue,
                    .activation = c->g->activation,
                    .next = next};
}

static void add_block(schedule *all, const call *c, int layer) {
    const gpt *g = c->g;
    const block *b = &g->blocks[layer];
    float *cache = c->cache + 2 * (size_t)layer * c->layer_floats, *mixed = c->normed;
    const matrix *after = layer + 1 < g->layers ? &b[1].qkv : output_of(g);
    const linear qkv = layer_of(c, &b->qkv, b->qkv_bias, NULL, c->wide, STORE, &b->attention);
    const linear project = layer_of(c, &b->attention, b->attention_bias, mixed, c->x, ADD, &b->up);
    const linear up = layer_of(c, &b->up, b->up_bias, NULL, c->wide, ACTIVATE, &b->down);
    const linear down = layer_of(c, &b->down, b->down_bias, c->wide, c->x, ADD, after);
    add_normed(all, c, NULL, b->ln_1, b->ln_1_bias, qkv);
    add_attention(all, &(attention){.qkv = c->wide,
                                    .out = mixed,
                                    .keys = cache,
                                    .values = cache + c->layer_floats,
                                    .rows = c->rows,
                                    .positions = c->positions,
                                    .m = c->m,
                                    .heads = g->heads,
                                    .head_size = g->width / g->heads,
                                    .capacity = c->capacity,
                                    .prefill = c->prefill,
                                    .scale = g->scale});
    add_linear(all, &project);
    add_normed(all, c, NULL, b->ln_2, b->ln_2_bias, up);
    add_linear(all, &down);
}

static void add_logits(schedule *all, const call *c) {
    const gpt *g = c->g;
    linear output = layer_of(c, output_of(g), g->unembedding_bias, NULL, c->logits, STORE, &g->blocks->qkv);
    output.m = c->wanted_count;
    add_normed(all, c, c->wanted, g->ln_f, g->ln_f_bias, output);
}

/* Everything that a call does, in order. */
static void read_tokens(const call *c) {
    gpt *g = c->g;
    schedule all = {.k = g->k,
                    .scratch = c->scratch,
                    .scratch_floats = c->scratch_floats,
                    .threads = g->threads,
                    .phases = g->phases,
                    .room = g->phase_count,
                    .model = g};
    if (c->first == 0) add_phase(&all, embed, c->m, 4, 0)->other = (void *)c;
    for (int layer = c->first; layer < c->last && layer < g->layers; layer++) add_block(&all, c, layer);
    if (c->last > g->layers && c->wanted_count) add_logits(&all, c);
    pool_run(&all);
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
    c->normed_at = linear;
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
    call c = {.g = g,
              .ids = ids,
              .rows = rows,
              .positions = positions,
              .wanted = wanted,
              .m = m,
              .wanted_count = wanted_count,
              .capacity = capacity,
              .prefill = prefill,
              .first = first,
              .last = last,
              .layer_floats = (size_t)batch * g->width * capacity,
              .cache = cache,
              .logits = logits};
    if (lay_out(&c)) return -1;
    read_tokens(&c);
    return 0;
}
