/* A disk that is slow to sync, for `webhooks.py --fsync-ms`: preloaded, it makes each fsync and fdatasync of a process
   take SLOW_DISK_MS longer. Reading and writing stay as they are. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void wait_a_while(void) {
    const char *ms = getenv("SLOW_DISK_MS");
    long wanted = ms ? atol(ms) : 0;
    struct timespec wait = {wanted / 1000, (wanted % 1000) * 1000000L};
    nanosleep(&wait, NULL);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_a_while();
    return real(fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_a_while();
    return real(fd);
}
