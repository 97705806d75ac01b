/* A GPT in memory: its shape, its weights, and its workspace. model.c creates, fills and frees it; engine.c runs it. */
#ifndef GPTCLI_MODEL_H
#define GPTCLI_MODEL_H

#include "native.h"

/* The weights of one layer, or those of the whole model, by the enums in native.h. */
typedef struct {
    matrix matrices[ALL_MATRICES];
    float *vectors[ALL_VECTORS];
} weights;

typedef struct {
    gptcli_shape shape; /* its arrays are owned by this model */
    int threads, half_cache;
    const kernels *k;
    weights whole, *layers; /* layers: one more than n_layer; the last stays empty */
    arena *memory;          /* of matrices */
    float *space; /* of the latest shapes */
    size_t space_floats;
    phase *phases; /* of the latest call */
    int phase_count; /* capacity for the longest schedule */
} gpt;

/* The most phases of a layer (its hooks are 6, and two norms), and of the rest: embedding, its projection and norm, the final
 * norm, the logits. */
enum { BLOCK_PHASES = 5 * LINEAR_PHASES + ATTENTION_PHASES + 6 + 8, OTHER_PHASES = 3 * LINEAR_PHASES + 7 };

static inline const matrix *output_of(const gpt *g) {
    const matrix *all = g->whole.matrices;
    return all[UNEMBEDDING].rows ? &all[UNEMBEDDING] : &all[EMBEDDING];
}

#endif
