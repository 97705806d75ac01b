/* AMX's tiles in plain C, so that amx.c and its formats can be tested on processors without AMX: included before every file of
 * the library (see test_amx.py), with GPTCLI_AMX_EMULATED for amx.c's detection.
 *
 * A tile is 16 rows of 64 bytes. A product adds to a 16 x 16 tile of int32 what 16 rows of 64 bytes times 64 columns of 16 bytes
 * come to, which are stored as [column / 4][16][4].
 */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbssd
#undef _tile_dpbsud
#undef _tile_loadconfig
#undef _tile_release

static _Thread_local int8_t emulated_tile[8][16][64];

static inline void emulated_load(int tile, const void *from, size_t stride) {
    for (int row = 0; row < 16; row++) memcpy(emulated_tile[tile][row], (const char *)from + row * stride, 64);
}

static inline void emulated_store(int tile, void *to, size_t stride) {
    for (int row = 0; row < 16; row++) memcpy((char *)to + row * stride, emulated_tile[tile][row], 64);
}

static inline void emulated_product(int sums, int a, int b, int b_is_unsigned) {
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 16; column++) {
            int32_t sum;
            memcpy(&sum, &emulated_tile[sums][row][4 * column], sizeof sum);
            for (int k = 0; k < 64; k++) {
                const int8_t right = emulated_tile[b][k / 4][4 * column + k % 4];
                sum += emulated_tile[a][row][k] * (b_is_unsigned ? (uint8_t)right : right);
            }
            memcpy(&emulated_tile[sums][row][4 * column], &sum, sizeof sum);
        }
}

#define _tile_loadd(tile, from, stride) emulated_load(tile, from, stride)
#define _tile_stored(tile, to, stride) emulated_store(tile, to, stride)
#define _tile_zero(tile) memset(emulated_tile[tile], 0, sizeof emulated_tile[tile])
#define _tile_dpbssd(sums, a, b) emulated_product(sums, a, b, 0)
#define _tile_dpbsud(sums, a, b) emulated_product(sums, a, b, 1)
#define _tile_loadconfig(configuration) ((void)(configuration))
#define _tile_release() ((void)0)
