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
    phase *phases; /* of the latest call */
    int phase_count; /* room for those of the longest */
} gpt;

/* The most phases that a linear layer has (product.c, amx.c), a block, and all else: embedding, the last norm, the logits. */
enum { LINEAR_PHASES = 2, BLOCK_PHASES = 4 * LINEAR_PHASES + 3, OTHER_PHASES = LINEAR_PHASES + 2 };

/* What Python may fill; the numbers are part of the interface (engine.py has the same). */
enum { EMBEDDING, UNEMBEDDING, QKV, ATTENTION, UP, DOWN };
enum {
    POSITION, LN_F, LN_F_BIAS, UNEMBEDDING_BIAS, LN_1, LN_1_BIAS, LN_2, LN_2_BIAS, QKV_BIAS, ATTENTION_BIAS, UP_BIAS, DOWN_BIAS
};

const kernels *kernels_for(int level) {
#if defined(__x86_64__) && !defined(GPTCLI_PLAIN)
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
#ifdef GPTCLI_AMX
    if (level >= 5 && avx512 && kernels_amx()) return kernels_amx();
#endif
#ifdef GPTCLI_VNNI
    if (level >= 4 && avx512 && __builtin_cpu_supports("avx512vnni")) return &kernels_avx512_vnni;
#endif
    if (level >= 3 && avx512) return &kernels_avx512;
#ifdef GPTCLI_VNNI
    if (level >= 2 && avx2 && __builtin_cpu_supports("avxvnni")) return &kernels_avx2_vnni;
#endif
    if (level >= 1 && avx2) return &kernels_avx2;
#endif
    (void)level;
    return &kernels_plain;
}

const char *gptcli_kernels(int level) { return kernels_for(level)->name; }

/* Shapes in the order of the structure. `level`: 5 takes the best instruction set there is, 4 no AMX, 3 at most AVX-512 without
 * VNNI, 2 AVX2 with it, 1 AVX2 without, 0 plain C. */
void *gptcli_new(const int *shape, float epsilon, float scale, int threads, int level) {
    gpt *g = calloc(1, sizeof *g);
    if (!g) return NULL;
    g->layers = shape[0], g->width = shape[1], g->heads = shape[2], g->hidden = shape[3];
    g->vocabulary = shape[4], g->positions = shape[5], g->activation = shape[6];
    g->epsilon = epsilon, g->scale = scale;
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
    float **all[] = {&g->position, &g->ln_f,  &g->ln_f_bias, &g->unembedding_bias, &b->ln_1,    &b->ln_1_bias,
                     &b->ln_2,     &b->ln_2_bias, &b->qkv_bias,  &b->attention_bias,   &b->up_bias, &b->down_bias};
    return all[which];
}

/* Room for a matrix, its numbers still unknown: 0, or -1: no memory. */
int gptcli_room(void *engine, int which, int layer, int kind, int rows, int columns) {
    return matrix_room(matrix_at(engine, which, layer), kind, rows, columns);
}

/* Fill it from a checkpoint's numbers: 0, or -1: no memory. */
int gptcli_matrix(void *engine, int which, int layer, const void *source, int source_kind, int transposed) {
    return matrix_fill(((gpt *)engine)->k, matrix_at(engine, which, layer), source, source_kind, transposed);
}

/* A matrix as it is kept, valid as long as the engine: where its numbers and its scales lie (NULL: it has none of its own),
 * and {rows, bytes of a row}. */
void gptcli_kept(void *engine, int which, int layer, void **numbers, float **scales, int *about) {
    const matrix *w = matrix_at(engine, which, layer);
    *numbers = w->data, *scales = w->scale;
    about[0] = w->rows, about[1] = (int)w->row_bytes;
}

int gptcli_vector(void *engine, int which, int layer, const float *source, size_t n) {
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
    int m, wanted_count, capacity, together; /* together: one row's tokens, one position after another */
    int first, last; /* stages: see gptcli_read */
    size_t layer_floats;
    float *cache, *logits;
    float *x, *normed, *wide, *packed; /* [m, C], [m, C], [m, max(3C, hidden)], see product.c */
    float *scratch;
    size_t scratch_floats, before_at; /* before_at: where in it a thread's own normed activations are */
} call;

void norm_rows(const kernels *k, const layer_norm *job, int first, int last, float *out) {
    for (int i = first; i < last; i++)
        k->norm(job->x + (size_t)(job->of ? job->of[i] : i) * job->width, job->weight, job->bias, job->epsilon, job->width,
                out + (size_t)i * job->width);
}

static void norm_some(worker *me, const phase *job, range now, range then) {
    (void)then;
    norm_rows(me->k, &job->norm, now.first, now.last, job->norm.out);
}

/* A linear layer of the streams, or of those `of`, normed. Few: every thread norms them all for itself, which saves a phase. */
static void add_normed(schedule *all, const call *c, const int *of, const float *weight, const float *bias, linear job) {
    const layer_norm before = {c->x, weight, bias, of, c->normed, c->g->epsilon, c->g->width};
    if (job.m > MOST) {
        add_phase(all, norm_some, job.m, 4, 0)->norm = before;
        job.x = c->normed;
    } else {
        job.before = before;
        job.before_at = c->before_at;
    }
    add_linear(all, &job);
}

static void embed(worker *me, const phase *job, range now, range then) {
    const call *c = job->other;
    const gpt *g = c->g;
    (void)then;
    for (int m = now.first; m < now.last; m++) {
        float *x = c->x + (size_t)m * g->width;
        const float *position = g->position + (size_t)c->positions[m] * g->width;
        me->k->row(&g->embedding, c->ids[m], 0, g->width, x);
        for (int i = 0; i < g->width; i++) x[i] += position[i];
    }
}

static linear layer_of(const call *c, const matrix *w, const float *bias, const float *x, float *y, int finish, const matrix *next) {
    return (linear){.w = w, .bias = bias, .x = x, .y = y, .stride = (size_t)w->rows, .packed = c->packed, .m = c->m,
                    .together = c->together, .finish = finish, .activation = c->g->activation, .next = next};
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
    add_attention(all, &(attention){c->wide, mixed, cache, cache + c->layer_floats, c->rows, c->positions, c->m, g->heads,
                                    g->width / g->heads, c->capacity, c->together, g->scale});
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
    schedule all = {.k = g->k, .scratch = c->scratch, .scratch_floats = c->scratch_floats, .threads = g->threads,
                    .phases = g->phases, .room = g->phase_count};
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
    const size_t packed = c->m > MOST ? packed_floats(g->k, c->m, (int)larger(C, (size_t)g->hidden)) : 0;
    /* The last norm and the unembedding may be of few tokens where the layers are of many: room for both ways. */
    const size_t linear = larger(linear_scratch(g->k, c->m, (int)widest), linear_scratch(g->k, MOST, (int)widest));
    const size_t own = linear + MOST * C, shared = lined(m * (2 * C + widest) + packed);
    c->before_at = linear;
    c->scratch_floats = lined(larger(own, attention_scratch(c->capacity, g->width / g->heads)) + SPARE);
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
 * cache, [layers][2][batch][heads][capacity][D] and SPARE floats more. Logits [wanted_count, V] are those after the
 * tokens whose indices `wanted` lists. Returns 0, or -1 when there is no memory.
 * Of the stages (a layer each, and the logits) those from `first` to before `last` are done: all at once, or in several calls
 * that say the same otherwise, so that the caller can stop in between. */
int gptcli_read(void *engine, int m, const int *ids, const int *rows, const int *positions, float *cache, int batch,
                int capacity, int wanted_count, const int *wanted, float *logits, int first, int last) {
    gpt *g = engine;
    call c = {.g = g, .ids = ids, .rows = rows, .positions = positions, .wanted = wanted, .m = m, .wanted_count = wanted_count,
              .capacity = capacity, .together = rows[0] == rows[m - 1], .first = first, .last = last,
              .layer_floats = (size_t)batch * g->width * capacity, .cache = cache, .logits = logits};
    if (lay_out(&c)) return -1;
    read_tokens(&c);
    return 0;
}
