/* An NVML that tells one lie, NVML_LIE, and is otherwise the library of NVML_LIAR_FOR. It has the functions that gresgen
 * uses and no others; -DWITHOUT_name leaves one out. */

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned u;
typedef unsigned long long big;
typedef void *handle;
typedef int call(long, long, long, long, long);

enum { INVALID_ARGUMENT = 2, INSUFFICIENT_SIZE = 7, HUGE = -1 };

static int lie(const char *name) {
    const char *told = getenv("NVML_LIE");
    return told && !strcmp(told, name);
}

static call *honest(const char *name) {
    static void *library;
    if (!library)
        library = dlopen(getenv("NVML_LIAR_FOR"), RTLD_NOW | RTLD_LOCAL);
    call *found = library ? (call *)dlsym(library, name) : NULL;
    if (!found)
        abort();
    return found;
}

/* Arguments of all these functions are integers or pointers, so that passing five on suits each. */
#define PASS(name) return honest(#name)(a, b, c, d, e)
#define FORWARD(name) int name(long a, long b, long c, long d, long e); \
    int name(long a, long b, long c, long d, long e) { PASS(name); }
#define HONEST(name) int code = honest(#name)(a, b, c, d, e)
#define DEFINE(name) int name(long a, long b, long c, long d, long e); \
    int name(long a, long b, long c, long d, long e)

FORWARD(nvmlInitWithFlags)
FORWARD(nvmlInit_v2)
FORWARD(nvmlShutdown)
FORWARD(nvmlDeviceGetHandleByUUID)
FORWARD(nvmlDeviceGetMemoryInfo_v2)
FORWARD(nvmlDeviceGetUtilizationRates)
FORWARD(nvmlDeviceGetVirtualizationMode)
FORWARD(nvmlDeviceGetArchitecture)
FORWARD(nvmlDeviceGetGpuInstanceProfileInfo)
FORWARD(nvmlGpuInstanceGetComputeInstanceProfileInfo)
FORWARD(nvmlGpuInstanceGetComputeInstanceById)
FORWARD(nvmlComputeInstanceDestroy)
#ifndef WITHOUT_nvmlDeviceGetComputeRunningProcesses_v2
FORWARD(nvmlDeviceGetComputeRunningProcesses_v2)
#endif
FORWARD(nvmlDeviceGetComputeRunningProcesses)

/* Writes TEXT as NVML would. */
static int text(char *to, const char *text) {
    strcpy(to, text);
    return 0;
}

/* The lies about a text of N bytes, by the name of what it names; -1 for none of them. */
static int texts(const char *what, char *to, u n) {
    static const char *const lies[][2] = {
        {"empty", ""}, {"newline", "GPU-a 1 2\nend 1"}, {"escape", "GPU-\033[2J\033]0;x\007"},
        {"binary", "\377\376"}, {"path", "../../../x"}, {"blank", "GPU-a b"}, {"mig_newline", "MIG-a 1 2\nend 1"},
        {"mig_path", "MIG-../../x"}, {"mig_blank", "MIG-a b"}, {"mig_bare", "MIG-"}, {"mig", "MIG-a"}, {"gpu", "GPU-a"},
    };
    char name[64];
    for (u at = 0; at < sizeof lies / sizeof *lies; at++) {
        strcat(strcat(strcpy(name, what), "_"), lies[at][0]);
        if (lie(name))
            return text(to, lies[at][1]);
    }
    strcat(strcpy(name, what), "_endless");
    if (lie(name)) {
        memset(to, 'A', n);
        return 0;
    }
    return -1;
}

static int is_mig(long device) {
    u yes = 0;
    honest("nvmlDeviceIsMigDeviceHandle")(device, (long)&yes, 0, 0, 0);
    return yes;
}

DEFINE(nvmlSystemGetDriverVersion) {
    HONEST(nvmlSystemGetDriverVersion);
    return texts("driver", (char *)a, b) == 0 ? 0 : code;
}
DEFINE(nvmlDeviceGetCount_v2) {
    HONEST(nvmlDeviceGetCount_v2);
    if (lie("count_huge")) *(u *)a = HUGE;
    if (lie("count_more")) ++*(u *)a;
    return code;
}
DEFINE(nvmlDeviceGetHandleByIndex_v2) {
    if (lie("handle_same")) a = 0;
    HONEST(nvmlDeviceGetHandleByIndex_v2);
    if (lie("handle_null")) *(handle *)b = NULL;
    return code;
}
#ifndef WITHOUT_nvmlDeviceGetUUID
DEFINE(nvmlDeviceGetUUID) {
    if (is_mig(a) && lie("device_vanishes")) return INVALID_ARGUMENT;
    HONEST(nvmlDeviceGetUUID);
    return texts(is_mig(a) ? "device" : "uuid", (char *)b, c) == 0 ? 0 : code;
}
#endif
DEFINE(nvmlDeviceGetName) {
    HONEST(nvmlDeviceGetName);
    return texts("name", (char *)b, c) == 0 ? 0 : code;
}
DEFINE(nvmlDeviceGetVbiosVersion) {
    HONEST(nvmlDeviceGetVbiosVersion);
    return texts("vbios", (char *)b, c) == 0 ? 0 : code;
}
DEFINE(nvmlDeviceGetPciInfo_v3) {
    struct { char legacy[16]; u domain, bus, device, id, subsystem; char bus_id[32]; } *info = (void *)b;
    HONEST(nvmlDeviceGetPciInfo_v3);
    return texts("pci", info->bus_id, sizeof info->bus_id) == 0 ? 0 : code;
}
DEFINE(nvmlDeviceGetMemoryInfo) {
    HONEST(nvmlDeviceGetMemoryInfo);
    if (lie("memory_none")) *(big *)b = 0;
    if (lie("memory_huge")) *(big *)b = HUGE;
    return code;
}
DEFINE(nvmlDeviceGetMinorNumber) {
    HONEST(nvmlDeviceGetMinorNumber);
    if (lie("minor_huge")) *(u *)b = HUGE;
    if (lie("minor_same")) *(u *)b = 0;
    return code;
}
DEFINE(nvmlDeviceGetMigMode) {
    HONEST(nvmlDeviceGetMigMode);
    if (lie("mode_odd")) *(u *)b = 7;
    return code;
}
DEFINE(nvmlDeviceGetCpuAffinity) {
    HONEST(nvmlDeviceGetCpuAffinity);
    if (lie("cpus_all")) memset((void *)c, 255, b * sizeof(long));
    return code;
}

#ifndef WITHOUT_nvmlDeviceGetComputeRunningProcesses_v3
DEFINE(nvmlDeviceGetComputeRunningProcesses_v3) {
    u *count = (u *)b, room = *count;
    if (lie("processes_huge")) { *count = HUGE; return INSUFFICIENT_SIZE; }
    if (lie("processes_endless")) return INSUFFICIENT_SIZE;
    HONEST(nvmlDeviceGetComputeRunningProcesses_v3);
    if (lie("processes_beyond")) *count = room + 1;
    return code;
}
#endif

/* Process 1 on the first GPU and process 2 on its GPU instance 7, in entries of three words, or of the four that drivers
 * 535.43 to 535.86 write. */
static int two_processes(handle device, u *count, big *words, int wide) {
    u index = 1;
    honest("nvmlDeviceGetIndex")((long)device, (long)&index, 0, 0, 0);
    const big entries[] = {1, 0, HUGE, 0, 2, 0, 7, 0};
    u room = *count;
    *count = index == 0 ? 2 : 0;
    if (*count > room) return INSUFFICIENT_SIZE;
    for (u at = 0; at < *count; at++)
        memcpy(words + at * (wide ? 4 : 3), entries + at * 4, (wide ? 4 : 3) * sizeof *words);
    return 0;
}
DEFINE(nvmlDeviceGetGraphicsRunningProcesses_v3) {
    if (lie("draws") || lie("draws_wide")) return two_processes((handle)a, (u *)b, (big *)c, lie("draws_wide"));
    PASS(nvmlDeviceGetGraphicsRunningProcesses_v3);
}
DEFINE(nvmlDeviceGetMPSComputeRunningProcesses_v3) {
    if (lie("shares")) return two_processes((handle)a, (u *)b, (big *)c, 0);
    PASS(nvmlDeviceGetMPSComputeRunningProcesses_v3);
}

#ifndef WITHOUT_nvmlDeviceGetGpuInstanceProfileInfoV
DEFINE(nvmlDeviceGetGpuInstanceProfileInfoV) {
    struct { u version, id, p2p, slices, count, sms, copy, dec, enc, jpeg, ofa; big memory; char name[96]; } *info = (void *)c;
    HONEST(nvmlDeviceGetGpuInstanceProfileInfoV);
    if (code == 0) {
        if (lie("profile_endless")) memset(info->name, 'A', sizeof info->name);
        if (lie("profile_escape")) text(info->name, "MIG \033[2J");
        if (lie("profile_zero")) text(info->name, "MIG 0g.0gb");
        if (lie("profile_wide")) text(info->name, "MIG 255g.65535gb");
        if (lie("profile_twice")) text(info->name, "MIG 1g.5gb");
        if (lie("profile_unnamed")) info->name[0] = 0, info->memory = HUGE;
        if (lie("profile_sliceless")) info->name[0] = 0, info->slices = 0;
        if (lie("profile_count")) info->count = HUGE;
        if (lie("profile_numbers")) info->sms = info->copy = info->dec = info->enc = HUGE;
    }
    return lie("profiles_none") ? INVALID_ARGUMENT : code;
}
#endif
DEFINE(nvmlDeviceGetGpuInstancePossiblePlacements_v2) {
    struct { u start, size; } *places = (void *)c;
    u *count = (u *)d;
    if (lie("places_huge") && !places) { *count = HUGE; return 0; }
    if (lie("places_none")) { *count = 0; return 0; }
    HONEST(nvmlDeviceGetGpuInstancePossiblePlacements_v2);
    if (code != 0 || !places) return code;
    if (lie("places_beyond")) { *count *= 1000; return code; }
    for (u at = 0; at < *count; at++) {
        if (lie("places_far")) places[at].start += 250;
        if (lie("places_wrap")) places[at].start = places[at].size = HUGE;
        if (lie("places_wide")) places[at].size = 255;
        if (lie("places_empty")) places[at].size = 0;
    }
    return code;
}

DEFINE(nvmlDeviceGetGpuInstances) {
    HONEST(nvmlDeviceGetGpuInstances);
    u *count = (u *)d;
    if (code == 0 && lie("instances_beyond")) *count = HUGE;
    for (u at = 0; code == 0 && lie("instances_null") && at < *count; at++) ((handle *)c)[at] = NULL;
    return code;
}
DEFINE(nvmlGpuInstanceGetInfo) {
    struct { handle device; u id, profile, start, size; } *info = (void *)b;
    if (lie("instance_vanishes")) return INVALID_ARGUMENT;
    HONEST(nvmlGpuInstanceGetInfo);
    if (lie("instance_same")) info->id = 7;
    if (lie("instance_id")) info->id = HUGE;
    if (lie("instance_start")) info->start = 0xfffffff0;
    if (lie("instance_place")) info->start = 0;
    if (lie("instance_profile")) info->profile = 77;
    return code;
}
DEFINE(nvmlGpuInstanceGetComputeInstances) {
    HONEST(nvmlGpuInstanceGetComputeInstances);
    if (code == 0 && lie("compute_beyond")) *(u *)d = HUGE;
    return code;
}
DEFINE(nvmlComputeInstanceGetInfo_v2) {
    struct { handle device, instance; u id, profile, start, size; } *info = (void *)b;
    if (lie("compute_vanishes")) return INVALID_ARGUMENT;
    HONEST(nvmlComputeInstanceGetInfo_v2);
    info->device = NULL;
    return code;
}

DEFINE(nvmlDeviceGetMaxMigDeviceCount) {
    HONEST(nvmlDeviceGetMaxMigDeviceCount);
    if (lie("devices_huge")) *(u *)b = HUGE;
    if (lie("devices_none")) *(u *)b = 0;
    return code;
}
#ifndef WITHOUT_nvmlDeviceGetMigDeviceHandleByIndex
DEFINE(nvmlDeviceGetMigDeviceHandleByIndex) {
    if (lie("device_same")) b = 0;
    HONEST(nvmlDeviceGetMigDeviceHandleByIndex);
    if (lie("device_null")) *(handle *)c = NULL;
    if (lie("device_parent")) *(handle *)c = (handle)a;
    return code;
}
#endif
DEFINE(nvmlDeviceGetGpuInstanceId) {
    HONEST(nvmlDeviceGetGpuInstanceId);
    if (lie("device_elsewhere")) *(u *)b = 99;
    return code;
}
DEFINE(nvmlDeviceGetComputeInstanceId) {
    HONEST(nvmlDeviceGetComputeInstanceId);
    if (lie("compute_id")) *(u *)b = HUGE;
    if (lie("compute_same")) *(u *)b = 0;
    return code;
}
#ifndef WITHOUT_nvmlDeviceGetAttributes_v2
DEFINE(nvmlDeviceGetAttributes_v2) {
    struct { u sms, copy, dec, enc, jpeg, ofa, gpu_slices, slices; big memory; } *info = (void *)b;
    HONEST(nvmlDeviceGetAttributes_v2);
    if (lie("attributes_none")) info->slices = 0;
    if (lie("attributes_huge")) info->slices = HUGE;
    return code;
}
#endif

DEFINE(nvmlDeviceSetMigMode) {
    if (lie("mode_unset")) { *(int *)c = 0; return 0; }
    PASS(nvmlDeviceSetMigMode);
}
DEFINE(nvmlDeviceCreateGpuInstanceWithPlacement) {
    struct { u start, size; } place = *(typeof(place) *)c;
    if (lie("create_nothing")) { *(handle *)d = NULL; return 0; }
    if (lie("create_elsewhere") && place.size == 1) { place.start = (place.start + 1) % 4; c = (long)&place; }
    PASS(nvmlDeviceCreateGpuInstanceWithPlacement);
}
DEFINE(nvmlGpuInstanceCreateComputeInstance) {
    /* The smaller of the two compute instances that Hopper offers in a GPU instance of one slice. */
    if (lie("compute_small") && b == 7) b = 0;
    PASS(nvmlGpuInstanceCreateComputeInstance);
}
DEFINE(nvmlGpuInstanceDestroy) {
    if (lie("destroy_nothing")) return 0;
    PASS(nvmlGpuInstanceDestroy);
}
