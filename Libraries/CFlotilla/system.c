#include "CFlotilla.h"

#include <fcntl.h>
#include <pthread.h>
#include <time.h>

void flotilla_name_thread(const char *name) {
#if defined(__linux__)
    char kept[16] = {0};
    for (int i = 0; i < 15 && name[i]; i++) kept[i] = name[i];
    pthread_setname_np(pthread_self(), kept);
#else
    pthread_setname_np(name);
#endif
}

int flotilla_open_flag_direct(void) {
#if defined(O_DIRECT)
    return O_DIRECT;
#else
    return 0;
#endif
}

int flotilla_open_flag_data_sync(void) {
#if defined(O_DSYNC)
    return O_DSYNC;
#else
    return 0;
#endif
}

int flotilla_write_out(int file, int64_t offset, int64_t count) {
#if defined(__linux__)
    return sync_file_range(
        file, offset, count,
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
#else
    (void)file;
    (void)offset;
    (void)count;
    return 0;
#endif
}

static uint64_t nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

uint64_t flotilla_monotonic_nanoseconds(void) {
#if defined(__linux__)
    return nanoseconds(CLOCK_BOOTTIME);
#else
    return nanoseconds(CLOCK_MONOTONIC);
#endif
}

uint64_t flotilla_wall_nanoseconds(void) { return nanoseconds(CLOCK_REALTIME); }
