/* Selection of the kernels for this processor; the ABI version; and single kernels by name, for tests/native. */
#include <stddef.h>
#include <string.h>

#include "native.h"

#if defined(__x86_64__) && !defined(GPTCLI_PLAIN)
#include <cpuid.h>

/* Features that __builtin_cpu_supports of some compilers does not support. */
static int has_f16c(void) {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1);
}

#ifdef GPTCLI_VNNI
static int has_avx_vnni(void) {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
#endif
#endif

const kernels *kernels_for(int level) {
#if defined(__x86_64__) && !defined(GPTCLI_PLAIN)
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
#ifdef GPTCLI_AMX
    if (level >= 5 && avx512 && kernels_amx()) return kernels_amx();
#endif
#ifdef GPTCLI_VNNI
    if (level >= 4 && avx512 && __builtin_cpu_supports("avx512vnni"))
        return __builtin_cpu_is("amd") && __builtin_cpu_supports("avx512vbmi") ? &kernels_avx512_vnni_amd : &kernels_avx512_vnni;
#endif
    if (level >= 3 && avx512) return &kernels_avx512;
#ifdef GPTCLI_VNNI
    if (level >= 2 && avx2 && has_avx_vnni()) return &kernels_avx2_vnni;
#endif
    if (level >= 1 && avx2) return &kernels_avx2;
#endif
    (void)level;
    return &kernels_plain;
}

/* The name of the instruction set that is used at a level. `level`: 5 is the best available, 4 without AMX, 3 at most AVX-512
 * without VNNI, 2 AVX2 with VNNI, 1 AVX2 without, 0 plain C. */
const char *gptcli_kernels(int level) { return kernels_for(level)->name; }

/* Python compares these with its own values when it loads the library (library.py). */
int gptcli_abi_version(void) { return ABI_VERSION; }
size_t gptcli_struct_size(void) { return sizeof(gptcli_shape); }

#define ENTRY(field) {#field, offsetof(kernels, field)}
static const struct {
    const char *name;
    size_t offset;
} entries[] = {
    ENTRY(gemv),
    ENTRY(microkernel),
    ENTRY(microkernel_unpacked),
    ENTRY(split_activations),
    ENTRY(int_gemm_pack),
    ENTRY(int_microkernel),
    ENTRY(quantize_activations),
    ENTRY(quantize_row),
    ENTRY(dequantize_row),
    ENTRY(norm),
    ENTRY(epilogue),
    ENTRY(rotate),
    ENTRY(soft_cap),
    ENTRY(add_slope),
    ENTRY(clamp),
    ENTRY(softmax_numerators),
    ENTRY(attention_scores),
    ENTRY(attention_mix),
    ENTRY(top_k),
    ENTRY(exp_sum),
    ENTRY(entropy_sums),
    ENTRY(rank_of),
    ENTRY(sum),
};
enum { ENTRIES = sizeof entries / sizeof *entries };

/* The name of the kernel with this index; NULL after the last one. */
const char *gptcli_kernel_name(int number) { return number >= 0 && number < ENTRIES ? entries[number].name : NULL; }

/* The address of a kernel for an instruction set; NULL where there is none. */
void *gptcli_kernel(int level, const char *name) {
    void *address = NULL;
    for (int i = 0; i < ENTRIES; i++)
        if (!strcmp(entries[i].name, name))
            memcpy(&address, (const char *)kernels_for(level) + entries[i].offset, sizeof address);
    return address;
}

/* The block size of the microkernels: {mr, nr}. */
void gptcli_microkernel_block(int level, int *block) { block[0] = kernels_for(level)->mr, block[1] = kernels_for(level)->nr; }
