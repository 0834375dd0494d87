/* Lets Slurm's cgroup/v2 plugin run on a host that has both cgroup hierarchies: readers of /proc/PID/cgroup
 * are shown the line of the unified hierarchy alone, as on a host that has no other, and their path in it as
 * seen from the lab's own group (GROUP in the environment), which is bound where they look for the top. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_cgroup_file(const char *path) {
    size_t length = path ? strlen(path) : 0;
    return length > 13 && strncmp(path, "/proc/", 6) == 0 && strcmp(path + length - 7, "/cgroup") == 0;
}

static char *unified_line(char *text) {
    for (char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, "0::", 3) == 0) return line;
    return NULL;
}

/* Writes the line `0::PATH` to `fd`, without the lab's own group at the start of PATH. */
static void write_line(int fd, char *line) {
    char *end = strchr(line, '\n');
    if (end) *end = 0;
    const char *group = getenv("LAB_CGROUP");
    const char *path = line + 3;
    size_t length = group ? strlen(group) : 0;
    if (length && strncmp(path + 1, group, length) == 0 && strchr("/", path[1 + length])) path += 1 + length;
    dprintf(fd, "0::%s\n", *path ? path : "/");
    lseek(fd, 0, SEEK_SET);
}

static int open_filtered(const char *path) {
    char text[8192];
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fd;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = 0;
    int copy = memfd_create("cgroup", MFD_CLOEXEC);
    char *line = unified_line(text);
    if (copy >= 0 && line) write_line(copy, line);
    return copy;
}

static int open_any(const char *path, int flags, mode_t mode) {
    if (is_cgroup_file(path)) return open_filtered(path);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static mode_t mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return open_any(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return open_any(path, flags, mode);
}

/* What _FORTIFY_SOURCE makes of an open without a mode. */
int __open_2(const char *path, int flags) { return open_any(path, flags, 0); }
int __open64_2(const char *path, int flags) { return open_any(path, flags, 0); }

static FILE *fopen_any(const char *name, const char *path, const char *mode) {
    if (is_cgroup_file(path)) {
        int fd = open_filtered(path);
        return fd < 0 ? NULL : fdopen(fd, "r");
    }
    FILE *(*next)(const char *, const char *);
    *(void **)&next = dlsym(RTLD_NEXT, name);
    return next(path, mode);
}

FILE *fopen(const char *path, const char *mode) { return fopen_any("fopen", path, mode); }
FILE *fopen64(const char *path, const char *mode) { return fopen_any("fopen64", path, mode); }
