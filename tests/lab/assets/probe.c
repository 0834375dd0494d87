/* The judge of the launch tests: prints, on one line, what this task was told and what it can really open.
 *
 *   lab-probe [HOLD_MS]
 *
 * A fake GPU node has no driver: an open that the device cgroup lets through ends in ENXIO, a denied one in
 * EPERM. HOLD_MS keeps the task alive that long, so that tasks overlap. Times are CLOCK_MONOTONIC milliseconds. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char line[65536];
static size_t used;

static void add(const char *text) {
    size_t length = strlen(text);
    if (used + length < sizeof line) {
        memcpy(line + used, text, length);
        used += length;
    }
}

static void variable(const char *key, const char *name) {
    const char *value = getenv(name);
    add(key);
    add(value ? (*value ? value : "''") : "-");
}

static int chosen(const char *name) { return strncmp(name, "nvidia", 6) == 0; }

/* Appends every character device of `directory` whose open ends in `wanted`; 0 stands for all other errors. */
static void devices(const char *directory, int wanted) {
    struct dirent **entries;
    int count = scandir(directory, &entries, NULL, versionsort);
    for (int i = 0; i < count; i++) {
        char path[512];
        struct stat status;
        snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
        if (chosen(entries[i]->d_name) && stat(path, &status) == 0 && S_ISCHR(status.st_mode)) {
            int fd = open(path, O_RDONLY | O_CLOEXEC);
            int error = fd >= 0 ? ENXIO : errno;
            if (fd >= 0) close(fd);
            if (wanted ? error == wanted : error != ENXIO && error != EPERM) {
                add(path);
                if (!wanted) {
                    char number[16];
                    snprintf(number, sizeof number, ":%d", error);
                    add(number);
                }
                add(",");
            }
        }
        free(entries[i]);
    }
    if (count >= 0) free(entries);
}

static void opens(const char *key, int wanted) {
    add(key);
    devices("/dev", wanted);
    devices("/dev/nvidia-caps", wanted);
}

/* What exporters of metrics are told: NAME:CONTENT of each file, with `/` for what separates words and lines. */
static void told(const char *key, const char *directory) {
    struct dirent **entries;
    int count = scandir(directory, &entries, NULL, versionsort);
    add(key);
    for (int i = 0; i < count; i++) {
        char path[512], text[256];
        ssize_t length = -1;
        snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
        int fd = entries[i]->d_name[0] == '.' ? -1 : open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            length = read(fd, text, sizeof text - 1);
            close(fd);
        }
        if (length >= 0) {
            text[length] = 0;
            for (char *at = text; *at; at++)
                if (*at == ' ' || *at == '\n') *at = '/';
            add(entries[i]->d_name);
            add(":");
            add(text);
            add(",");
        }
        free(entries[i]);
    }
    if (count >= 0) free(entries);
}

static void now(const char *key) {
    struct timespec time;
    char text[64];
    clock_gettime(CLOCK_MONOTONIC, &time);
    snprintf(text, sizeof text, "%s%lld", key, (long long)time.tv_sec * 1000 + time.tv_nsec / 1000000);
    add(text);
}

int main(int argc, char **argv) {
    add("probe");
    now(" begin=");
    variable(" job=", "SLURM_JOB_ID");
    variable(" step=", "SLURM_STEP_ID");
    variable(" task=", "SLURM_PROCID");
    variable(" node=", "SLURMD_NODENAME");
    variable(" cuda=", "CUDA_VISIBLE_DEVICES");
    variable(" nvidia=", "NVIDIA_VISIBLE_DEVICES");
    variable(" job_gpus=", "SLURM_JOB_GPUS");
    variable(" step_gpus=", "SLURM_STEP_GPUS");
    opens(" open=", ENXIO);
    opens(" denied=", EPERM);
    opens(" other=", 0);
    told(" dcgm=", "/run/gresgen/dcgm");
    told(" gpustat=", "/run/gresgen/gpustat");
    if (argc > 1) usleep((useconds_t)atoi(argv[1]) * 1000);
    now(" end=");
    add("\n");
    /* One write: lines of tasks that share an output never mix. */
    return write(STDOUT_FILENO, line, used) == (ssize_t)used ? 0 : 1;
}
