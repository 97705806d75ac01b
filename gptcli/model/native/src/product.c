/* Linear layers. A few activations: each row of the matrix is read once for all of them. Many (a long prompt): blocks of the
 * matrix are unpacked to float32 and multiplied in registers, so that every kind of weight runs at one speed. */
#include "native.h"

enum { DEEP = 768, CHUNK = 256 }; /* columns of a block (whole groups of 4-bit weights), and rows finished at once */
enum { BAND = 64, LINE = BAND + 16 }; /* columns turned at once, and a line of them: not a power of two, whose places collide */
enum { LEAST = 16 }; /* rows handed out at once, at the end of a step */

/* Rows packed for whole numbers, and the sums of a tile. */
static size_t whole_floats(int columns) {
    return (size_t)(short_columns(columns) / 2 + short_columns(columns) / GROUP + 1 + TALLEST) * WIDEST;
}

size_t packed_floats(const kernels *k, int m, int columns) {
    const size_t tiles = k->together ? k->together_packed(m, columns) : (size_t)padded(m, TALLEST) * columns;
    const size_t shortened = short_floats(m, columns);
    return tiles > shortened ? tiles : shortened;
}

size_t linear_scratch(const kernels *k, int m, int columns) {
    const size_t tiles = k->together && m > MOST ? k->together_scratch(m, columns) : (size_t)(DEEP + LINE) * WIDEST;
    const size_t few = (size_t)MOST * CHUNK + short_floats(MOST, columns), whole = k->whole_tile ? whole_floats(columns) : 0;
    const size_t most = tiles > few ? tiles : few;
    return most > whole ? most : whole;
}

void finish_part(const worker *me, const linear *job, const float *sums, size_t stride, int first, int last) {
    const float *bias = job->bias ? job->bias + first : NULL;
    for (int m = 0; m < job->m; m++)
        me->k->finish(sums + m * stride, bias, last - first, job->finish, job->activation, job->y + m * job->stride + first);
}

/* The activations as INT8 and INT4 matrices take them: in each thread's scratch, or where all threads have them. */
static activations shortened(const worker *me, const linear *job, const float *x) {
    const int own = job->m <= MOST, columns = job->w->columns;
    float *room = own ? me->scratch + MOST * CHUNK : job->packed;
    const size_t m = (size_t)job->m, whole = m * (size_t)(short_columns(columns) / 2), less = m * (size_t)lesser(columns);
    return (activations){x, (int16_t *)room, room + whole + less, (int32_t *)(room + whole)};
}

/* Activations first..last are shortened, and `rows` where it is for that. */
static void shorten_some(const worker *me, const linear *job, activations all, int first, int last, int rows) {
    const int columns = job->w->columns;
    for (int m = first; m < last; m++) {
        const activations one = from_place(all, m, columns);
        me->k->shorten(one.x, columns, one.whole, one.step);
        if (rows && me->k->digits) me->k->digits(job->w->kind, columns, one.whole, one.less);
    }
}

static void shorten_shared(worker *me, const phase *job, range now, range then) {
    (void)then;
    shorten_some(me, &job->linear, shortened(me, &job->linear, job->linear.x), now.first, now.last, 0);
}

static void shorten_shared_for_rows(worker *me, const phase *job, range now, range then) {
    (void)then;
    shorten_some(me, &job->linear, shortened(me, &job->linear, job->linear.x), now.first, now.last, 1);
}

/* What is read when rows from `first` to `last` come next. */
static onward stretch(const matrix *w, int first, int last) {
    const int count = last - first < CHUNK ? last - first : CHUNK;
    return (onward){(const char *)w->data + (size_t)first * w->row_bytes, count * w->row_bytes};
}

/* Rows first..last of the matrix with all activations. */
static void some(worker *me, const linear *job, activations all, int first, int last, onward then) {
    float *value = me->scratch; /* [MOST, CHUNK] */
    for (int end; first < last; first = end) {
        end = last - first < CHUNK ? last : first + CHUNK;
        const onward next = end < last ? stretch(job->w, end, last) : then;
        for (int m = 0; m < job->m; m += MOST) {
            linear part = *job;
            part.m = job->m - m < MOST ? job->m - m : MOST;
            part.y += (size_t)m * job->stride;
            me->k->rows(job->w, first, end, from_place(all, m, job->w->columns), part.m, value - first, CHUNK, next);
            finish_part(me, &part, value, CHUNK, first, end);
        }
    }
}

/* What all of a thread's rows are multiplied with. Few activations: every thread norms and shortens them for itself, which saves a
 * phase or two. */
static activations active(worker *me, const linear *job) {
    const int whole = job->w->kind >= INT8;
    float *own = me->scratch + job->before_at;
    const float *x = job->x ? job->x : own;
    const activations all = whole ? shortened(me, job, x) : (activations){.x = x};
    if (!me->fresh) return all;
    if (!job->x) norm_rows(me->k, &job->before, 0, job->m, own);
    if (whole && job->m <= MOST) shorten_some(me, job, all, 0, job->m, 1);
    return all;
}

static void few(worker *me, const phase *p, range now, range then) {
    const linear *job = &p->linear;
    onward next = stretch(job->w, now.last, now.last);
    if (then.first < then.last) {
        next = stretch(job->w, then.first, then.last);
    } else if (job->next) {
        then = own_share(me, job->next->rows, LEAST);
        next = stretch(job->next, then.first, then.last);
    }
    some(me, job, active(me, job), now.first, now.last, next);
}

void panel_of(const float *from, size_t stride, int n, int count, float factor, float *to, int wide) {
    for (int k = 0; k < count; k++) {
        for (int j = 0; j < n; j++) to[k * wide + j] = from[j * stride + k] * factor;
        for (int j = n; j < wide; j++) to[k * wide + j] = 0.0f;
    }
}

/* Activations as the tiles read them: blocks of DEEP columns, in each panels of TALL activations, [column][TALL]. */
static void pack_activations(worker *me, const phase *p, range now, range then) {
    const linear *job = &p->linear;
    const int tall = me->k->tall, columns = job->w->columns, panels = p->n;
    (void)then;
    for (int panel = now.first; panel < now.last; panel++)
        for (int block = 0; block < columns; block += DEEP) {
            const int deep = columns - block < DEEP ? columns - block : DEEP, m = panel * tall;
            float *to = job->packed + (size_t)block * panels * tall + (size_t)panel * deep * tall;
            panel_of(job->x + (size_t)m * columns + block, columns, job->m - m < tall ? job->m - m : tall, deep, 1.0f, to, tall);
        }
}

/* WIDE rows of the matrix as a tile reads them: [column][WIDE]. */
static void pack_weights(worker *me, const linear *job, int first, int n, int block, int deep, float *to) {
    const int wide = me->k->wide;
    float *lines = to + (size_t)DEEP * wide; /* a few columns of all rows, which stay in the first cache */
    for (int from = 0; from < deep; from += BAND) {
        const int count = deep - from < BAND ? deep - from : BAND;
        for (int j = 0; j < n; j++) me->k->row(job->w, first + j, block + from, count, lines + j * LINE);
        panel_of(lines, LINE, n, count, 1.0f, to + (size_t)from * wide, wide);
    }
}

static void many(worker *me, const phase *p, range now, range then) {
    const linear *job = &p->linear;
    const int wide = me->k->wide, tall = me->k->tall, columns = job->w->columns, first = now.first, last = now.last;
    const int panels = padded(job->m, tall) / tall;
    (void)then;
    for (int block = 0; block < columns; block += DEEP) {
        const int deep = columns - block < DEEP ? columns - block : DEEP;
        pack_weights(me, job, first, last - first, block, deep, me->scratch);
        for (int panel = 0; panel < panels; panel++) {
            const int m = panel * tall, count = job->m - m < tall ? job->m - m : tall;
            const float *left = job->packed + (size_t)block * panels * tall + (size_t)panel * deep * tall;
            me->k->tile(deep, left, me->scratch, wide, job->y + m * job->stride + first, job->stride, count,
                        last - first, block > 0 || job->finish == ADD);
        }
    }
    linear rest = *job;
    if (job->finish == ADD) rest.finish = STORE; /* the sums are in y already: only the bias is left */
    finish_part(me, &rest, job->y + first, job->stride, first, last);
}

/* INT8 and INT4 matrices times activations in 16 bits. There are at least as many of those as a tile has: the last tile takes
 * some again. */
static void many_whole(worker *me, const phase *p, range now, range then) {
    const linear *job = &p->linear;
    const int wide = me->k->wide, tall = me->k->tall, columns = job->w->columns, first = now.first, last = now.last;
    const activations all = shortened(me, job, job->x);
    float *sums = me->scratch, *packed = sums + TALLEST * WIDEST;
    (void)then;
    me->k->whole_pack(job->w, first, last - first, packed);
    for (int m = 0; m < job->m; m += tall) {
        const int from = m + tall <= job->m ? m : job->m - tall;
        const activations some = from_place(all, from, columns);
        me->k->whole_tile(job->w, packed, some.whole, some.step, sums);
        linear part = *job;
        part.m = from + tall - m;
        part.y += (size_t)m * job->stride;
        finish_part(me, &part, sums + (m - from) * wide, wide, first, last);
    }
}

void add_linear(schedule *all, const linear *job) {
    const kernels *k = all->k;
    const int rows = job->w->rows, whole = job->w->kind >= INT8, panels = padded(job->m, k->tall) / k->tall;
    if (!job->together || job->m <= k->few[job->w->kind]) {
        if (whole && job->m > MOST) add_phase(all, shorten_shared_for_rows, job->m, 1, 0)->linear = *job;
        add_phase(all, few, rows, LEAST, 1)->linear = *job;
    } else if (k->together) {
        k->together(all, job);
    } else if (k->whole_tile && whole) {
        add_phase(all, shorten_shared, job->m, 1, 0)->linear = *job;
        add_phase(all, many_whole, rows, k->wide, 0)->linear = *job;
    } else {
        add_phase(all, pack_activations, panels, 1, 0)->linear = *job;
        add_phase(all, many, rows, k->wide, 0)->linear = *job;
    }
}
