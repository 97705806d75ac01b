/* What the library computes, as text: for a machine on which Python is not at hand, such as one that qemu plays. Two builds of
 * the library say the same up to rounding; test_neon.py compares them.
 *
 * Each line: a name, and numbers. Weights and tokens are drawn from a generator of our own, so that they are the same everywhere.
 * Links against the library and calls only what Python calls.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../gptcli/model/native/src/native.h"

/* The library's interface, as far as it is used here (library.py has all of it). */
void *gptcli_new(const gptcli_shape *shape, int threads, int level, int half_cache);
int gptcli_alloc_matrix(void *engine, int which, int layer, int kind, int rows, int columns);
int gptcli_fill_matrix(void *engine, int which, int layer, int first, int count, const void *source, int source_kind,
                       int transposed);
void gptcli_matrix_view(void *engine, int which, int layer, void **numbers, float **scales, int *about);
int gptcli_fill_vector(void *engine, int which, int layer, const float *source, size_t n);
int gptcli_finite(const void *source, size_t n, int kind);
int gptcli_shortlist(const float *logits, int n, int k, int *places, float *values, double *log_sum);
int gptcli_read(void *engine, int m, const int *ids, const int *rows, const int *positions, int prefill,
                const float *const *turns, const float *growth, void *cache, int batch, int capacity, int wanted_count,
                const int *wanted, float *logits, int first, int last, const gptcli_hooks *hooks);
const char *gptcli_kernels(int level);
void gptcli_free(void *engine);

static const char *const KIND_NAMES[] = {"float32", "float16", "bfloat16", "int8", "int4"};
enum { BEST = 5, THREADS = 2, CAPACITY = 70, VOCABULARY = 97, KINDS = INT4 + 1, MOST_LAYERS = 3 };

static void fail(const char *what) {
    fprintf(stderr, "%s failed\n", what);
    exit(1);
}

static void *room(size_t bytes) {
    void *made = calloc(1, bytes);
    if (!made) fail("calloc");
    return made;
}

/* xorshift32 (Marsaglia 2003): each number alike on every machine. */
static uint32_t state;
static uint32_t drawn(void) {
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return state;
}

/* n numbers about `middle`, roughly normal: sums of four; every seventeenth is four times as far out, as in real weights. */
static float *numbers(size_t n, float middle, float spread) {
    float *made = room(n * sizeof *made);
    for (size_t i = 0; i < n; i++) {
        float sum = -2.0f;
        for (int k = 0; k < 4; k++) sum += (float)(drawn() >> 8) / 16777216.0f;
        made[i] = middle + sum * spread * (i % 17 ? 1.7320508f : 6.9282032f);
    }
    return made;
}

static void print(const char *name, const float *x, size_t n) {
    fputs(name, stdout);
    for (size_t i = 0; i < n; i++) printf(" %.9g", (double)x[i]);
    putchar('\n');
}

static void fill_matrix(void *engine, int which, int layer, int kind, int rows, int columns) {
    float *source = numbers((size_t)rows * columns, 0, 1.0f / sqrtf((float)columns));
    if (kind == INT4 && columns % 32) kind = INT8; /* as quantize.py does */
    if (gptcli_alloc_matrix(engine, which, layer, kind, rows, columns)) fail("gptcli_alloc_matrix");
    if (gptcli_fill_matrix(engine, which, layer, 0, rows, source, FLOAT32, layer % 2)) fail("gptcli_fill_matrix");
    free(source);
}

static void fill_vector(void *engine, int which, int layer, int n, float middle) {
    float *source = numbers((size_t)n, middle, 0.2f);
    if (gptcli_fill_vector(engine, which, layer, source, (size_t)n)) fail("gptcli_fill_vector");
    free(source);
}

static int heads_width(const gptcli_shape *s) { return s->n_head * s->head_size; }
static int qkv_width(const gptcli_shape *s) { return (s->n_head + 2 * s->kv_heads) * s->head_size; }

static void fill_norm(void *engine, const gptcli_shape *s, int which, int layer) {
    fill_vector(engine, which, layer, s->n_embd, 1);
    if (s->norm_kind == LAYER_NORM) fill_vector(engine, which + 1, layer, s->n_embd, 0);
}

static void *model(const gptcli_shape *s, int kind) {
    static const int windows[MOST_LAYERS] = {0, 9, 0}, no_tables[MOST_LAYERS] = {-1, -1, -1}, tables[MOST_LAYERS] = {0, 0, 0};
    float scales[MOST_LAYERS];
    gptcli_shape whole = *s;
    for (int layer = 0; layer < MOST_LAYERS; layer++) scales[layer] = 1.0f / sqrtf((float)s->head_size);
    whole.layer_norm_epsilon = 1e-5f, whole.residual_scale = whole.embedding_scale = whole.logit_scale = 1;
    whole.norm = PRE, whole.final_norm = 1, whole.embedding_width = s->n_embd, whole.vocab_size = VOCABULARY;
    whole.attention_scales = scales, whole.windows = windows, whole.rotary_tables = s->rotary_dim ? tables : no_tables;
    void *engine = gptcli_new(&whole, THREADS, BEST, 0);
    if (!engine) fail("gptcli_new");
    state = 2463534242u; /* the same weights in every kind */
    fill_matrix(engine, EMBEDDING, 0, kind == INT4 ? INT8 : kind, VOCABULARY, s->n_embd);
    if (!s->rotary_dim) fill_vector(engine, POSITION, 0, CAPACITY * s->n_embd, 0);
    for (int layer = 0; layer < s->n_layer; layer++) {
        fill_matrix(engine, QKV, layer, kind, qkv_width(s), s->n_embd);
        fill_matrix(engine, ATTENTION, layer, kind, s->n_embd, heads_width(s));
        if (s->gated) fill_matrix(engine, GATE, layer, kind, s->mlp_width, s->n_embd);
        fill_matrix(engine, UP, layer, kind, s->mlp_width, s->n_embd);
        fill_matrix(engine, DOWN, layer, kind, s->n_embd, s->mlp_width);
        fill_norm(engine, s, LN_1, layer), fill_norm(engine, s, LN_2, layer);
        fill_vector(engine, QKV_BIAS, layer, qkv_width(s), 0), fill_vector(engine, ATTENTION_BIAS, layer, s->n_embd, 0);
        fill_vector(engine, UP_BIAS, layer, s->mlp_width, 0), fill_vector(engine, DOWN_BIAS, layer, s->n_embd, 0);
        if (s->qk_norm) fill_vector(engine, Q_NORM, layer, s->head_size, 1), fill_vector(engine, K_NORM, layer, s->head_size, 1);
    }
    fill_norm(engine, s, LN_F, 0);
    return engine;
}

/* Angles of rotary positions: [CAPACITY][cosines and sines of rotary_dim / 2 pairs]. */
static float *angles(const gptcli_shape *s) {
    const int half = s->rotary_dim / 2;
    float *made = room((size_t)(CAPACITY * 2 * half + 1) * sizeof *made);
    for (int position = 0; position < CAPACITY; position++)
        for (int i = 0; i < half; i++) {
            const float angle = (float)position / (float)(1 + i * i);
            made[position * 2 * half + i] = cosf(angle), made[position * 2 * half + half + i] = sinf(angle);
        }
    return made;
}

/* A prompt of `length` tokens in each of `batch` rows, then three steps of all rows: the logits after each. */
static void runs(const char *name, void *engine, const gptcli_shape *s, int length, int batch) {
    enum { STEPS = 3, MOST = CAPACITY };
    int ids[MOST], rows[MOST], positions[MOST], wanted[MOST];
    const int kv_width = s->kv_heads * s->head_size, stages = s->n_layer + 1;
    float *cache = room(((size_t)s->n_layer * 2 * batch * CAPACITY * kv_width + OVERREAD) * sizeof *cache);
    float *turns = angles(s);
    const float *const tables[] = {turns};
    float *logits = room((size_t)MOST * VOCABULARY * sizeof *logits);
    char label[200];
    for (int row = 0; row < batch; row++) {
        for (int i = 0; i < length; i++) {
            ids[i] = (int)(drawn() % VOCABULARY), rows[i] = row, positions[i] = i;
        }
        wanted[0] = length - 1;
        if (gptcli_read(engine, length, ids, rows, positions, 1, tables, NULL, cache, batch, CAPACITY, 1, wanted, logits, 0,
                        stages, NULL))
            fail("gptcli_read");
        snprintf(label, sizeof label, "%s/prompt-of-%d/row-%d", name, length, row);
        print(label, logits, VOCABULARY);
    }
    for (int step = 0; step < STEPS; step++) {
        for (int row = 0; row < batch; row++)
            ids[row] = (int)(drawn() % VOCABULARY), rows[row] = wanted[row] = row, positions[row] = length + step;
        if (gptcli_read(engine, batch, ids, rows, positions, 0, tables, NULL, cache, batch, CAPACITY, batch, wanted, logits, 0,
                        stages, NULL))
            fail("gptcli_read");
        snprintf(label, sizeof label, "%s/step-%d-of-%d-rows-after-%d", name, step, batch, length);
        print(label, logits, (size_t)batch * VOCABULARY);
    }
    free(cache);
    free(turns);
    free(logits);
}

/* Rounded matrices, byte for byte, and the scales of INT8: of odd and of even rows, as they lie and turned. */
static void rounded(void) {
    static const int shapes[][2] = {{5, 45}, {7, 64}, {1, 1}};
    static const int none[] = {0}, no_table[] = {-1};
    static const float scale[] = {1};
    const gptcli_shape s = {
        .n_layer = 1, .n_embd = 64, .n_head = 4, .attention_scales = scale, .windows = none, .rotary_tables = no_table};
    for (int kind = FLOAT32; kind <= INT8; kind++)
        for (int i = 0; i < 3; i++)
            for (int turned = 0; turned < 2; turned++) {
                const int rows = shapes[i][0], columns = shapes[i][1];
                void *engine = gptcli_new(&s, THREADS, BEST, 0), *kept;
                float *source, *scales;
                int about[2];
                state = 88172645u;
                source = numbers((size_t)rows * columns, 0, 1);
                if (gptcli_alloc_matrix(engine, UP, 0, kind, rows, columns)) fail("gptcli_alloc_matrix");
                if (gptcli_fill_matrix(engine, UP, 0, 0, rows, source, FLOAT32, turned)) fail("gptcli_fill_matrix");
                gptcli_matrix_view(engine, UP, 0, &kept, &scales, about);
                printf("bytes/%s/%d-%d-%d", KIND_NAMES[kind], rows, columns, turned);
                for (int row = 0; row < rows; row++)
                    for (int at = 0; at < columns * (kind == FLOAT32 ? 4 : kind == INT8 ? 1 : 2); at++)
                        printf(" %d", ((unsigned char *)kept)[(size_t)row * about[1] + at]);
                putchar('\n');
                if (kind == INT8) print("scales", scales, (size_t)rows);
                free(source);
                gptcli_free(engine);
            }
}

/* What choosing a token needs. */
static void offers(void) {
    enum { N = 1003, K = 20 };
    int places[K];
    float values[K];
    double log_sum;
    state = 362436069u;
    float *logits = numbers(N, 0, 3);
    if (gptcli_shortlist(logits, N, K, places, values, &log_sum)) fail("gptcli_shortlist");
    print("largest", values, K);
    printf("places");
    for (int i = 0; i < K; i++) printf(" %d", places[i]);
    printf("\nlog-sum %.12g\n", log_sum);
    logits[N - 1] = NAN;
    printf("broken %d %d\n", gptcli_finite(logits, N, FLOAT32), gptcli_shortlist(logits, N, K, places, values, &log_sum));
    free(logits);
}

int main(void) {
    static const struct {
        const char *name;
        gptcli_shape shape;
    } shapes[] = {
        {"gpt2", {.n_layer = 2, .n_embd = 64, .n_head = 4, .kv_heads = 4, .head_size = 16, .mlp_width = 256}},
        {"odd", /* what no vector divides */
         {.n_layer = 3, .n_embd = 66, .n_head = 3, .kv_heads = 3, .head_size = 22, .mlp_width = 77, .activation = GELU}},
        {"wide", /* rows of several spans; one wide head */
         {.n_layer = 1, .n_embd = 32, .n_head = 1, .kv_heads = 1, .head_size = 32, .mlp_width = 2080, .activation = RELU}},
        {"neox",
         {.n_layer = 2,
          .n_embd = 64,
          .n_head = 4,
          .kv_heads = 4,
          .head_size = 16,
          .mlp_width = 96,
          .activation = QUICK_GELU,
          .parallel_residual = 1,
          .rotary_dim = 6,
          .rotary_interleaved = 1}},
        {"llama",
         {.n_layer = 2,
          .n_embd = 64,
          .n_head = 6,
          .kv_heads = 2,
          .head_size = 18,
          .mlp_width = 96,
          .activation = SILU,
          .gated = 1,
          .norm_kind = RMS_NORM,
          .qk_norm = QK_HEAD,
          .rotary_dim = 18,
          .attention_cap = 5,
          .logit_cap = 20}},
    };
    fprintf(stderr, "%s\n", gptcli_kernels(BEST));
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            const gptcli_shape *one = &shapes[i].shape;
            char name[100];
            snprintf(name, sizeof name, "%s/%s", KIND_NAMES[kind], shapes[i].name);
            void *engine = model(one, kind);
            runs(name, engine, one, 1, 1); /* a token; few, in a batch; and a prompt in tiles */
            runs(name, engine, one, 5, 11);
            runs(name, engine, one, 61, 2);
            gptcli_free(engine);
        }
    rounded();
    offers();
}
