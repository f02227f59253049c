/* Makes the archive's disk fail while processes run, for `python -m tests.chaos`: LD_PRELOAD this.

   CHAOS_FAULT   a file; while it exists its text says what fails: "CALL ERRNO DELAY_MS", where CALL is
                 write | fsync | linkat | none. The call waits for DELAY_MS, then fails with ERRNO (0: it does not).
   CHAOS_FOLDER  only files below this folder count */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_inside(int fd) {
    char link[64], path[4096];
    const char *folder = getenv("CHAOS_FOLDER");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || !folder) return 0;
    path[length] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

static ssize_t (*real_write)(int, const void *, size_t);

static int strikes(const char *call, int fd) {
    const char *control = getenv("CHAOS_FAULT");
    char text[128], name[32];
    int number = 0, delay = 0;
    if (!control) return 0;
    int file = open(control, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) return 0;
    text[length] = 0;
    if (sscanf(text, "%31s %d %d", name, &number, &delay) != 3 || strcmp(name, call) || !is_inside(fd)) return 0;
    if (delay) usleep((useconds_t)delay * 1000);
    if (number) errno = number;
    return number != 0;
}

ssize_t write(int fd, const void *data, size_t size) {
    if (!real_write) real_write = dlsym(RTLD_NEXT, "write");
    int kept = errno;
    if (strikes("write", fd)) return -1;
    errno = kept;
    return real_write(fd, data, size);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    return strikes("fsync", fd) ? -1 : real(fd);
}

int linkat(int from, const char *name, int to, const char *target, int flags) {
    static int (*real)(int, const char *, int, const char *, int);
    if (!real) real = dlsym(RTLD_NEXT, "linkat");
    return strikes("linkat", to) ? -1 : real(from, name, to, target, flags);
}
