/* Makes chosen system calls fail, for tests: LD_PRELOAD this.

   FAULT_CALL    write | short-write | fsync | folder-fsync | linkat
   FAULT_ERRNO   number to fail with
   FAULT_PASS    which passing of that call fails (1 = the first after FAULT_ARMED exists; 0 = every one while it does)
   FAULT_ARMED   nothing fails before this file exists
   FAULT_FOLDER  only files below this folder count
   FAULT_LOG     every fsync below the folder is appended here: "ok|failed PATH" */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int passes;

static int is_inside(int fd, char *path, size_t size) {
    char link[64];
    const char *folder = getenv("FAULT_FOLDER");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0 || !folder) return 0;
    path[length] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

static int strikes(const char *call) {
    const char *chosen = getenv("FAULT_CALL"), *armed = getenv("FAULT_ARMED");
    if (!chosen || strcmp(chosen, call) || !armed || access(armed, F_OK)) return 0;
    int number = atoi(getenv("FAULT_PASS"));
    return number == 0 || __sync_add_and_fetch(&passes, 1) == number;
}

static int fails(void) {
    errno = atoi(getenv("FAULT_ERRNO"));
    return -1;
}

ssize_t write(int fd, const void *data, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    char path[4096];
    if (is_inside(fd, path, sizeof path)) {
        if (strikes("write")) return fails();
        if (strikes("short-write")) return real(fd, data, size / 2);
    }
    return real(fd, data, size);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    char path[4096];
    struct stat status;
    if (!is_inside(fd, path, sizeof path)) return real(fd);
    int is_folder = fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
    int failing = strikes(is_folder ? "folder-fsync" : "fsync");
    FILE *log = fopen(getenv("FAULT_LOG"), "a");
    if (log) {
        fprintf(log, "%s %s\n", failing ? "failed" : "ok", path);
        fclose(log);
    }
    return failing ? fails() : real(fd);
}

int linkat(int from, const char *name, int to, const char *target, int flags) {
    static int (*real)(int, const char *, int, const char *, int);
    if (!real) real = dlsym(RTLD_NEXT, "linkat");
    char path[4096];
    if (is_inside(to, path, sizeof path) && strikes("linkat")) return fails();
    return real(from, name, to, target, flags);
}
