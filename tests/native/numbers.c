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

/* The library's interface, as far as it is used here (library.py has all of it). */
typedef struct {
    int layers, width, heads, hidden, vocabulary, positions, activation;
    float epsilon, scale;
} shape;
void *gptcli_new(const shape *shape, int threads, int level);
int gptcli_alloc_matrix(void *engine, int which, int layer, int kind, int rows, int columns);
int gptcli_fill_matrix(void *engine, int which, int layer, const void *source, int source_kind, int transposed);
void gptcli_matrix_view(void *engine, int which, int layer, void **numbers, float **scales, int *about);
int gptcli_fill_vector(void *engine, int which, int layer, const float *source, size_t n);
int gptcli_finite(const void *source, size_t n, int kind);
int gptcli_shortlist(const float *logits, int n, int k, int *places, float *values, double *log_sum);
int gptcli_read(void *engine, int m, const int *ids, const int *rows, const int *positions, int prefill, float *cache, int batch,
                int capacity, int wanted_count, const int *wanted, float *logits, int first, int last);
const char *gptcli_kernels(int level);
void gptcli_free(void *engine);

enum { FLOAT32, FLOAT16, BFLOAT16, INT8, INT4, KINDS };
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
static const char *const KIND_NAMES[] = {"float32", "float16", "bfloat16", "int8", "int4"};
static const char *const ACTIVATIONS[] = {"gelu_new", "gelu", "relu"};
enum { BEST = 5, THREADS = 2, CAPACITY = 70, VOCABULARY = 97 };

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

static void matrix(void *engine, int which, int layer, int kind, int rows, int columns) {
    float *source = numbers((size_t)rows * columns, 0, 1.0f / sqrtf((float)columns));
    if (kind == INT4 && columns % 32) kind = INT8; /* as quantize.py does */
    if (gptcli_alloc_matrix(engine, which, layer, kind, rows, columns)) fail("gptcli_alloc_matrix");
    if (gptcli_fill_matrix(engine, which, layer, source, FLOAT32, layer % 2)) fail("gptcli_fill_matrix");
    free(source);
}

static void vector(void *engine, int which, int layer, int n, float middle) {
    float *source = numbers((size_t)n, middle, 0.2f);
    if (gptcli_fill_vector(engine, which, layer, source, (size_t)n)) fail("gptcli_fill_vector");
    free(source);
}

static void *model(const shape *s, int kind) {
    shape whole = *s;
    whole.epsilon = 1e-5f, whole.scale = 1.0f / sqrtf((float)(s->width / s->heads));
    void *engine = gptcli_new(&whole, THREADS, BEST);
    if (!engine) fail("gptcli_new");
    state = 2463534242u; /* the same weights in every kind */
    matrix(engine, EMBEDDING, 0, kind == INT4 ? INT8 : kind, s->vocabulary, s->width);
    vector(engine, POSITION, 0, s->positions * s->width, 0);
    for (int layer = 0; layer < s->layers; layer++) {
        matrix(engine, QKV, layer, kind, 3 * s->width, s->width);
        matrix(engine, ATTENTION, layer, kind, s->width, s->width);
        matrix(engine, UP, layer, kind, s->hidden, s->width);
        matrix(engine, DOWN, layer, kind, s->width, s->hidden);
        vector(engine, LN_1, layer, s->width, 1), vector(engine, LN_1_BIAS, layer, s->width, 0);
        vector(engine, LN_2, layer, s->width, 1), vector(engine, LN_2_BIAS, layer, s->width, 0);
        vector(engine, QKV_BIAS, layer, 3 * s->width, 0), vector(engine, ATTENTION_BIAS, layer, s->width, 0);
        vector(engine, UP_BIAS, layer, s->hidden, 0), vector(engine, DOWN_BIAS, layer, s->width, 0);
    }
    vector(engine, LN_F, 0, s->width, 1), vector(engine, LN_F_BIAS, 0, s->width, 0);
    return engine;
}

/* A prompt of `length` tokens in each of `batch` rows, then three steps of all rows: the logits after each. */
static void runs(const char *name, void *engine, const shape *s, int length, int batch) {
    enum { STEPS = 3, MOST = CAPACITY };
    int ids[MOST], rows[MOST], positions[MOST], wanted[MOST];
    float *cache = room(((size_t)s->layers * 2 * batch * CAPACITY * s->width + 64) * sizeof *cache);
    float *logits = room((size_t)MOST * VOCABULARY * sizeof *logits);
    char label[200];
    for (int row = 0; row < batch; row++) {
        for (int i = 0; i < length; i++) {
            ids[i] = (int)(drawn() % VOCABULARY), rows[i] = row, positions[i] = i;
        }
        wanted[0] = length - 1;
        if (gptcli_read(engine, length, ids, rows, positions, 1, cache, batch, CAPACITY, 1, wanted, logits, 0, s->layers + 1))
            fail("gptcli_read");
        snprintf(label, sizeof label, "%s/prompt-of-%d/row-%d", name, length, row);
        print(label, logits, VOCABULARY);
    }
    for (int step = 0; step < STEPS; step++) {
        for (int row = 0; row < batch; row++)
            ids[row] = (int)(drawn() % VOCABULARY), rows[row] = wanted[row] = row, positions[row] = length + step;
        if (gptcli_read(engine, batch, ids, rows, positions, 0, cache, batch, CAPACITY, batch, wanted, logits, 0, s->layers + 1))
            fail("gptcli_read");
        snprintf(label, sizeof label, "%s/step-%d-of-%d-rows-after-%d", name, step, batch, length);
        print(label, logits, (size_t)batch * VOCABULARY);
    }
    free(cache);
    free(logits);
}

/* Rounded matrices, byte for byte, and the scales of INT8: of odd and of even rows, as they lie and turned. */
static void rounded(void) {
    static const int shapes[][2] = {{5, 45}, {7, 64}, {1, 1}};
    const shape s = {1, 64, 4, 64, VOCABULARY, CAPACITY, 0, 1e-5f, 1};
    for (int kind = FLOAT32; kind <= INT8; kind++)
        for (int i = 0; i < 3; i++)
            for (int turned = 0; turned < 2; turned++) {
                const int rows = shapes[i][0], columns = shapes[i][1];
                void *engine = gptcli_new(&s, THREADS, BEST), *kept;
                float *source, *scales;
                int about[2];
                state = 88172645u;
                source = numbers((size_t)rows * columns, 0, 1);
                if (gptcli_alloc_matrix(engine, UP, 0, kind, rows, columns)) fail("gptcli_alloc_matrix");
                if (gptcli_fill_matrix(engine, UP, 0, source, FLOAT32, turned)) fail("gptcli_fill_matrix");
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
    static const shape shapes[] = {
        {2, 64, 4, 256, VOCABULARY, CAPACITY, 0, 0, 0},  /* as GPT-2 */
        {3, 66, 3, 77, VOCABULARY, CAPACITY, 1, 0, 0},   /* what no vector divides */
        {1, 32, 1, 2080, VOCABULARY, CAPACITY, 2, 0, 0}, /* rows of several spans; one wide head */
    };
    fprintf(stderr, "%s\n", gptcli_kernels(BEST));
    for (int kind = 0; kind < KINDS; kind++)
        for (int i = 0; i < 3; i++) {
            char name[100];
            snprintf(name, sizeof name, "%s/%d-%s", KIND_NAMES[kind], shapes[i].width, ACTIVATIONS[shapes[i].activation]);
            void *engine = model(&shapes[i], kind);
            runs(name, engine, &shapes[i], 1, 1); /* a token; few, in a batch; and a prompt in tiles */
            runs(name, engine, &shapes[i], 5, 11);
            runs(name, engine, &shapes[i], 61, 2);
            gptcli_free(engine);
        }
    rounded();
    offers();
}
