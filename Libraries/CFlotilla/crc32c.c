#include "CFlotilla.h"

#include <string.h>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#endif

// The reflected Castagnoli polynomial of RFC 3720.
#define POLYNOMIAL 0x82f63b78u

static uint32_t table[8][256];

// Filled before main runs, so that no reader ever has to check or lock.
__attribute__((constructor)) static void fill_tables(void) {
    for (uint32_t value = 0; value < 256; value++) {
        uint32_t crc = value;
        for (int bit = 0; bit < 8; bit++) crc = (crc & 1) ? (crc >> 1) ^ POLYNOMIAL : crc >> 1;
        table[0][value] = crc;
    }
    for (int slice = 1; slice < 8; slice++)
        for (int value = 0; value < 256; value++)
            table[slice][value] = (table[slice - 1][value] >> 8) ^ table[0][table[slice - 1][value] & 0xff];
}

uint32_t flotilla_crc32c_table(uint32_t crc, const void *bytes, size_t count) {
    const uint8_t *next = bytes;
    uint32_t state = ~crc;
    while (count >= 8) {
        uint32_t low = state ^ ((uint32_t)next[0] | (uint32_t)next[1] << 8 | (uint32_t)next[2] << 16 |
                                (uint32_t)next[3] << 24);
        state = table[7][low & 0xff] ^ table[6][(low >> 8) & 0xff] ^ table[5][(low >> 16) & 0xff] ^
                table[4][low >> 24] ^ table[3][next[4]] ^ table[2][next[5]] ^ table[1][next[6]] ^ table[0][next[7]];
        next += 8;
        count -= 8;
    }
    while (count--) state = (state >> 8) ^ table[0][(state ^ *next++) & 0xff];
    return ~state;
}

#if defined(__x86_64__)

#include <nmmintrin.h>

bool flotilla_crc32c_hardware_available(void) { return __builtin_cpu_supports("sse4.2"); }

__attribute__((target("sse4.2"))) uint32_t flotilla_crc32c_hardware(uint32_t crc, const void *bytes, size_t count) {
    const uint8_t *next = bytes;
    uint64_t state = ~crc;
    while (count >= 8) {
        uint64_t word;
        memcpy(&word, next, 8);
        state = _mm_crc32_u64(state, word);
        next += 8;
        count -= 8;
    }
    uint32_t tail = (uint32_t)state;
    while (count--) tail = _mm_crc32_u8(tail, *next++);
    return ~tail;
}

#elif defined(__aarch64__)

#include <arm_acle.h>

bool flotilla_crc32c_hardware_available(void) {
#if defined(__linux__)
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
#else
    return true;
#endif
}

__attribute__((target("crc"))) uint32_t flotilla_crc32c_hardware(uint32_t crc, const void *bytes, size_t count) {
    const uint8_t *next = bytes;
    uint32_t state = ~crc;
    while (count >= 8) {
        uint64_t word;
        memcpy(&word, next, 8);
        state = __crc32cd(state, word);
        next += 8;
        count -= 8;
    }
    while (count--) state = __crc32cb(state, *next++);
    return ~state;
}

#else

bool flotilla_crc32c_hardware_available(void) { return false; }

uint32_t flotilla_crc32c_hardware(uint32_t crc, const void *bytes, size_t count) {
    return flotilla_crc32c_table(crc, bytes, count);
}

#endif
