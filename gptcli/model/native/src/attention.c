/* Attention over the cache: softmax(q k^T scale) v (Vaswani et al. 2017, equation 1), after the preparation of queries and keys.
 *
 * Shapes (M tokens, H query heads, K key and value heads, of which H / K queries share one, D head size):
 *   qkv                [M, (H + 2K) D]: queries [H, D], keys and values [K, D] of each token
 *   keys, values       [row, K, capacity, D]: the cache of this layer, in float32 or half precision
 *   rows, positions    [M]: the row of the batch that each token belongs to, and its position in it
 *   out                [M, H D]
 *
 * Steps: each token separately, but the queries of a group together, so that their shared keys and values are read once, and in
 * blocks of positions. Prompts: blocks of queries, with the gemm microkernels; several texts are one prompt after the other.
 * Windows restrict the positions that are read; caps and slopes change the scores.
 */
#include <math.h>
#include <string.h>

#include "heads.h"

/* A step's attention is computed in blocks of positions, which threads can divide, and then the blocks are joined (Dao et al.
 * 2023, Flash-Decoding). The blocks depend on nothing but the number of positions. */
enum { BLOCK = 1024, UNDIVIDED = 512, QUARTER_BYTES = 2048 };

static int blocks_of(int seen) {
    const int blocks = round_up(seen, BLOCK) / BLOCK;
    return seen > UNDIVIDED && blocks < 2 ? 2 : blocks;
}

/* The first position of a block; of the one after the last, `seen`. */
static int block_start(int block, int seen) { return (int)((int64_t)seen * block / blocks_of(seen)); }

static range block_at(int block, int seen) { return (range){block_start(block, seen), block_start(block + 1, seen)}; }

/* Each query's results of all blocks: the sums of values [blocks][D], then the blocks' largest scores and their sums of
 * numerators [blocks]. */
static size_t parts_floats(const attention *job, int blocks) { return (size_t)blocks * ((size_t)job->head_size + 2); }

size_t attention_scratch(int capacity, const attention *job) {
    const size_t keys = round_up(capacity, NR_MAX), size = (size_t)job->head_size, group = (size_t)group_of(job);
    const size_t wide = job->half ? (keys + NR_MAX) * size : 0; /* values, and some keys, in float32 */
    const size_t prompt = keys * size + (size_t)MR_MAX * size + (size_t)MR_MAX * keys + wide;
    const size_t step = group * (BLOCK + parts_floats(job, blocks_of(capacity))), pattern = group * keys;
    const size_t few = step > pattern ? step : pattern;
    return prompt > few ? prompt : few;
}

/* The first position that the query at `position` attends to. */
static int first_seen(const attention *job, int position) {
    return job->window && position >= job->window ? position + 1 - job->window : 0;
}

/* Cap the scores of n positions and add the slope; the last is `distance` positions before the query. */
static void bend(const kernels *k, const attention *job, int head, float *p, int n, int distance) {
    if (job->cap > 0) k->soft_cap(p, n, 1.0f, job->cap);
    if (job->slopes) k->add_slope(p, n, job->slopes[head], distance);
}

/* Turn the scores of all positions into softmax numerators. Returns 1 / their sum. */
static float weigh(const kernels *k, const attention *job, int head, float *p, int n) {
    float largest;
    bend(k, job, head, p, n, 0);
    return 1.0f / k->softmax_numerators(p, n, &largest);
}

/* The keys and values that a token attends to, in the cache of one head. */
typedef struct {
    const char *keys, *values;
    size_t row_bytes;
    int seen; /* their number */
} view;

static view view_of(const attention *job, int m, int kv_head) {
    const int first = first_seen(job, job->positions[m]), seen = job->positions[m] + 1 - first;
    const matrix keys = cached_rows(job, job->keys, m, kv_head), values = cached_rows(job, job->values, m, kv_head);
    const size_t start = (size_t)first * keys.row_bytes;
    return (view){.keys = (const char *)keys.data + start,
                  .values = (const char *)values.data + start,
                  .row_bytes = keys.row_bytes,
                  .seen = seen};
}

/* Scores of a group's queries with some of the visible keys: p [H / K][stride]. */
static void score(const worker *me, const attention *job, int m, int kv_head, range keys, float *p, size_t stride) {
    const view sight = view_of(job, m, kv_head);
    const float *queries = queries_at(job, m) + (size_t)kv_head * group_of(job) * job->head_size;
    me->k->attention_scores(queries, group_of(job), sight.keys + (size_t)keys.first * sight.row_bytes, job->half,
                            keys.last - keys.first, job->head_size, job->scale, p, stride);
}

/* Prefetch what the kernels of attention read first of rows first..last: the beginning of each quarter. */
static void prefetch_quarters(const char *rows, size_t row_bytes, range block) {
    const size_t quarter = (size_t)((block.last - block.first) / 4) * row_bytes;
    const size_t bytes = quarter < QUARTER_BYTES ? quarter : QUARTER_BYTES;
    for (int i = 0; i < 4; i++) {
        const char *start = rows + (size_t)block.first * row_bytes + i * quarter;
        for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch(start + at, 0, 2);
    }
}

/* One block of positions of a group's queries. parts: of the group's first query, which those of the others follow, each with
 * room for `blocks`. Scratch: p [H / K][BLOCK]. */
static void attend_block(const worker *me, const attention *job, int m, int kv_head, int block, float *parts, int blocks) {
    const view sight = view_of(job, m, kv_head);
    const range now = block_at(block, sight.seen);
    const int count = now.last - now.first, size = job->head_size, group = group_of(job);
    const size_t apart = parts_floats(job, blocks);
    float *p = me->scratch;
    score(me, job, m, kv_head, now, p, BLOCK);
    prefetch_quarters(sight.values, sight.row_bytes, now);
    for (int g = 0; g < group; g++) {
        float *largest = parts + g * apart + (size_t)blocks * size + block, *sum = largest + blocks;
        bend(me->k, job, kv_head * group + g, p + g * BLOCK, count, sight.seen - now.last);
        *sum = me->k->softmax_numerators(p + g * BLOCK, count, largest);
    }
    if (now.last < sight.seen) prefetch_quarters(sight.keys, sight.row_bytes, block_at(block + 1, sight.seen));
    me->k->attention_mix(p, BLOCK, group, sight.values + (size_t)now.first * sight.row_bytes, job->half, count, size,
                         parts + (size_t)block * size, apart);
}

/* Join the blocks of one query: softmax over all positions is a sum of each block's, weighed with exp(its largest score - the
 * largest of all). `parts` has room for `blocks`. */
static void join_blocks(const worker *me, const attention *job, int m, int head, float *parts, int blocks) {
    const int size = job->head_size, count = blocks_of(view_of(job, m, head / group_of(job)).seen);
    float *factors = parts + (size_t)blocks * size, *sums = factors + blocks, largest, total = 0;
    me->k->softmax_numerators(factors, count, &largest);
    for (int i = 0; i < count; i++) total += factors[i] * sums[i];
    me->k->soft_cap(factors, count, 1.0f / total, 0.0f);
    me->k->attention_mix(factors, 0, 1, parts, 0, count, size, job->out + ((size_t)m * job->heads + head) * size, 0);
}

/* Attention of one group of a token's queries. Scratch: p [H / K][BLOCK], then each query's parts. */
static void attend_step(const worker *me, const attention *job, int m, int kv_head) {
    const int group = group_of(job), blocks = blocks_of(view_of(job, m, kv_head).seen);
    float *parts = me->scratch + (size_t)group * BLOCK;
    for (int block = 0; block < blocks; block++) attend_block(me, job, m, kv_head, block, parts, blocks);
    for (int g = 0; g < group; g++) join_blocks(me, job, m, kv_head * group + g, parts + g * parts_floats(job, blocks), blocks);
}

/* Rows first..last of a matrix of the cache as float32: where they lie, or a copy [last - first][D] in `room`. */
static const float *wide_rows(const worker *me, const matrix *cache, int first, int last, float *room) {
    const size_t size = (size_t)cache->columns;
    if (cache->kind == FLOAT32) return (const float *)cache->data + (size_t)first * size;
    for (int s = first; s < last; s++) me->k->dequantize_row(cache, s, 0, (int)size, room + (size_t)(s - first) * size);
    return room;
}

/* Attention of a prompt: mr queries at a time with all keys that they attend to, with the gemm microkernels. Scratch: transposed
 * keys [position / nr][D][nr], queries [D][mr], p [mr][p_stride]; with a cache in half precision also nr keys and the values in
 * float32. */
static void attend_prompt(const worker *me, const attention *job, int head) {
    const int mr = me->k->mr, nr = me->k->nr, size = job->head_size, past = job->positions[0], all = past + job->m;
    const size_t width = (size_t)job->heads * size, padded = (size_t)round_up(job->capacity, NR_MAX);
    const matrix keys = cached_rows(job, job->keys, 0, head / group_of(job));
    const matrix all_values = cached_rows(job, job->values, 0, head / group_of(job));
    const int oldest = first_seen(job, past) / nr * nr, p_stride = round_up(all - oldest, nr);
    float *keys_t = me->scratch, *queries = keys_t + padded * size;
    float *p = queries + MR_MAX * size, *few = p + MR_MAX * padded;
    const float *values = wide_rows(me, &all_values, oldest, all, few + NR_MAX * size);
    for (int s = oldest; s < all; s += nr) {
        const int count = all - s < nr ? all - s : nr;
        pack_panel(wide_rows(me, &keys, s, s + count, few), size, count, size, 1.0f, keys_t + (size_t)(s - oldest) * size, nr);
    }
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
            me->k->microkernel_unpacked(seen - first, p, p_stride, values + (size_t)(first - oldest) * size + d, size, out + d,
                                        width, count, size - d < nr ? size - d : nr);
        for (int i = 0; i < count; i++)
            for (int d = 0; d < size; d++) out[i * width + d] *= factor[i];
    }
}

/* --- phases ------------------------------------------------------------------------------------------------------------ */

static int is_long(const attention *job) { return job->prefill && job->m > GEMV_MAX; }

/* With few heads and a long text, threads divide the blocks of each head instead of the heads. That takes more phases; the
 * results are bitwise the same. */
enum { SPLIT_UNITS = 4 };

static int longest_seen(const attention *job) {
    int longest = 0;
    for (int m = 0; m < job->m; m++) {
        const int seen = job->positions[m] + 1 - first_seen(job, job->positions[m]);
        if (seen > longest) longest = seen;
    }
    return longest;
}

static int is_split(const attention *job, int threads) {
    if (job->prefill == TEXTS) return 0;
    const int units = job->kv_heads * (job->prefill ? 1 : job->m);
    return !is_long(job) && threads > 1 && units < SPLIT_UNITS * threads && blocks_of(longest_seen(job)) > 1;
}

size_t attention_shared(const attention *job, int threads) {
    return is_split(job, threads) ? (size_t)job->m * job->heads * parts_floats(job, blocks_of(job->capacity)) : 0;
}

/* The parts of a token's heads from `head` on. */
static float *parts_at(const attention *job, int m, int head) {
    return job->parts + ((size_t)m * job->heads + head) * parts_floats(job, blocks_of(job->capacity));
}

static void attend_blocks(worker *me, const phase *p, range now, range next) {
    const attention *job = &p->attention;
    const int parts = p->n / (job->m * job->kv_heads), group = group_of(job), blocks = blocks_of(job->capacity);
    (void)next;
    for (int unit = now.first; unit < now.last; unit++) {
        const int block = unit % parts, head = unit / parts % job->kv_heads, m = unit / parts / job->kv_heads;
        if (block < blocks_of(view_of(job, m, head).seen))
            attend_block(me, job, m, head, block, parts_at(job, m, head * group), blocks);
    }
}

static void join_queries(worker *me, const phase *p, range now, range next) {
    const attention *job = &p->attention;
    (void)next;
    for (int unit = now.first; unit < now.last; unit++) {
        const int m = unit / job->heads, head = unit % job->heads;
        join_blocks(me, job, m, head, parts_at(job, m, head), blocks_of(job->capacity));
    }
}

static void add_split(schedule *all, const attention *job) {
    add_phase(all, prepare_tokens, job->m, 1, 0)->attention = *job;
    add_phase(all, attend_blocks, job->m * job->kv_heads * blocks_of(longest_seen(job)), 1, 0)->attention = *job;
    add_phase(all, join_queries, job->m * job->heads, 1, 0)->attention = *job;
}

/* Whether queries and keys are prepared in a separate phase: where all heads are needed at once, or the queries of a group are in
 * different chunks. Otherwise the chunk that needs them prepares them, which saves a phase. */
static int is_apart(const attention *job) {
    return job->qk_norm == QK_WHOLE || job->prefill == TEXTS || (is_long(job) && group_of(job) > 1);
}

/* A unit is a key head: of all tokens, or of one token where tokens are of different rows. */
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

/* Several texts. A unit is a query head of the text that begins with a token; a token that begins none has no work. */
static void attend_texts(worker *me, const phase *p, range now, range next) {
    const attention *job = &p->attention;
    (void)next;
    for (int unit = now.first; unit < now.last; unit++) {
        const int first = unit / job->heads;
        if (job->positions[first]) continue;
        int end = first + 1;
        while (end < job->m && job->positions[end]) end++;
        attention text = *job;
        text.qkv = queries_at(job, first), text.out = job->out + (size_t)first * job->heads * job->head_size;
        text.rows = job->rows + first, text.positions = job->positions + first, text.m = end - first;
        attend_prompt(me, &text, unit % job->heads);
    }
}

void add_attention(schedule *all, const attention *job) {
    if (job->prefill == TEXTS) {
        add_phase(all, prepare_tokens, job->m, 1, 0)->attention = *job;
        add_phase(all, attend_texts, job->m * job->heads, 1, 0)->attention = *job;
        return;
    }
    if (is_split(job, all->threads)) {
        add_split(all, job);
        return;
    }
    const int units = is_long(job) ? job->heads : job->kv_heads * (job->prefill ? 1 : job->m);
    const int chunk = is_long(job) || units < 8 * all->threads ? 1 : units / (8 * all->threads);
    if (is_apart(job)) add_phase(all, prepare_tokens, job->m, 1, 0)->attention = *job;
    add_phase(all, is_long(job) ? attend_prompts : attend_steps, units, chunk, 0)->attention = *job;
}

/* --- attention weights ------------------------------------------------------------------------------------------------- */

/* One query's row of the pattern of a head: its `seen` scores or weights p, times a factor; `other` where it does not look. */
static void write_row(const kernels *k, float *p, int seen, float factor, float other, int first, int width, float *out) {
    for (int i = 0; i < width; i++) out[i] = other;
    k->soft_cap(p, seen, factor, 0.0f);
    memcpy(out + first, p, (size_t)seen * sizeof *out);
}

/* A unit is a token and a key head. Scratch: p [H / K][seen]. */
static void write_patterns(worker *me, const phase *p, range now, range next, int scores) {
    const attention *job = &p->attention;
    const int group = group_of(job), width = job->positions[0] + job->m, row = 0;
    (void)next;
    for (int unit = now.first; unit < now.last; unit++) {
        const int m = unit / job->kv_heads, kv_head = unit % job->kv_heads, position = job->positions[0] + m;
        attention one = *job;
        one.rows = &row, one.positions = &position, one.qkv = job->qkv + (size_t)m * job->heads * job->head_size;
        const int seen = view_of(&one, 0, kv_head).seen;
        score(me, &one, 0, kv_head, (range){0, seen}, me->scratch, (size_t)seen);
        for (int g = 0; g < group; g++) {
            const int head = kv_head * group + g;
            float *weights = me->scratch + (size_t)g * (size_t)seen, factor = 1.0f;
            if (scores) bend(me->k, job, head, weights, seen, 0);
            else factor = weigh(me->k, job, head, weights, seen);
            write_row(me->k, weights, seen, factor, scores ? -INFINITY : 0.0f, position + 1 - seen, width,
                      job->out + ((size_t)head * job->m + m) * width);
        }
    }
}

static void write_weights(worker *me, const phase *p, range now, range next) { write_patterns(me, p, now, next, 0); }
static void write_scores(worker *me, const phase *p, range now, range next) { write_patterns(me, p, now, next, 1); }

void add_pattern(schedule *all, const attention *job, int scores) {
    add_phase(all, scores ? write_scores : write_weights, job->m * job->kv_heads, 1, 0)->attention = *job;
}
