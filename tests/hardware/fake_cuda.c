/* A libcuda.so.1 for simulated GPUs: its devices are those of CUDA_VISIBLE_DEVICES, and a context is a process in the
 * simulator's list. It shows that the kit works, and nothing of CUDA. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INVALID_VALUE = 1, NO_DEVICE = 100 };

/* The name at that place of the list, or NULL. */
static const char *name_at(int device) {
    static char list[4096];
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    snprintf(list, sizeof list, "%s", visible ? visible : "");
    char *name = strtok(list, ",");
    while (name && device-- > 0)
        name = strtok(NULL, ",");
    return name;
}

int cuInit(unsigned flags);
int cuInit(unsigned flags) {
    (void)flags;
    return name_at(0) ? 0 : NO_DEVICE;
}

int cuDeviceGetCount(int *count);
int cuDeviceGetCount(int *count) {
    for (*count = 0; name_at(*count); ++*count)
        ;
    return 0;
}

int cuDeviceGet(int *device, int at);
int cuDeviceGet(int *device, int at) {
    *device = at;
    return name_at(at) ? 0 : INVALID_VALUE;
}

int cuDeviceGetUuid_v2(unsigned char *uuid, int device);
int cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
    const char *name = name_at(device);
    int digits = 0;
    for (name = name ? strchr(name, '-') : NULL; name && *name && digits < 32; name++) {
        char digit[2] = {*name, 0};
        if (*name == '-')
            continue;
        uuid[digits / 2] = digits % 2 ? uuid[digits / 2] | strtol(digit, NULL, 16) : strtol(digit, NULL, 16) << 4;
        digits++;
    }
    return digits == 32 ? 0 : INVALID_VALUE;
}

int cuDevicePrimaryCtxRetain(void **context, int device);
int cuDevicePrimaryCtxRetain(void **context, int device) {
    char path[4096];
    snprintf(path, sizeof path, "%s/var/lib/nvml-sim/processes", getenv("NVML_SIM_ROOT"));
    FILE *list = fopen(path, "a");
    if (!list)
        return NO_DEVICE;
    fprintf(list, "%s %d\n", name_at(device), (int)getpid());
    fclose(list);
    *context = (void *)name_at(device);
    return 0;
}

int cuCtxSetCurrent(void *context);
int cuCtxSetCurrent(void *context) {
    return context ? 0 : INVALID_VALUE;
}
