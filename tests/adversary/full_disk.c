/* Loaded before libc (LD_PRELOAD): a disk that is full from the nth write to a file on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static long left = -1; /* writes until it is full; -1 for never */
static long seen = 0;

void fill_after(long n) { left = n; seen = 0; }
long writes_seen(void) { return seen; }

static int full(int file) {
    struct stat state;
    if (fstat(file, &state) || !S_ISREG(state.st_mode)) return 0;
    return __sync_fetch_and_add(&seen, 1) >= left && left >= 0;
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)
#define REFUSE(file) if (full(file)) { errno = ENOSPC; return -1; }

ssize_t write(int file, const void *from, size_t size) {
    REAL(write); REFUSE(file); return real(file, from, size);
}
ssize_t pwrite(int file, const void *from, size_t size, off_t at) {
    REAL(pwrite); REFUSE(file); return real(file, from, size, at);
}
ssize_t pwrite64(int file, const void *from, size_t size, off64_t at) {
    REAL(pwrite64); REFUSE(file); return real(file, from, size, at);
}
ssize_t writev(int file, const struct iovec *parts, int n) {
    REAL(writev); REFUSE(file); return real(file, parts, n);
}
