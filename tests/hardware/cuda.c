/* What CUDA says of the devices it sees. It needs the driver's libcuda.so.1 and nothing else.
 *
 *     cuda uuid            the UUID of each device, without its prefix
 *     cuda hold SECONDS    the same, then a context on the first one for so long
 */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* cuda.h: cuDeviceGetUuid_v2 gives the UUID of the MIG device where there is one. */
static int (*init)(unsigned), (*count)(int *), (*get)(int *, int), (*uuid)(unsigned char *, int);
static int (*retain)(void **, int), (*current)(void *);

static void *find(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found) {
        fprintf(stderr, "libcuda.so.1: no %s\n", name);
        exit(1);
    }
    return found;
}

static void must(const char *call, int code) {
    if (code != 0) {
        fprintf(stderr, "%s: CUDA error %d\n", call, code);
        exit(1);
    }
}

int main(int argc, char **argv) {
    void *cuda = dlopen("libcuda.so.1", RTLD_NOW);
    if (!cuda) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    *(void **)&init = find(cuda, "cuInit");
    *(void **)&count = find(cuda, "cuDeviceGetCount");
    *(void **)&get = find(cuda, "cuDeviceGet");
    *(void **)&uuid = find(cuda, "cuDeviceGetUuid_v2");
    *(void **)&retain = find(cuda, "cuDevicePrimaryCtxRetain");
    *(void **)&current = find(cuda, "cuCtxSetCurrent");
    int devices = 0;
    must("cuInit", init(0));
    must("cuDeviceGetCount", count(&devices));
    for (int at = 0; at < devices; at++) {
        int device = 0;
        unsigned char id[16];
        must("cuDeviceGet", get(&device, at));
        must("cuDeviceGetUuid_v2", uuid(id, device));
        for (int byte = 0; byte < 16; byte++)
            printf(byte == 4 || byte == 6 || byte == 8 || byte == 10 ? "-%02x" : "%02x", id[byte]);
        printf("\n");
    }
    if (argc == 3 && !strcmp(argv[1], "hold")) {
        void *context = NULL;
        int device = 0;
        must("cuDeviceGet", get(&device, 0));
        must("cuDevicePrimaryCtxRetain", retain(&context, device));
        must("cuCtxSetCurrent", current(context));
        printf("holding\n");
        fflush(stdout);
        sleep((unsigned)atoi(argv[2]));
    }
    return 0;
}
