/* A task that holds devices: the witness of the matrix of holders. It shares no code with what it judges.
 *
 *   lab-witness [stubborn] [keep PATH]
 *
 * Opens every GPU device node and writes the numbers of those that the device cgroup let it open, as
 * "before OPEN..." with who it is, to a file of its own in FOLDER; waits for FOLDER/go; opens them again and
 * writes "after OPEN...". A fake node has no driver: an open that is let through ends in ENXIO, a denied one in
 * EPERM. A node that was removed and made again in between is another one: its inode goes with its number.
 *
 *   stubborn   does not end on SIGTERM
 *   keep PATH  keeps PATH open from before to after, where a driver stands behind its number */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FOLDER "/var/lab/out/witness"
#define LONGEST_S 180

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : "-";
}

static int is_device(const struct dirent *entry) {
    const char *name = entry->d_name;
    int gpu = strncmp(name, "nvidia", 6) == 0 && name[6] >= '0' && name[6] <= '9';
    int capability = strncmp(name, "nvidia-cap", 10) == 0 && name[10] >= '0' && name[10] <= '9';
    return gpu || capability;
}

static void opened(FILE *out, const char *directory) {
    struct dirent **entries;
    int count = scandir(directory, &entries, is_device, versionsort);
    for (int i = 0; i < count; i++) {
        char path[512];
        struct stat status;
        snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
        if (stat(path, &status) == 0 && S_ISCHR(status.st_mode)) {
            int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
            if (fd >= 0 || errno == ENXIO)
                fprintf(out, " %s=%u:%u#%lu", entries[i]->d_name, major(status.st_rdev), minor(status.st_rdev),
                        (unsigned long)status.st_ino);
            if (fd >= 0) close(fd);
        }
        free(entries[i]);
    }
    if (count >= 0) free(entries);
}

static void report(FILE *out, const char *when) {
    fprintf(out, "%s", when);
    opened(out, "/dev");
    opened(out, "/dev/nvidia-caps");
    fprintf(out, "\n");
    fflush(out);
}

int main(int argc, char **argv) {
    int kept = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "stubborn") == 0) signal(SIGTERM, SIG_IGN);
        if (strcmp(argv[i], "keep") == 0 && i + 1 < argc) {
            int fd = open(argv[++i], O_RDONLY | O_NOCTTY | O_NONBLOCK);
            if (fd < 0) {
                perror(argv[i]);
                return 1;
            }
            kept++;
        }
    }
    char path[256], final[256];
    snprintf(path, sizeof path, FOLDER "/.%d", (int)getpid());
    snprintf(final, sizeof final, FOLDER "/%d", (int)getpid());
    FILE *out = fopen(path, "w");
    if (!out) {
        perror(path);
        return 1;
    }
    fprintf(out, "who pid=%d uid=%u node=%s job=%s array=%s_%s het=%s+%s kept=%d\n", (int)getpid(), (unsigned)getuid(),
            variable("SLURMD_NODENAME"),
            variable("SLURM_JOB_ID"), variable("SLURM_ARRAY_JOB_ID"), variable("SLURM_ARRAY_TASK_ID"),
            variable("SLURM_HET_JOB_ID"), variable("SLURM_HET_JOB_OFFSET"), kept);
    report(out, "before");
    /* By rename: whoever lists the folder sees whole reports only. */
    rename(path, final);
    for (int tenths = 0; tenths < LONGEST_S * 20 && access(FOLDER "/go", F_OK) != 0; tenths++) usleep(50 * 1000);
    report(out, "after");
    return 0;
}
