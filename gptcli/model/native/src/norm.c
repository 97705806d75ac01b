/* Norms over the residual stream, and the addition of the outputs of attention and MLP to it.
 *
 * Shapes: x and out [M, C]; weight and bias [C], or NULL. `rows`: indices of rows of x, [M], or NULL for all in order.
 */
#include "native.h"

void norm_rows(const kernels *k, const normalization *job, int first, int last, float *out) {
    for (int i = first; i < last; i++)
        k->norm(job->kind, job->x + (size_t)(job->rows ? job->rows[i] : i) * job->width, job->weight, job->bias, job->epsilon,
                job->width, out + (size_t)i * job->width);
}

static void norm_chunk(worker *me, const phase *p, range now, range next) {
    const normalization *job = &p->norm;
    (void)next;
    norm_rows(me->k, job, now.first, now.last, job->out);
    for (int i = now.first; i < now.last && job->factor != 1.0f; i++)
        me->k->soft_cap(job->out + (size_t)i * job->width, job->width, job->factor, 0.0f);
}

void add_norm(schedule *all, const normalization *job, int m) { add_phase(all, norm_chunk, m, 4, 0)->norm = *job; }

static void join_chunk(worker *me, const phase *p, range now, range next) {
    const normalization *job = &p->norm;
    const int width = job->width;
    (void)next;
    for (int i = now.first; i < now.last; i++) {
        float *x = (float *)job->x + (size_t)i * width;
        norm_rows(me->k, job, i, i + 1, (float *)job->x);
        if (job->factor != 1.0f) me->k->soft_cap(x, width, job->factor, 0.0f);
        me->k->epilogue(x, NULL, width, ADD, 0, job->out + (size_t)i * width);
    }
}

void add_join(schedule *all, const normalization *job, int m) { add_phase(all, join_chunk, m, 4, 0)->norm = *job; }
