// The few C lines that Swift lacks on Linux. Nothing here decides anything; each function is one instruction sequence
// or one system call.
#ifndef CFLOTILLA_H
#define CFLOTILLA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// True when this CPU computes CRC32C by an instruction (SSE4.2 on x86-64, the CRC extension on arm64).
bool flotilla_crc32c_hardware_available(void);

/// CRC32C (Castagnoli) of `count` bytes, continuing `crc` (0 at the start), by the CPU's instruction.
/// The caller must have seen `flotilla_crc32c_hardware_available()` return true.
uint32_t flotilla_crc32c_hardware(uint32_t crc, const void *bytes, size_t count);

/// The same by lookup tables (slicing by eight), on any CPU.
uint32_t flotilla_crc32c_table(uint32_t crc, const void *bytes, size_t count);

/// Names the calling thread, for debuggers and `top -H`; at most 15 bytes are kept.
void flotilla_name_thread(const char *name);

/// `open(2)` flags that Glibc's Swift overlay leaves out; 0 where the system has none.
int flotilla_open_flag_direct(void);
int flotilla_open_flag_data_sync(void);

/// Has the system write a range of a file to the disk now and waits for it; neither the file's metadata nor the disk's
/// cache is touched, so nothing is durable by it. 0, or -1 with `errno`; 0 where the system has no such call.
int flotilla_write_out(int file, int64_t offset, int64_t count);

/// Nanoseconds of the monotonic clock that goes on while the machine sleeps.
uint64_t flotilla_monotonic_nanoseconds(void);

/// Nanoseconds since 1970 by the wall clock.
uint64_t flotilla_wall_nanoseconds(void);

#endif
