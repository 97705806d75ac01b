/* Hooks: activations that a call records for its caller, or changes before they are used.
 *
 * Shapes: what stands at a point is x [m, width], its rows `stride` floats apart. Buffers: [layers, room, width], see native.h.
 */
#include <string.h>

#include "native.h"

static float *buffer_of(const gptcli_hooks *hooks, int point, int layer) {
    if (layer < hooks->first_layer) return NULL;
    float *const buffers[] = {hooks->stream, hooks->queries, hooks->heads, hooks->attention, hooks->neurons, hooks->mlp};
    return buffers[point];
}

int is_hooked(const gptcli_hooks *hooks, int point, int layer) {
    if (!hooks) return 0;
    if (buffer_of(hooks, point, layer)) return 1;
    for (int i = 0; i < hooks->change_count; i++)
        if (hooks->changes[i].point == point && hooks->changes[i].layer == layer) return 1;
    return 0;
}

/* Make one change in a token's numbers. */
static void change(const gptcli_change *how, int m, float *x) {
    const float *values = how->values ? how->values + (size_t)(m - how->first) * (size_t)how->stride : NULL;
    float *to = x + how->start;
    const size_t count = (size_t)how->width;
    if (!values) memset(to, 0, count * sizeof *to);
    else if (!how->add) memcpy(to, values, count * sizeof *to);
    for (size_t i = 0; i < count && values && how->add; i++) to[i] += values[i];
}

static void hook_tokens(worker *me, const phase *p, range now, range next) {
    const hooked *at = &p->hooked;
    const gptcli_hooks *hooks = at->hooks;
    float *buffer = buffer_of(hooks, at->point, at->layer);
    (void)me, (void)next;
    for (int m = now.first; m < now.last; m++) {
        float *x = at->x + (size_t)m * at->stride;
        for (const gptcli_change *one = hooks->changes, *end = one + hooks->change_count; one < end; one++)
            if (one->point == at->point && one->layer == at->layer && one->first <= m && m < one->last) change(one, m, x);
        if (buffer) {
            const size_t row = (size_t)(at->layer - hooks->first_layer) * (size_t)hooks->room + (size_t)m;
            memcpy(buffer + row * at->width, x, at->width * sizeof *x);
        }
    }
}

void add_hooks(schedule *all, const hooked *at, int m) {
    if (is_hooked(at->hooks, at->point, at->layer)) add_phase(all, hook_tokens, m, 4, 0)->hooked = *at;
}
