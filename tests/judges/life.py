"""The full life of MIG instances on one GPU, driven by NVIDIA's own nvidia-ml-py.

Run as root with LD_LIBRARY_PATH naming the library under test and NVML_SIM_ROOT its state. Takes
nothing about the GPU for granted but what NVML's header promises; ends with the counts of what it did.
"""

import ctypes
import os
import subprocess
from contextlib import contextmanager

import pynvml as nvml

PROCESSES = os.path.join(os.environ["NVML_SIM_ROOT"], "var/lib/nvml-sim/processes")
SHARED = nvml.NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED


@contextmanager
def refused(code, what):
    """The block must end with this NVML error."""
    try:
        yield
    except nvml.NVMLError as error:
        assert error.value == code, f"{what}: {error}, not code {code}"
    else:
        raise AssertionError(f"{what}: was allowed")


def listed(call, handle, profile, kind):
    """A list of NVML's that is asked for its length first."""
    count = ctypes.c_uint()
    call(handle, profile, None, ctypes.byref(count))
    array = (kind * count.value)()
    call(handle, profile, array, ctypes.byref(count))
    return [(p.start, p.size) for p in array[: count.value]]


def gpu_places(gpu, profile):
    return listed(nvml.nvmlDeviceGetGpuInstancePossiblePlacements, gpu, profile, nvml.c_nvmlGpuInstancePlacement_t)


def compute_places(instance, profile):
    call = nvml.nvmlGpuInstanceGetComputeInstancePossiblePlacements
    return listed(call, instance, profile, nvml.c_nvmlComputeInstancePlacement_t)


def instances(gpu, profile):
    """GPU instances of a profile (its v2 info)."""
    array = (nvml.c_nvmlGpuInstance_t * profile.instanceCount)()
    count = ctypes.c_uint()
    nvml.nvmlDeviceGetGpuInstances(gpu, profile.id, array, ctypes.byref(count))
    return array[: count.value]


def mig_devices(gpu):
    """MIG devices by index; holes are allowed."""
    found = {}
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        try:
            found[index] = nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index)
        except nvml.NVMLError_NotFound:
            pass
    return found


def identity(gpu):
    """Every way to a GPU leads to the same one."""
    uuid = nvml.nvmlDeviceGetUUID(gpu)
    bus = nvml.nvmlDeviceGetPciInfo(gpu).busId
    for handle in (nvml.nvmlDeviceGetHandleByUUID(uuid), nvml.nvmlDeviceGetHandleByPciBusId(bus)):
        assert nvml.nvmlDeviceGetUUID(handle) == uuid
    by_index = nvml.nvmlDeviceGetHandleByIndex(nvml.nvmlDeviceGetIndex(gpu))
    assert nvml.nvmlDeviceGetUUID(by_index) == uuid
    assert not nvml.nvmlDeviceIsMigDeviceHandle(gpu)
    assert nvml.nvmlDeviceGetMemoryInfo(gpu, nvml.nvmlMemory_v2).total == nvml.nvmlDeviceGetMemoryInfo(gpu).total
    assert nvml.nvmlDeviceGetArchitecture(gpu) in (
        nvml.NVML_DEVICE_ARCH_AMPERE, nvml.NVML_DEVICE_ARCH_HOPPER, nvml.NVML_DEVICE_ARCH_BLACKWELL)
    assert nvml.nvmlSystemGetDriverVersion() in nvml.nvmlSystemGetNVMLVersion()
    for call in ("nvmlDeviceGetUUID", "nvmlDeviceGetName"):
        code = nvml._nvmlGetFunctionPointer(call)(gpu, ctypes.create_string_buffer(8), 8)
        assert code == nvml.NVML_ERROR_INSUFFICIENT_SIZE, f"{call}: {code}"
    with refused(nvml.NVML_ERROR_NOT_FOUND, "an unknown UUID"):
        nvml.nvmlDeviceGetHandleByUUID("GPU-00000000-0000-0000-0000-000000000000")
    with refused(nvml.NVML_ERROR_INVALID_ARGUMENT, "an index past the last"):
        nvml.nvmlDeviceGetHandleByIndex(nvml.nvmlDeviceGetCount())


def mode(gpu):
    assert nvml.nvmlDeviceGetMigMode(gpu) == [0, 0]
    assert nvml.nvmlDeviceGetMaxMigDeviceCount(gpu) == 0
    any_id = nvml.nvmlDeviceGetGpuInstanceProfileInfo(gpu, nvml.NVML_GPU_INSTANCE_PROFILE_1_SLICE, version=1).id
    with refused(nvml.NVML_ERROR_NOT_SUPPORTED, "creation with MIG off"):
        nvml.nvmlDeviceCreateGpuInstance(gpu, any_id)
    ampere = nvml.nvmlDeviceGetArchitecture(gpu) == nvml.NVML_DEVICE_ARCH_AMPERE
    if ampere:
        with refused(nvml.NVML_ERROR_NOT_SUPPORTED, "capacity with MIG off"):
            nvml.nvmlDeviceGetGpuInstanceRemainingCapacity(gpu, any_id)
    else:
        assert nvml.nvmlDeviceGetGpuInstanceRemainingCapacity(gpu, any_id) > 0, "as boards answer with MIG off"
    with refused(nvml.NVML_ERROR_NOT_FOUND, "a MIG device with MIG off"):
        nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 7)
    assert gpu_places(gpu, any_id), "placements are told with MIG off too"
    with refused(nvml.NVML_ERROR_INVALID_ARGUMENT, "a third mode"):
        nvml.nvmlDeviceSetMigMode(gpu, 2)
    assert nvml.nvmlDeviceSetMigMode(gpu, nvml.NVML_DEVICE_MIG_ENABLE) == nvml.NVML_SUCCESS
    assert nvml.nvmlDeviceGetMigMode(gpu) == [1, 1]
    resetless, other = nvml.nvmlDeviceGetFieldValues(gpu, [184, 1])
    assert resetless.nvmlReturn == nvml.NVML_SUCCESS and other.nvmlReturn == nvml.NVML_ERROR_NOT_SUPPORTED
    assert resetless.value.uiVal == (not ampere)


class ProfileInfoV3(ctypes.Structure):
    """nvmlGpuInstanceProfileInfo_v3_t of nvml.h, which nvidia-ml-py leaves out."""

    _fields_ = [(name, ctypes.c_uint) for name in (
        "version", "id", "sliceCount", "instanceCount", "multiprocessorCount", "copyEngineCount",
        "decoderCount", "encoderCount", "jpegCount", "ofaCount")]
    _fields_ += [("memorySizeMB", ctypes.c_ulonglong), ("name", ctypes.c_char * 96), ("capabilities", ctypes.c_uint)]


def profiles(gpu):
    """All GPU instance profiles (v2 infos), after a comparison of the struct versions."""
    found, number = [], 0
    while True:
        try:
            old = nvml.nvmlDeviceGetGpuInstanceProfileInfo(gpu, number, version=1)
        except nvml.NVMLError_NotSupported:
            number += 1
            continue
        except nvml.NVMLError_InvalidArgument:
            break
        info = nvml.nvmlDeviceGetGpuInstanceProfileInfo(gpu, number, version=2)
        newest = ProfileInfoV3(version=ctypes.sizeof(ProfileInfoV3) | 3 << 24)
        call = nvml._nvmlGetFunctionPointer("nvmlDeviceGetGpuInstanceProfileInfoV")
        assert call(gpu, number, ctypes.byref(newest)) == nvml.NVML_SUCCESS
        for field in ("id", "sliceCount", "instanceCount", "multiprocessorCount", "copyEngineCount",
                      "decoderCount", "encoderCount", "jpegCount", "ofaCount", "memorySizeMB"):
            values = {getattr(struct, field) for struct in (old, info, newest)}
            assert len(values) == 1, f"profile {number}: {field} differs between versions: {values}"
        name = info.name.decode() if isinstance(info.name, bytes) else info.name
        assert f"{info.sliceCount}g." in name
        assert newest.name == b"", "boards leave the name of version 3 empty"
        newest.version = 77
        assert call(gpu, number, ctypes.byref(newest)) == nvml.NVML_ERROR_INVALID_ARGUMENT
        found.append(info)
        number += 1
    assert number == 17, "R580 knows the profiles 0 to 16"
    assert len({p.id for p in found}) == len(found), "profile ids repeat"
    return found


def every_place(gpu, all_profiles):
    """Each profile at each of its places, alone: what is asked for is what is made."""
    made = 0
    for profile in all_profiles:
        for start, size in gpu_places(gpu, profile.id):
            place = ctypes.byref(nvml.c_nvmlGpuInstancePlacement_t(start, size))
            instance = nvml.nvmlDeviceCreateGpuInstanceWithPlacement(gpu, profile.id, place)
            info = nvml.nvmlGpuInstanceGetInfo(instance)
            assert (info.profileId, info.placement.start, info.placement.size) == (profile.id, start, size)
            assert nvml.nvmlDeviceGetUUID(info.device) == nvml.nvmlDeviceGetUUID(gpu)
            again = nvml.nvmlDeviceGetGpuInstanceById(gpu, info.id)
            assert nvml.nvmlGpuInstanceGetInfo(again).placement.start == start
            with refused(nvml.NVML_ERROR_INSUFFICIENT_RESOURCES, "a taken place"):
                nvml.nvmlDeviceCreateGpuInstanceWithPlacement(gpu, profile.id, place)
            nvml.nvmlGpuInstanceDestroy(instance)
            with refused(nvml.NVML_ERROR_INVALID_ARGUMENT, "a handle to what is gone"):
                nvml.nvmlGpuInstanceGetInfo(instance)
            with refused(nvml.NVML_ERROR_NOT_FOUND, "the id of what is gone"):
                nvml.nvmlDeviceGetGpuInstanceById(gpu, info.id)
            made += 1
        successor = nvml.nvmlDeviceCreateGpuInstanceWithPlacement(gpu, profile.id, place)
        assert nvml.nvmlGpuInstanceGetInfo(successor).id == info.id
        with refused(nvml.NVML_ERROR_INVALID_ARGUMENT, "a handle to the one that had the id before"):
            nvml.nvmlGpuInstanceGetInfo(instance)
        nvml.nvmlGpuInstanceDestroy(successor)
        with refused(nvml.NVML_ERROR_INVALID_ARGUMENT, "a place that is not listed"):
            nvml.nvmlDeviceCreateGpuInstanceWithPlacement(
                gpu, profile.id, ctypes.byref(nvml.c_nvmlGpuInstancePlacement_t(start, size + 1)))
    return made


def to_the_brim(gpu, profile):
    """As many of one profile as the GPU holds: the driver's choice of places, the falling capacity."""
    made = []
    for left in range(profile.instanceCount, 0, -1):
        assert nvml.nvmlDeviceGetGpuInstanceRemainingCapacity(gpu, profile.id) == left
        made.append(nvml.nvmlDeviceCreateGpuInstance(gpu, profile.id))
    assert nvml.nvmlDeviceGetGpuInstanceRemainingCapacity(gpu, profile.id) == 0
    with refused(nvml.NVML_ERROR_INSUFFICIENT_RESOURCES, "one more than fits"):
        nvml.nvmlDeviceCreateGpuInstance(gpu, profile.id)
    assert len(instances(gpu, profile)) == profile.instanceCount
    for instance in made:
        nvml.nvmlGpuInstanceDestroy(instance)
    assert nvml.nvmlDeviceGetGpuInstanceRemainingCapacity(gpu, profile.id) == profile.instanceCount
    return len(made)


def compute_profiles(instance):
    found = []
    for number in range(nvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT + 4):
        try:
            info = nvml.nvmlGpuInstanceGetComputeInstanceProfileInfo(instance, number, SHARED)
        except (nvml.NVMLError_NotSupported, nvml.NVMLError_InvalidArgument):
            continue
        old = nvml.nvmlGpuInstanceGetComputeInstanceProfileInfo(instance, number, SHARED, version=1)
        assert (old.id, old.multiprocessorCount) == (info.id, info.multiprocessorCount)
        found.append(info)
    with refused(nvml.NVML_ERROR_INVALID_ARGUMENT, "a second engine profile"):
        nvml.nvmlGpuInstanceGetComputeInstanceProfileInfo(instance, found[0].id, SHARED + 1)
    return found


def compute_life(gpu, profile):
    """A GPU instance with each of its compute profiles: MIG device, names, UUIDs, order of destruction."""
    made = 0
    instance = nvml.nvmlDeviceCreateGpuInstance(gpu, profile.id)
    gi = nvml.nvmlGpuInstanceGetInfo(instance).id
    assert not mig_devices(gpu), "a GPU instance alone is no MIG device"
    whole = 0
    for compute in compute_profiles(instance):
        capacity = nvml.nvmlGpuInstanceGetComputeInstanceRemainingCapacity(instance, compute.id)
        assert capacity == compute.instanceCount
        assert len(compute_places(instance, compute.id)) >= capacity
        handles = [nvml.nvmlGpuInstanceCreateComputeInstance(instance, compute.id) for _ in range(capacity)]
        with refused(nvml.NVML_ERROR_INSUFFICIENT_RESOURCES, "one compute instance more"):
            nvml.nvmlGpuInstanceCreateComputeInstance(instance, compute.id)
        with refused(nvml.NVML_ERROR_IN_USE, "a GPU instance with compute instances"):
            nvml.nvmlGpuInstanceDestroy(instance)
        devices = mig_devices(gpu)
        assert len(devices) == capacity
        assert len({nvml.nvmlDeviceGetUUID(d) for d in devices.values()}) == capacity
        fills = compute.multiprocessorCount == profile.multiprocessorCount
        whole += fills
        for index, device in devices.items():
            check_mig_device(gpu, device, index, gi, profile, compute, fills)
        for handle in handles:
            nvml.nvmlComputeInstanceDestroy(handle)
            made += 1
        with refused(nvml.NVML_ERROR_INVALID_ARGUMENT, "a MIG device that is gone"):
            nvml.nvmlDeviceGetUUID(devices.popitem()[1])
    assert whole >= 1, "no compute profile fills the GPU instance"
    nvml.nvmlGpuInstanceDestroy(instance)
    return made


def check_mig_device(gpu, device, index, gi, profile, compute, fills):
    assert nvml.nvmlDeviceIsMigDeviceHandle(device)
    assert nvml.nvmlDeviceGetIndex(device) == index
    assert nvml.nvmlDeviceGetGpuInstanceId(device) == gi
    parent = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device)
    gpu_uuid = nvml.nvmlDeviceGetUUID(gpu)
    assert nvml.nvmlDeviceGetUUID(parent) == gpu_uuid

    uuid, ci = nvml.nvmlDeviceGetUUID(device), nvml.nvmlDeviceGetComputeInstanceId(device)
    assert uuid.startswith("MIG-") and len(uuid) == 40
    for form in (uuid, f"MIG-{gpu_uuid}/{gi}/{ci}"):
        assert nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByUUID(form)) == uuid

    instance = nvml.nvmlDeviceGetGpuInstanceById(gpu, gi)
    info = nvml.nvmlComputeInstanceGetInfo(nvml.nvmlGpuInstanceGetComputeInstanceById(instance, ci))
    assert (info.id, info.profileId) == (ci, compute.id)
    assert (info.placement.start, info.placement.size) in compute_places(instance, compute.id)
    named = uuid if os.environ.get("NVML_SIM_CI_DEVICE") == "mig" else gpu_uuid
    assert nvml.nvmlDeviceGetUUID(info.device) == named, "nvml.h: the parent device"

    figures = nvml.nvmlDeviceGetAttributes(device)
    assert figures.multiprocessorCount == compute.multiprocessorCount
    assert figures.memorySizeMB == profile.memorySizeMB
    assert nvml.nvmlDeviceGetMemoryInfo(device).total == profile.memorySizeMB << 20
    assert (figures.gpuInstanceSliceCount, figures.computeInstanceSliceCount) == (profile.sliceCount, compute.sliceCount)

    text = lambda name: name.decode() if isinstance(name, bytes) else name
    part = text(profile.name) if fills else text(profile.name).replace("MIG ", f"MIG {compute.sliceCount}c.")
    if not (fills and compute.sliceCount != profile.sliceCount):
        assert nvml.nvmlDeviceGetName(device) == f"{nvml.nvmlDeviceGetName(gpu)} {part}"


def in_use(gpu, profile):
    """A process on an instance keeps it, and is named; an ended one does not."""
    instance = nvml.nvmlDeviceCreateGpuInstance(gpu, profile.id)
    compute = nvml.nvmlGpuInstanceCreateComputeInstance(instance, compute_profiles(instance)[0].id)
    (device,) = mig_devices(gpu).values()
    assert nvml.nvmlDeviceGetComputeRunningProcesses(device) == []
    job = subprocess.Popen(["sleep", "600"])
    try:
        with open(PROCESSES, "a") as file:
            file.write(f"{nvml.nvmlDeviceGetUUID(device)} {job.pid}\n")
        for handle in (device, gpu):
            (process,) = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
            assert process.pid == job.pid
            assert process.gpuInstanceId == nvml.nvmlGpuInstanceGetInfo(instance).id
        assert nvml.nvmlDeviceGetGraphicsRunningProcesses(device) == []
        with refused(nvml.NVML_ERROR_IN_USE, "a compute instance with a process"):
            nvml.nvmlComputeInstanceDestroy(compute)
        assert nvml.nvmlDeviceSetMigMode(gpu, nvml.NVML_DEVICE_MIG_DISABLE) == nvml.NVML_ERROR_IN_USE
        assert nvml.nvmlDeviceGetMigMode(gpu)[0] == 1
    finally:
        job.kill()
        job.wait()
    nvml.nvmlDeviceSetMigMode(gpu, nvml.NVML_DEVICE_MIG_ENABLE)
    assert nvml.nvmlDeviceGetComputeRunningProcesses(device) == []
    nvml.nvmlComputeInstanceDestroy(compute)
    nvml.nvmlGpuInstanceDestroy(instance)


def main():
    with refused(nvml.NVML_ERROR_UNINITIALIZED, "a call before nvmlInit"):
        nvml.nvmlSystemGetDriverVersion()
    nvml.nvmlInit()
    for index in range(nvml.nvmlDeviceGetCount()):
        gpu = nvml.nvmlDeviceGetHandleByIndex(index)
        identity(gpu)
        mode(gpu)
        all_profiles = profiles(gpu)
        placed = every_place(gpu, all_profiles)
        filled = sum(to_the_brim(gpu, profile) for profile in all_profiles)
        computed = sum(compute_life(gpu, profile) for profile in all_profiles)
        in_use(gpu, all_profiles[0])
        assert nvml.nvmlDeviceSetMigMode(gpu, nvml.NVML_DEVICE_MIG_DISABLE) == nvml.NVML_SUCCESS
        assert nvml.nvmlDeviceGetMigMode(gpu) == [0, 0]
        print(f"{len(all_profiles)} profiles, {placed} placed, {filled} filled, {computed} compute instances")
    nvml.nvmlShutdown()


main()
