/* A GPT on the CPU. Like gpt.py, it reads from top to bottom, with the same functions: embedding, layers, logits.
 *
 * One call reads any number of tokens, each with its row of the batch and its position in that row: a step reads one token of
 * every row, a prompt many tokens of one row. Shapes as in gpt.py. The schedule contains only the phases that the model's shape
 * needs, so inner loops do not test for options.
 */
#include <string.h>

#include "model.h"

/* The arguments of one call, and its buffers in the engine's workspace. */
typedef struct {
    gpt *g;
    const gptcli_shape *s;
    const int *ids, *rows, *positions, *wanted;
    int m, wanted_count, capacity, prefill; /* prefill: STEPS, ONE_TEXT or TEXTS */
    int first, last; /* stages: see gptcli_read */
    const float *const *turns, *growth; /* see gptcli_read */
    const gptcli_hooks *hooks;
    size_t layer_numbers; /* of the keys, or of the values, of one layer of the cache */
    void *cache;
    float *logits;
    /* x [m, C]: the residual stream; normed: normalized x, or the output of the heads; qkv: queries, keys and values; hidden,
     * gate: the MLP's hidden layer and scratch for its gate; joined: the output of a sub-layer before it is added; packed: see
     * linear.c */
    float *x, *normed, *qkv, *hidden, *gate, *joined, *parts, *packed;
    float *scratch;
    size_t scratch_floats, normed_at; /* normed_at: offset in it of a thread's normalized activations */
} call;

static int heads_width(const gptcli_shape *s) { return s->n_head * s->head_size; }
static int qkv_width(const gptcli_shape *s) { return (s->n_head + 2 * s->kv_heads) * s->head_size; }

/* --- parts of layers --------------------------------------------------------------------------------------------------- */

/* A norm over the residual stream. `weight`: index of its weight; the bias has the next index. Not `present`: no norm. */
static normalization norm_of(const call *c, const weights *w, int weight, int present) {
    return (normalization){.x = c->x,
                           .weight = w->vectors[weight],
                           .bias = w->vectors[weight + 1],
                           .out = c->normed,
                           .epsilon = c->s->layer_norm_epsilon,
                           .factor = 1.0f,
                           .width = c->s->n_embd,
                           .kind = present ? c->s->norm_kind : NO_NORM};
}

static linear layer_of(const call *c, const matrix *w, const float *bias, const float *x, float *y, int epilogue,
                       const matrix *next) {
    return (linear){.w = w,
                    .bias = bias,
                    .x = x,
                    .y = y,
                    .gate = c->gate,
                    .stride = (size_t)w->rows,
                    .packed = c->packed,
                    .m = c->m,
                    .prefill = c->prefill,
                    .epilogue = epilogue,
                    .activation = c->s->activation,
                    .next = next};
}

/* The normalized input of linear layers. For many tokens, a phase normalizes them once, to c->normed. For few tokens, every
 * thread normalizes all of them in its own scratch, which saves that phase. */
static void add_input(schedule *all, const normalization *norm, int m) {
    if (m > GEMV_MAX && (norm->kind != NO_NORM || norm->rows)) add_norm(all, norm, m);
}

/* A linear layer with this normalized input. */
static void add_normed(schedule *all, const call *c, const normalization *norm, linear job) {
    if (norm->kind == NO_NORM && !norm->rows) job.x = c->x;
    else if (job.m > GEMV_MAX) job.x = c->normed;
    else job.norm = *norm, job.normed_at = c->normed_at;
    add_linear(all, &job);
}

/* What stands at a point of a layer: x [m, width], its rows `stride` floats apart. */
static void add_point(schedule *all, const call *c, int point, int layer, float *x, int stride, int width) {
    const hooked at = {
        .hooks = c->hooks, .point = point, .layer = layer, .x = x, .stride = (size_t)stride, .width = (size_t)width};
    add_hooks(all, &at, c->m);
}

/* A linear layer whose output is added to the residual stream, after a norm where there is one. `point`: that of its output. */
static void add_output(schedule *all, const call *c, linear job, normalization norm, int point, int layer) {
    const int seen = is_hooked(c->hooks, point, layer);
    const int plain = norm.kind == NO_NORM && c->s->residual_scale == 1.0f;
    job.y = plain && !seen ? c->x : c->joined;
    job.epilogue = plain && !seen ? ADD : STORE;
    add_linear(all, &job);
    if (plain && !seen) return;
    norm.x = c->joined, norm.factor = c->s->residual_scale;
    if (seen) { /* the same in steps: normalize and scale, then the hooks, then add */
        norm.out = c->joined;
        if (!plain) add_norm(all, &norm, c->m);
        add_point(all, c, point, layer, c->joined, c->s->n_embd, c->s->n_embd);
        norm.kind = NO_NORM, norm.factor = 1.0f;
    }
    norm.out = c->x;
    add_join(all, &norm, c->m);
}

/* A norm of the residual stream, in place. */
static void add_stream_norm(schedule *all, const call *c, normalization norm) {
    norm.out = c->x;
    if (norm.kind != NO_NORM) add_norm(all, &norm, c->m);
}

/* --- attention and MLP ------------------------------------------------------------------------------------------------- */

/* Layer `layer` of an array [n_layer, rows, width], or NULL. */
static const float *layer_at(const float *all, int layer, int rows, int width) {
    return all ? all + (size_t)layer * (size_t)rows * (size_t)width : NULL;
}

static attention attention_of(const call *c, int layer) {
    const gptcli_shape *s = c->s;
    const gptcli_hooks none = {0}, *hooks = c->hooks ? c->hooks : &none;
    const weights *w = &c->g->layers[layer];
    const size_t bytes = c->layer_numbers * (c->g->half_cache ? sizeof(uint16_t) : sizeof(float));
    char *cache = (char *)c->cache + 2 * (size_t)layer * bytes;
    const int table = s->rotary_tables[layer];
    return (attention){.qkv = c->qkv,
                       .out = c->normed,
                       .keys = cache,
                       .values = cache + bytes,
                       .rows = c->rows,
                       .positions = c->positions,
                       .m = c->m,
                       .heads = s->n_head,
                       .kv_heads = s->kv_heads,
                       .head_size = s->head_size,
                       .capacity = c->capacity,
                       .prefill = c->prefill,
                       .half = c->g->half_cache,
                       .window = s->windows[layer],
                       .qk_norm = s->qk_norm,
                       .norm_kind = s->norm_kind,
                       .rotary_dim = s->rotary_dim,
                       .interleaved = s->rotary_interleaved,
                       .scale = s->attention_scales[layer],
                       .cap = s->attention_cap,
                       .clip = s->qkv_clip,
                       .epsilon = s->layer_norm_epsilon,
                       .q_norm = w->vectors[Q_NORM],
                       .q_norm_bias = w->vectors[Q_NORM_BIAS],
                       .k_norm = w->vectors[K_NORM],
                       .k_norm_bias = w->vectors[K_NORM_BIAS],
                       .turns = table < 0 || !c->turns ? NULL : c->turns[table],
                       .growth = c->growth,
                       .slopes = s->alibi_slopes,
                       .given_queries = layer_at(hooks->given_queries, layer, hooks->period, heads_width(s)),
                       .given_keys = layer_at(hooks->given_keys, layer, hooks->period, s->kv_heads * s->head_size),
                       .period = hooks->period,
                       .parts = c->parts};
}

/* The MLP's hidden layer, computed from a normalized input. `next`: the matrix that is read after it. */
static void add_hidden(schedule *all, const call *c, int layer, const normalization *norm, const matrix *next) {
    const weights *w = &c->g->layers[layer];
    const matrix *up = &w->matrices[UP], *gate = &w->matrices[GATE];
    const int gated = c->s->gated;
    add_normed(all, c, norm,
               layer_of(c, up, w->vectors[UP_BIAS], NULL, c->hidden, gated ? STORE : ACTIVATE, gated ? gate : next));
    if (gated) add_normed(all, c, norm, layer_of(c, gate, w->vectors[GATE_BIAS], NULL, c->hidden, GATED, next));
    add_point(all, c, NEURONS, layer, c->hidden, c->s->mlp_width, c->s->mlp_width);
}

/* --- the model --------------------------------------------------------------------------------------------------------- */

static void add_block(schedule *all, const call *c, int layer) {
    const gptcli_shape *s = c->s;
    const weights *w = &c->g->layers[layer];
    const matrix *qkv = &w->matrices[QKV], *project = &w->matrices[ATTENTION], *up = &w->matrices[UP], *down = &w->matrices[DOWN];
    const matrix *after = layer + 1 < s->n_layer ? &w[1].matrices[QKV] : output_of(c->g);
    const int parallel = s->parallel_residual, before = s->norm == PRE || s->norm == SANDWICH;
    const int behind = s->norm == AFTER || s->norm == SANDWICH, post = s->norm == POST;
    const normalization ln_1 = norm_of(c, w, LN_1, before);
    const normalization ln_2 = s->shared_norm ? ln_1 : norm_of(c, w, LN_2, before);
    const attention heads = attention_of(c, layer);
    add_input(all, &ln_1, c->m);
    add_normed(all, c, &ln_1, layer_of(c, qkv, w->vectors[QKV_BIAS], NULL, c->qkv, STORE, parallel ? up : project));
    if (parallel) {
        if (!s->shared_norm) add_input(all, &ln_2, c->m);
        add_hidden(all, c, layer, &ln_2, project);
    }
    add_attention(all, &heads);
    add_point(all, c, QUERIES, layer, c->qkv, qkv_width(s), heads_width(s));
    add_point(all, c, HEADS, layer, c->normed, heads_width(s), heads_width(s));
    add_output(all, c, layer_of(c, project, w->vectors[ATTENTION_BIAS], c->normed, NULL, ADD, parallel ? down : up),
               norm_of(c, w, LN_1_OUT, behind), SUM_ATTENTION, layer);
    if (post) add_stream_norm(all, c, norm_of(c, w, LN_1, 1));
    if (!parallel) {
        add_input(all, &ln_2, c->m);
        add_hidden(all, c, layer, &ln_2, down);
    }
    add_output(all, c, layer_of(c, down, w->vectors[DOWN_BIAS], c->hidden, NULL, ADD, after), norm_of(c, w, LN_2_OUT, behind),
               SUM_MLP, layer);
    if (post) add_stream_norm(all, c, norm_of(c, w, LN_2, 1));
    add_point(all, c, STREAM, layer + 1, c->x, s->n_embd, s->n_embd);
}

/* Copy rows of the token embedding to x, or to the input of the projection. */
static void read_rows(worker *me, const phase *p, range now, range next) {
    const call *c = p->other;
    const matrix *embedding = &c->g->whole.matrices[EMBEDDING];
    float *to = embedding->columns == c->s->n_embd ? c->x : c->qkv;
    (void)next;
    for (int m = now.first; m < now.last; m++)
        me->k->dequantize_row(embedding, c->ids[m], 0, embedding->columns, to + (size_t)m * embedding->columns);
}

/* Scale the token embeddings, and add position embeddings if there are any. */
static void place(worker *me, const phase *p, range now, range next) {
    const call *c = p->other;
    const float *all = c->g->whole.vectors[POSITION];
    const int width = c->s->n_embd;
    (void)next;
    for (int m = now.first; m < now.last; m++) {
        float *x = c->x + (size_t)m * width;
        const float *position = all ? all + (size_t)c->positions[m] * width : NULL;
        if (c->s->embedding_scale != 1.0f) me->k->soft_cap(x, width, c->s->embedding_scale, 0.0f);
        for (int i = 0; i < width && position; i++) x[i] += position[i];
    }
}

static void embed(worker *me, const phase *p, range now, range next) {
    read_rows(me, p, now, next);
    place(me, p, now, next);
}

static void add_embedding(schedule *all, const call *c) {
    const matrix *project = &c->g->whole.matrices[PROJECT_IN];
    add_phase(all, project->rows ? read_rows : embed, c->m, 4, 0)->other = (void *)c;
    if (project->rows) {
        const linear job = layer_of(c, project, NULL, c->qkv, c->x, STORE, &c->g->layers->matrices[QKV]);
        add_linear(all, &job);
        add_phase(all, place, c->m, 4, 0)->other = (void *)c;
    }
    add_stream_norm(all, c, norm_of(c, &c->g->whole, LN_0, c->s->embedding_norm));
}

enum { LOGITS_AT_ONCE = 4096 };

/* Scale and cap the logits. A unit is LOGITS_AT_ONCE consecutive logits of [wanted_count, V]. */
static void cap_logits(worker *me, const phase *p, range now, range next) {
    const call *c = p->other;
    const size_t all = (size_t)c->wanted_count * (size_t)c->s->vocab_size;
    (void)next;
    for (int unit = now.first; unit < now.last; unit++) {
        const size_t from = (size_t)unit * LOGITS_AT_ONCE, n = all - from < LOGITS_AT_ONCE ? all - from : LOGITS_AT_ONCE;
        me->k->soft_cap(c->logits + from, (int)n, c->s->logit_scale, c->s->logit_cap);
    }
}

/* The final norm and the unembedding of the wanted tokens. */
static void add_logits(schedule *all, const call *c) {
    const gptcli_shape *s = c->s;
    const matrix *project = &c->g->whole.matrices[PROJECT_OUT], *first = &c->g->layers->matrices[QKV];
    linear output = layer_of(c, output_of(c->g), c->g->whole.vectors[UNEMBEDDING_BIAS], NULL, c->logits, STORE, first);
    normalization ln_f = norm_of(c, &c->g->whole, LN_F, s->final_norm);
    ln_f.rows = c->wanted;
    output.m = c->wanted_count;
    add_input(all, &ln_f, output.m);
    if (project->rows) {
        linear narrow = layer_of(c, project, NULL, NULL, c->qkv, STORE, output.w);
        narrow.m = c->wanted_count;
        add_normed(all, c, &ln_f, narrow);
        output.x = c->qkv;
        add_linear(all, &output);
    } else {
        add_normed(all, c, &ln_f, output);
    }
    if (s->logit_scale == 1.0f && s->logit_cap == 0.0f) return;
    const size_t count = (size_t)c->wanted_count * (size_t)s->vocab_size;
    add_phase(all, cap_logits, (int)((count + LOGITS_AT_ONCE - 1) / LOGITS_AT_ONCE), 1, 0)->other = (void *)c;
}

/* The residual stream is not what the call before left, but given: see gptcli_hooks. */
static void copy_start(worker *me, const phase *p, range now, range next) {
    const call *c = p->other;
    const size_t width = (size_t)c->s->n_embd;
    (void)me, (void)next;
    for (int m = now.first; m < now.last; m++)
        memcpy(c->x + (size_t)m * width, c->hooks->start + (size_t)(m % c->hooks->period) * width, width * sizeof *c->x);
}

static schedule schedule_of(const call *c) {
    gpt *g = c->g;
    return (schedule){.k = g->k,
                      .scratch = c->scratch,
                      .scratch_floats = c->scratch_floats,
                      .threads = g->threads,
                      .phases = g->phases,
                      .room = g->phase_count,
                      .model = g};
}

/* Build and run the schedule of a call. */
static void read_tokens(const call *c) {
    const int layers = c->s->n_layer, width = c->s->n_embd;
    schedule all = schedule_of(c);
    if (c->hooks && c->hooks->start) add_phase(&all, copy_start, c->m, 4, 0)->other = (void *)c;
    else if (c->first == 0) add_embedding(&all, c);
    if (c->first == 0) add_point(&all, c, STREAM, 0, c->x, width, width);
    for (int layer = c->first; layer < c->last && layer < layers; layer++) add_block(&all, c, layer);
    if (c->last > layers && c->wanted_count) add_logits(&all, c);
    pool_run(&all);
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }
static size_t lined(size_t floats) { return (floats + 15) / 16 * 16; } /* round up to whole cache lines */

/* Memory for so many floats, whose content is lost; 0, or -1 where there is none. */
static int reserve(gpt *g, size_t needed) {
    if (needed <= g->space_floats) return 0;
    huge_free(g->space);
    g->space = huge_alloc(needed * sizeof *g->space);
    g->space_floats = g->space ? needed : 0;
    return g->space ? 0 : -1;
}

/* Place a call's buffers in the engine's workspace; 0, or -1 when there is no memory. */
static int lay_out(call *c) {
    gpt *g = c->g;
    const gptcli_shape *s = c->s;
    const size_t m = (size_t)c->m, C = (size_t)s->n_embd, hidden = (size_t)s->mlp_width;
    const size_t qkv = larger((size_t)qkv_width(s), (size_t)s->embedding_width), normed = larger(C, (size_t)heads_width(s));
    const size_t columns = larger(larger(normed, hidden), (size_t)s->embedding_width),
                 widest = larger(larger(qkv, hidden), columns);
    /* Queries, keys and values share memory with the hidden layer, unless both are needed at once (parallel residual). */
    const size_t wide = s->parallel_residual ? qkv + hidden : larger(qkv, hidden),
                 gate = s->gated && c->m > GEMV_MAX ? hidden : 0;
    const size_t joined = c->hooks || s->residual_scale != 1.0f || s->norm == AFTER || s->norm == SANDWICH ? C : 0;
    const size_t packed = c->m > GEMV_MAX ? packed_floats(g->k, c->m, (int)columns) : 0;
    /* The final norm and the unembedding may process few tokens while the layers process many: take the larger scratch. */
    const size_t linear = larger(linear_scratch(g->k, c->m, (int)widest), linear_scratch(g->k, GEMV_MAX, (int)widest));
    const attention heads = {.heads = s->n_head,
                             .kv_heads = s->kv_heads,
                             .head_size = s->head_size,
                             .m = c->m,
                             .positions = c->positions,
                             .capacity = c->capacity,
                             .prefill = c->prefill,
                             .half = g->half_cache};
    const size_t parts = attention_shared(&heads, g->threads);
    const size_t own = linear + GEMV_MAX * C, shared = lined(m * (C + normed + wide + gate + joined) + parts + packed);
    c->normed_at = linear;
    c->scratch_floats = lined(larger(own, attention_scratch(c->capacity, &heads)) + OVERREAD);
    if (reserve(g, shared + c->scratch_floats * (size_t)g->threads)) return -1;
    c->x = g->space;
    c->normed = c->x + m * C;
    c->qkv = c->normed + m * normed;
    c->hidden = c->qkv + (s->parallel_residual ? m * qkv : 0);
    c->gate = c->qkv + m * wide;
    c->joined = c->gate + m * gate;
    c->parts = c->joined + m * joined;
    c->packed = c->parts + parts;
    c->scratch = g->space + shared;
    return 0;
}

/* Read m tokens. Returns 0, or -1 when there is no memory.
 *
 *   ids, rows, positions [m]   each token's id, its row of the batch, and its position in that row
 *   prefill                    STEPS: each token is a step of a different row. ONE_TEXT: all belong to one row, at consecutive
 *                              positions, so that gemm can be used. TEXTS: the same for several rows, one after the other,
 *                              each from position 0
 *   turns                      the rotary tables, each [position][cosines, then sines, of rotary_dim / 2 pairs]
 *   growth [position]          factor of the queries, or NULL; like `turns` it covers all positions of the call
 *   cache                      [layers][2][batch][K][capacity][D] in the engine's precision, then OVERREAD more floats; keys and
 *                              values are written to it
 *   wanted [wanted_count]      indices of the tokens whose logits are computed
 *   logits                     [wanted_count, V]
 *   first, last                the stages to run, from `first` to before `last`: each layer is a stage, and the logits are the
 *                              last one. The caller may split the stages over several calls with the same other arguments, so
 *                              that it can stop in between.
 *   hooks                      what is recorded and changed; NULL: nothing. Where a text is split over several calls, `start`
 *                              is only of the first
 */
int gptcli_read(void *engine, int m, const int *ids, const int *rows, const int *positions, int prefill,
                const float *const *turns, const float *growth, void *cache, int batch, int capacity, int wanted_count,
                const int *wanted, float *logits, int first, int last, const gptcli_hooks *hooks) {
    gpt *g = engine;
    call c = {.g = g,
              .s = &g->shape,
              .ids = ids,
              .rows = rows,
              .positions = positions,
              .wanted = wanted,
              .m = m,
              .wanted_count = wanted_count,
              .capacity = capacity,
              .prefill = prefill,
              .turns = turns,
              .growth = growth,
              .hooks = hooks,
              .first = first,
              .last = last,
              .layer_numbers = (size_t)batch * (size_t)g->shape.kv_heads * (size_t)g->shape.head_size * (size_t)capacity,
              .cache = cache,
              .logits = logits};
    if (lay_out(&c)) return -1;
    read_tokens(&c);
    return 0;
}

/* Where a layer looks: the attention weights of m queries, at consecutive positions from `start` on. Returns 0, or -1 when there
 * is no memory.
 *
 *   queries [m, H D]           as gptcli_read records them
 *   keys                       [K][capacity][D] of this layer, as gptcli_read writes them to the cache, then OVERREAD more floats
 *   scores                     1: the scores before the softmax, capped and with their slopes; -infinity where a query does not
 *                              look
 *   out [H, m, start + m]
 */
int gptcli_pattern(void *engine, int layer, int m, int start, const float *queries, const void *keys, int capacity, int scores,
                   float *out) {
    gpt *g = engine;
    call c = {.g = g, .s = &g->shape, .m = m, .capacity = capacity};
    attention job = attention_of(&c, layer);
    job.qkv = (float *)queries, job.keys = (void *)keys, job.out = out, job.positions = &start;
    c.scratch_floats = lined(attention_scratch(capacity, &job) + OVERREAD);
    if (reserve(g, c.scratch_floats * (size_t)g->threads)) return -1;
    c.scratch = g->space;
    schedule all = schedule_of(&c);
    add_pattern(&all, &job, scores);
    pool_run(&all);
    return 0;
}

/* The final norm and the unembedding of rows of the residual stream [n, C]: logits [n, V]. Returns 0, or -1 when there is no
 * memory. */
int gptcli_unembed(void *engine, int n, const float *stream, float *logits) {
    gpt *g = engine;
    call c = {.g = g, .s = &g->shape, .m = n, .wanted_count = n, .capacity = 1, .prefill = TEXTS, .logits = logits};
    if (lay_out(&c)) return -1;
    memcpy(c.x, stream, (size_t)n * (size_t)g->shape.n_embd * sizeof *stream);
    schedule all = schedule_of(&c);
    add_logits(&all, &c);
    pool_run(&all);
    return 0;
}
