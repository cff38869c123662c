/* A machine whose disk and clock can be broken while a process runs, for `bad_machine.py`: preloaded, it reads two numbers
   from the file that BAD_MACHINE names, whenever it is asked. The first is the errno of every write below BAD_FOLDER, 0 for
   a disk that works; the second is by how many seconds the wall clock is wrong. The monotonic clock stays right. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static volatile int32_t *wrong;

__attribute__((constructor)) static void begin(void) {
    static volatile int32_t nothing[2];
    const char *name = getenv("BAD_MACHINE");
    int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    wrong = nothing;
    if (fd >= 0) {
        void *seen = mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
        if (seen != MAP_FAILED) wrong = seen;
        close(fd);
    }
}

static int below(const char *path) {
    const char *folder = getenv("BAD_FOLDER");
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int refused(int fd) {
    char link[64], path[4096];
    if (!wrong || !wrong[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    if (!below(path)) return 0;
    errno = wrong[0];
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size) { return refused(fd) ? -1 : REAL(write)(fd, data, size); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return refused(fd) ? -1 : REAL(pwrite)(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    return refused(fd) ? -1 : REAL(pwrite64)(fd, data, size, at);
}
int ftruncate(int fd, off_t size) { return refused(fd) ? -1 : REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return refused(fd) ? -1 : REAL(ftruncate64)(fd, size); }

static int may_open(const char *path, int flags) {
    if (!wrong || !wrong[0] || !(flags & O_CREAT) || !below(path) || access(path, F_OK) == 0) return 1;
    errno = wrong[0];
    return 0;
}

#define OPENS(name)                                         \
    int name(const char *path, int flags, ...) {            \
        va_list more;                                       \
        va_start(more, flags);                              \
        mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0; \
        va_end(more);                                       \
        return may_open(path, flags) ? REAL(name)(path, flags, mode) : -1; \
    }
OPENS(open)
OPENS(open64)

int clock_gettime(clockid_t which, struct timespec *now) {
    int done = REAL(clock_gettime)(which, now);
    if (done == 0 && wrong && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) now->tv_sec += wrong[1];
    return done;
}
time_t time(time_t *kept) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (kept) *kept = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *now, void *zone) {
    int done = REAL(gettimeofday)(now, zone);
    if (done == 0 && wrong) now->tv_sec += wrong[1];
    return done;
}
