/* The epilogue of linear layers, with every activation. Part of kernels.c, compiled for each instruction set.
 *
 * Shapes: sums, bias and to are float32 [n]; bias may be NULL.
 */
#ifndef GPTCLI_EPILOGUE_H
#define GPTCLI_EPILOGUE_H

/* x * (1 + tanh u) / 2 = x / (1 + exp(-2u)), u = sqrt(2 / pi) (x + 0.044715 x^3) (Hendrycks and Gimpel 2016). */
INLINE vec gelu_tanh(vec x) {
    vec cubed = v_mul(v_mul(x, x), x);
    vec twice = v_mul(v_set(-1.5957691216057308f), v_fma(cubed, v_set(0.044715f), x));
    return v_div(x, v_add(v_set(1.0f), v_exp(twice)));
}

/* x times the normal distribution function, computed as max(x, 0) - |x| exp(-x^2 / 2) t P(t), t = 1 / (1 + 0.3 |x|). This is
 * the form of Abramowitz and Stegun 1964, 7.1.26, with a different polynomial, fitted for relative error: within 3e-7 on both
 * sides. */
INLINE vec gelu(vec x) {
    const vec size = v_max(x, v_sub(v_zero(), x)), t = v_div(v_set(1.0f), v_fma(size, v_set(0.3f), v_set(1.0f)));
    vec p = v_set(0.037138596f);
    p = v_fma(p, t, v_set(-0.16327934f));
    p = v_fma(p, t, v_set(0.21678746f));
    p = v_fma(p, t, v_set(-0.06325761f));
    p = v_fma(p, t, v_set(0.13361242f));
    p = v_fma(p, t, v_set(0.098387100f));
    p = v_fma(p, t, v_set(0.12099787f));
    p = v_fma(p, t, v_set(0.11961343f));
    const vec power = v_exp(v_mul(v_mul(x, x), v_set(-0.5f)));
    return v_sub(v_max(v_zero(), x), v_mul(v_mul(size, power), v_mul(p, t)));
}

/* tanh x = (exp(2x) - 1) / (exp(2x) + 1). */
INLINE vec tanh_of(vec x) {
    const vec less_one = v_expm1(v_add(x, x));
    return v_div(less_one, v_add(less_one, v_set(2.0f)));
}

/* x over 1 + exp(-rate * x). */
INLINE vec swish(vec x, float rate) { return v_div(x, v_add(v_set(1.0f), v_exp(v_mul(x, v_set(-rate))))); }

/* x tanh(ln(1 + exp x)) = x n / (n + 2), n = exp(x) (exp(x) + 2) (Misra 2019). */
INLINE vec mish(vec x) {
    const vec power = v_exp(v_min(x, v_set(20.0f))), n = v_mul(power, v_add(power, v_set(2.0f)));
    return v_mul(x, v_div(n, v_add(n, v_set(2.0f))));
}

INLINE vec activate(vec x, const int activation) {
    const vec positive = v_max(v_zero(), x); /* this order of the arguments propagates NaN */
    switch (activation) {
        case GELU_TANH: return gelu_tanh(x);
        case GELU: return gelu(x);
        case QUICK_GELU: return swish(x, 1.702f);
        case RELU: return positive;
        case RELU2: return v_mul(positive, positive);
        case SILU: return swish(x, 1.0f);
        case MISH: return mish(x);
        case TANH: return tanh_of(x);
        default: return v_div(v_set(1.0f), v_add(v_set(1.0f), v_exp(v_sub(v_zero(), x)))); /* SIGMOID */
    }
}

INLINE vec epilogue_of(vec sums, vec bias, vec old, const int mode, const int activation) {
    const vec x = v_add(sums, bias);
    if (mode == ACTIVATE) return activate(x, activation);
    if (mode == GATED) return v_mul(old, activate(x, activation));
    return mode == ADD ? v_add(old, x) : x;
}

INLINE void epilogue_row(const float *sums, const float *bias, int n, const int mode, const int activation, float *to) {
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(to + i, epilogue_of(v_load(sums + i), bias ? v_load(bias + i) : v_zero(), v_load(to + i), mode, activation));
    if (i >= n) return;
    const size_t left = (size_t)(n - i) * sizeof *to;
    float end[3][LANES] = {{0}}; /* the last vector, padded with zeros */
    memcpy(end[0], sums + i, left);
    if (bias) memcpy(end[1], bias + i, left);
    memcpy(end[2], to + i, left);
    v_store(end[0], epilogue_of(v_load(end[0]), v_load(end[1]), v_load(end[2]), mode, activation));
    memcpy(to + i, end[0], left);
}

INLINE void epilogue_activated(const float *sums, const float *bias, int n, const int mode, int activation, float *to) {
    switch (activation) {
        case GELU_TANH: epilogue_row(sums, bias, n, mode, GELU_TANH, to); return;
        case GELU: epilogue_row(sums, bias, n, mode, GELU, to); return;
        case QUICK_GELU: epilogue_row(sums, bias, n, mode, QUICK_GELU, to); return;
        case RELU: epilogue_row(sums, bias, n, mode, RELU, to); return;
        case RELU2: epilogue_row(sums, bias, n, mode, RELU2, to); return;
        case SILU: epilogue_row(sums, bias, n, mode, SILU, to); return;
        case MISH: epilogue_row(sums, bias, n, mode, MISH, to); return;
        case TANH: epilogue_row(sums, bias, n, mode, TANH, to); return;
        default: epilogue_row(sums, bias, n, mode, SIGMOID, to); return;
    }
}

static void epilogue(const float *sums, const float *bias, int n, int mode, int activation, float *to) {
    switch (mode) {
        case STORE: epilogue_row(sums, bias, n, STORE, 0, to); return;
        case ADD: epilogue_row(sums, bias, n, ADD, 0, to); return;
        case ACTIVATE: epilogue_activated(sums, bias, n, ACTIVATE, activation, to); return;
        default: epilogue_activated(sums, bias, n, GATED, activation, to); return;
    }
}

#endif
