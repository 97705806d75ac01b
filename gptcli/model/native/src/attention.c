/* Attention over the cache: softmax(q k^T scale) v (Vaswani et al. 2017, equation 1), and what queries and keys go through before.
 *
 * Shapes (M tokens, H query heads, K key and value heads, of which H / K queries share one, D head size):
 *   qkv                [M, (H + 2K) D]: queries [H, D], keys and values [K, D] of each token
 *   keys, values       [row, K, capacity, D]: the cache of this layer
 *   rows, positions    [M]: the row of the batch that each token belongs to, and its position in it
 *   out                [M, H D]
 *
 * Steps: each token by itself, and the queries of a group together, so that what they share is read once. Prompts: blocks of
 * queries, with the gemm microkernels. Windows, caps and slopes change only which positions are read and what becomes of their scores.
 */
#include <string.h>

#include "native.h"

enum { SHARED_FLOATS = 8192 }; /* of keys or values that the queries of a group read before the next ones: they stay in L1 */

size_t attention_scratch(int capacity, const attention *job) {
    const size_t keys = round_up(capacity, NR_MAX), size = (size_t)job->head_size;
    const size_t prompt = keys * size + (size_t)MR_MAX * size + (size_t)MR_MAX * keys;
    const size_t step = keys * (size_t)(job->heads / job->kv_heads) + size;
    return prompt > step ? prompt : step;
}

static int group_of(const attention *job) { return job->heads / job->kv_heads; }
static size_t row_floats(const attention *job) { return (size_t)(job->heads + 2 * job->kv_heads) * job->head_size; }

/* Where a token's queries, keys and values are, from head 0 on. */
static float *queries_at(const attention *job, int m) { return job->qkv + m * row_floats(job); }
static float *keys_at(const attention *job, int m) { return queries_at(job, m) + (size_t)job->heads * job->head_size; }
static float *values_at(const attention *job, int m) { return keys_at(job, m) + (size_t)job->kv_heads * job->head_size; }

/* Where a token's row of the cache begins, of one of its heads. */
static size_t cache_start(const attention *job, int m, int kv_head) {
    return ((size_t)job->rows[m] * job->kv_heads + kv_head) * job->capacity * job->head_size;
}

/* --- queries and keys -------------------------------------------------------------------------------------------------- */

/* The norm of one head, of those whose weights are given. */
static void norm_head(const kernels *k, const attention *job, float *x, const float *weight, const float *bias, int head) {
    const size_t from = job->qk_norm == QK_EACH_HEAD ? (size_t)head * job->head_size : 0;
    k->norm(job->norm_kind, x, weight ? weight + from : NULL, bias ? bias + from : NULL, job->epsilon, job->head_size, x);
}

/* Queries first_query..last_query and the key and value of one head of a token: clamped, normalized, turned, and into the cache. */
static void prepare_heads(const kernels *k, const attention *job, int m, int kv_head) {
    const int size = job->head_size, group = group_of(job), position = job->positions[m], whole = job->qk_norm == QK_WHOLE;
    float *queries = queries_at(job, m) + (size_t)kv_head * group * size, *key = keys_at(job, m) + (size_t)kv_head * size;
    float *value = values_at(job, m) + (size_t)kv_head * size;
    const float *turns = job->turns ? job->turns + (size_t)position * job->rotary_dim : NULL;
    const size_t at = cache_start(job, m, kv_head) + (size_t)position * size;
    if (job->clip > 0 && !whole) {
        k->clamp(queries, group * size, job->clip);
        k->clamp(key, size, job->clip);
        k->clamp(value, size, job->clip);
    }
    if (job->qk_norm != QK_NONE && !whole) {
        for (int g = 0; g < group; g++)
            norm_head(k, job, queries + (size_t)g * size, job->q_norm, job->q_norm_bias, kv_head * group + g);
        norm_head(k, job, key, job->k_norm, job->k_norm_bias, kv_head);
    }
    if (turns) {
        for (int g = 0; g < group; g++) k->rotate(queries + (size_t)g * size, turns, job->rotary_dim / 2, job->interleaved);
        k->rotate(key, turns, job->rotary_dim / 2, job->interleaved);
    }
    if (job->growth) k->soft_cap(queries, group * size, job->growth[position], 0.0f);
    memcpy(job->keys + at, key, size * sizeof *key);
    memcpy(job->values + at, value, size * sizeof *value);
}

/* All heads of some tokens. */
static void prepare_tokens(worker *me, const phase *p, range now, range next) {
    const attention *job = &p->attention;
    const int queries = job->heads * job->head_size, keys = job->kv_heads * job->head_size;
    (void)next;
    for (int m = now.first; m < now.last; m++) {
        if (job->qk_norm == QK_WHOLE) {
            float *q = queries_at(job, m), *k = keys_at(job, m);
            if (job->clip > 0) me->k->clamp(q, (int)row_floats(job), job->clip);
            me->k->norm(job->norm_kind, q, job->q_norm, job->q_norm_bias, job->epsilon, queries, q);
            me->k->norm(job->norm_kind, k, job->k_norm, job->k_norm_bias, job->epsilon, keys, k);
        }
        for (int head = 0; head < job->kv_heads; head++) prepare_heads(me->k, job, m, head);
    }
}

/* --- attention --------------------------------------------------------------------------------------------------------- */

/* The first position that is seen from one. */
static int first_seen(const attention *job, int position) {
    return job->window && position >= job->window ? position + 1 - job->window : 0;
}

/* Scores of n positions, the query's own the last of them, become numerators; returns one over their sum. */
static float weigh(const kernels *k, const attention *job, int head, float *p, int n) {
    if (job->cap > 0) k->soft_cap(p, n, 1.0f, job->cap);
    if (job->slopes) k->add_slope(p, n, job->slopes[head]);
    return 1.0f / k->softmax_numerators(p, n);
}

/* The queries of one group of a token. scratch: p [H / K][seen], and one head. */
static void attend_step(const worker *me, const attention *job, int m, int kv_head) {
    const int size = job->head_size, group = group_of(job), first = first_seen(job, job->positions[m]);
    const int seen = job->positions[m] + 1 - first, least = SHARED_FLOATS / size > 16 ? SHARED_FLOATS / size : 16;
    const int block = group == 1 ? seen : least;
    const size_t start = cache_start(job, m, kv_head) + (size_t)first * size, from = (size_t)kv_head * group * size;
    const float *queries = queries_at(job, m) + from, *keys = job->keys + start, *values = job->values + start;
    float *p = me->scratch, *part = p + (size_t)group * seen, *out = job->out + (size_t)m * job->heads * size + from;
    for (int s = 0; s < seen; s += block)
        for (int g = 0; g < group; g++)
            me->k->attention_scores(queries + (size_t)g * size, keys + (size_t)s * size, seen - s < block ? seen - s : block,
                                    size, job->scale, p + (size_t)g * seen + s);
    for (int g = 0; g < group; g++) {
        const float factor = weigh(me->k, job, kv_head * group + g, p + (size_t)g * seen, seen);
        if (group > 1) me->k->soft_cap(p + (size_t)g * seen, seen, factor, 0.0f);
        else me->k->attention_mix(p, values, seen, size, factor, out);
    }
    for (int s = 0; s < seen && group > 1; s += block)
        for (int g = 0; g < group; g++) {
            float *sum = out + (size_t)g * size;
            me->k->attention_mix(p + (size_t)g * seen + s, values + (size_t)s * size, seen - s < block ? seen - s : block, size,
                                 1.0f, s ? part : sum);
            if (s) me->k->epilogue(part, NULL, size, ADD, 0, sum);
        }
}

/* A prompt: mr queries at a time against all keys that they may see, with the gemm microkernels. scratch: keys transposed
 * [position / nr][D][nr], queries [D][mr], p [mr][p_stride]. */
static void attend_prompt(const worker *me, const attention *job, int head) {
    const int mr = me->k->mr, nr = me->k->nr, size = job->head_size, past = job->positions[0], all = past + job->m;
    const size_t start = cache_start(job, 0, head / group_of(job)), width = (size_t)job->heads * size;
    const float *keys = job->keys + start, *values = job->values + start;
    const int oldest = first_seen(job, past) / nr * nr, p_stride = round_up(all - oldest, nr);
    float *keys_t = me->scratch, *queries = keys_t + (size_t)round_up(job->capacity, NR_MAX) * size;
    float *p = queries + MR_MAX * size;
    for (int s = oldest; s < all; s += nr)
        pack_panel(keys + (size_t)s * size, size, all - s < nr ? all - s : nr, size, 1.0f, keys_t + (size_t)(s - oldest) * size,
                   nr);
    for (int m = 0; m < job->m; m += mr) {
        const int count = job->m - m < mr ? job->m - m : mr, seen = past + m + count;
        const int first = first_seen(job, past + m) / nr * nr;
        float *out = job->out + m * width + (size_t)head * size;
        pack_panel(queries_at(job, m) + (size_t)head * size, row_floats(job), count, size, job->scale, queries, mr);
        for (int s = first; s < seen; s += nr)
            me->k->microkernel(size, queries, keys_t + (size_t)(s - oldest) * size, nr, p + (s - first), p_stride, mr, nr, 0);
        float factor[MR_MAX];
        for (int i = 0; i < count; i++) {
            float *row = p + (size_t)i * p_stride;
            const int from = first_seen(job, past + m + i) - first, visible = past + m + i + 1 - first;
            factor[i] = weigh(me->k, job, head, row + from, visible - from);
            memset(row, 0, (size_t)from * sizeof *row);
            memset(row + visible, 0, (size_t)(seen - first - visible) * sizeof *row);
        }
        for (int d = 0; d < size; d += nr)
            me->k->microkernel_unpacked(seen - first, p, p_stride, values + (size_t)first * size + d, size, out + d, width, count,
                                        size - d < nr ? size - d : nr);
        for (int i = 0; i < count; i++)
            for (int d = 0; d < size; d++) out[i * width + d] *= factor[i];
    }
}

/* --- phases ------------------------------------------------------------------------------------------------------------ */

static int is_long(const attention *job) { return job->prefill && job->m > GEMV_MAX; }

/* Whether queries and keys are prepared in a phase of their own: all heads are needed at once, or the queries of a group come in
 * different chunks. Otherwise that is done with the chunk that needs them, which saves a phase. */
static int is_apart(const attention *job) { return job->qk_norm == QK_WHOLE || (is_long(job) && group_of(job) > 1); }

/* Chunks are of key heads: of each token where these are of different rows. */
static void attend_steps(worker *me, const phase *p, range now, range next) {
    const attention *job = &p->attention;
    const int apart = is_apart(job), tokens = job->prefill ? job->m : 1;
    (void)next;
    for (int unit = now.first; unit < now.last; unit++) {
        const int head = unit % job->kv_heads, first = job->prefill ? 0 : unit / job->kv_heads;
        for (int m = first; m < first + tokens && !apart; m++) prepare_heads(me->k, job, m, head);
        for (int m = first; m < first + tokens; m++) attend_step(me, job, m, head);
    }
}

static void attend_prompts(worker *me, const phase *p, range now, range next) {
    const attention *job = &p->attention;
    (void)next;
    for (int head = now.first; head < now.last; head++) {
        for (int m = 0; m < job->m && !is_apart(job); m++) prepare_heads(me->k, job, m, head);
        attend_prompt(me, job, head);
    }
}

void add_attention(schedule *all, const attention *job) {
    const int units = is_long(job) ? job->heads : job->kv_heads * (job->prefill ? 1 : job->m);
    const int chunk = is_long(job) || units < 8 * all->threads ? 1 : units / (8 * all->threads);
    if (is_apart(job)) add_phase(all, prepare_tokens, job->m, 1, 0)->attention = *job;
    add_phase(all, is_long(job) ? attend_prompts : attend_steps, units, chunk, 0)->attention = *job;
}
